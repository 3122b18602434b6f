"""Verdicts on disk: schema, round trip, several writers, torn and damaged files."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

import harness
from harness.files import DATA
from harness.verdicts import records, table
from tests.support import forks
from tests.support.sample_plots import curve, entry
from tests.support.sample_records import MODELS, NASTY, sample

DRAWN = entry(curve()).to_json()


@pytest.fixture(scope="module")
def verdicts():
    return sample()


def test_every_sample_record_validates(verdicts):
    for record in sample((NASTY,)) + verdicts:
        records.validate(record.to_json())


def test_the_file_validates_against_the_schema(tmp_path, verdicts):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(records.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    path = records.write_verdicts(tmp_path / "verdicts.json", verdicts)
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"outcome": "true"}, "outcome"),
        ({"criterion": None}, "criterion"),
        ({"evidence": [{}]}, "evidence.0"),
        ({"invented": 1}, "the record"),
    ],
)
def test_a_fault_names_its_field(verdicts, change, field):
    with pytest.raises(ValueError, match=f"not a verdict: {field}: "):
        records.validate(verdicts[0].to_json() | change)


def test_a_row_holds_the_first_decisive_evidence(tmp_path, verdicts):
    records.write_verdicts(tmp_path / "verdicts.json", verdicts)
    table = harness.load_verdicts(tmp_path)
    assert isinstance(table, pd.DataFrame)
    assert len(table) == len(verdicts)
    assert set(table["model"]) == set(MODELS)
    row = table[(table.claim_id == "h1") & (table.criterion == "controlled")].iloc[0]
    assert (row.effect_name, row.effect, row.relation, row.threshold) == ("d", 1.84, ">", 0.5)
    assert row.effect_low == pytest.approx(1.53)
    assert (row.p_adjusted, row.n, row.controls, row.controls_failed) == (0.0009, 100, 3, 0)


def test_a_prediction_not_measured_is_a_row_without_numbers(tmp_path, verdicts):
    records.write_verdicts(tmp_path / "verdicts.json", verdicts)
    table = harness.load_verdicts(tmp_path / "verdicts.json")
    missing = table[table.outcome == "not measured"]
    assert len(missing) == 1
    assert missing["effect"].isna().all()
    assert "out of memory" in missing.reason.item()


def test_the_head_of_the_file_says_what_it_is(tmp_path, verdicts):
    path = records.write_verdicts(tmp_path / "verdicts.json", verdicts)
    head = json.loads(path.read_text())
    assert list(head)[-1] == "verdicts"
    assert "hypotheses about what happens inside language models" in head["about"]
    assert head["suite"].startswith("recall-or-reasoning ")
    assert (DATA / head["schema"]).is_file()
    assert "harness.load_verdicts(path)" in head["how_to_read"]
    assert head["schema_version"] == 2


def test_every_column_is_documented():
    for column in table.VERDICT_COLUMNS:
        assert re.search(rf"\b{column}\b", harness.load_verdicts.__doc__), column


def test_gates_are_columns_and_in_the_record(tmp_path, verdicts):
    records.write_verdicts(tmp_path, verdicts)
    table = harness.load_verdicts(tmp_path)
    assert table["gates_unmet"].sum() == 1
    [unmet] = [v for v in records.read_verdicts(tmp_path) if v.gates]
    assert not unmet.gates[0].met
    assert unmet.gates[0].reason in unmet.reason


def test_no_verdicts_give_an_empty_table_with_columns(tmp_path):
    records.write_verdicts(tmp_path / "verdicts.json", [])
    assert list(harness.load_verdicts(tmp_path).columns) == list(table.VERDICT_COLUMNS)


def test_both_files_read_back_what_was_written(tmp_path, verdicts):
    whole = records.write_verdicts(tmp_path / "verdicts.json", verdicts)
    for verdict in verdicts:
        records.append_jsonl(tmp_path / "lines.jsonl", verdict)
    assert records.read_verdicts(whole) == verdicts
    assert records.read_verdicts(tmp_path / "lines.jsonl") == verdicts


def test_an_interrupted_run_is_read_from_its_lines(tmp_path, verdicts):
    later = replace(verdicts[0], created="2027-01-01T00:00:00+00:00")
    records.write_verdicts(tmp_path, verdicts)
    records.append_jsonl(tmp_path, later)
    assert records.read_verdicts(tmp_path) == [later]


def _append(path, record, times):
    for _ in range(times):
        records.append_jsonl(path, record)
    return 0


def test_lines_of_two_processes_stay_whole(tmp_path, verdicts):
    path = tmp_path / "verdicts.jsonl"
    writers = [forks.start(partial(_append, path, verdicts[i], 20)) for i in (5, 12)]
    assert [os.waitpid(writer, 0)[1] for writer in writers] == [0, 0]
    read = records.read_verdicts(path)
    assert sorted(v.prediction_id for v in read) == sorted(
        [verdicts[5].prediction_id] * 20 + [verdicts[12].prediction_id] * 20
    )


def test_a_torn_last_line_costs_only_itself(tmp_path, verdicts):
    path = records.append_jsonl(tmp_path / "verdicts.jsonl", verdicts[0])
    with path.open("a") as file:
        file.write('{"schema_version": 1, "run')
    with pytest.warns(UserWarning, match="line 2 was cut off"):
        assert records.read_verdicts(path) == verdicts[:1]
    records.append_jsonl(path, verdicts[1])
    assert records.read_verdicts(path) == verdicts[:2]


def test_a_damaged_line_is_named(tmp_path, verdicts):
    path = records.append_jsonl(tmp_path / "verdicts.jsonl", verdicts[0])
    path.write_text("{]\n" + path.read_text())
    with pytest.raises(ValueError, match="line 1 is not a verdict: not JSON"):
        records.read_verdicts(path)


def test_a_folder_without_verdicts_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="pytest hypotheses/"):
        harness.load_verdicts(tmp_path)


def test_a_file_of_a_later_schema_is_refused(tmp_path):
    (tmp_path / "verdicts.json").write_text('{"schema_version": 9, "verdicts": []}')
    with pytest.raises(ValueError, match="schema_version 9"):
        records.read_verdicts(tmp_path)


def test_importing_harness_is_cheap():
    program = "import sys, harness; print('pandas' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[", "is not a list of figures: not JSON"),
        ("{}", "is not a list of figures: it holds a dict"),
        ("[{}]", "figure 0 is not a figure: expected"),
        (json.dumps([DRAWN, DRAWN | {"plot": {"form": "curve"}}]), "figure 1 is"),
        (json.dumps([DRAWN | {"plot": DRAWN["plot"] | {"form": "pie"}}]), "form 'pie'"),
    ],
)
def test_a_damaged_file_of_figures_is_named(tmp_path, text, fault):
    path = tmp_path / records.PLOTS_NAME
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path}.*{fault}"):
        records.read_plots(tmp_path)


def test_figures_read_back_as_they_were_written(tmp_path):
    assert records.read_plots(tmp_path) == []
    records.write_plots(tmp_path, [entry(curve())])
    assert records.read_plots(tmp_path) == [entry(curve())]
