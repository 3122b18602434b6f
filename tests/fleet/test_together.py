"""One run of many: rows that two runs of a model have stand once."""

import pandas as pd

from harness.compare.curves import NO_FLEET
from harness.fleet import together
from harness.fleet.together import put_together
from harness.verdicts.components import COMPONENTS_NAME, read_components
from harness.verdicts.records import ANSWERS_NAME, read_controls, write_verdicts
from tests.support.made_runs import verdict
from tests.support.sample_records import components, known


def test_runs_become_one_run(tmp_path):
    folders, table = [], components(("mini-qwen",))
    for label, stage in (("a", "competence"), ("a", "claims"), ("b", "claims")):
        folder = tmp_path / f"{label}-{stage}"
        folder.mkdir()
        folders.append((label, folder))
        write_verdicts(folder / "controls.json", known())
        table.to_parquet(folder / COMPONENTS_NAME)
    put_together([verdict()], folders, NO_FLEET, tmp_path / "out")
    found = read_components(tmp_path / "out")
    assert found["model"].value_counts().to_dict() == {"a": len(table), "b": len(table)}
    assert len(read_controls(tmp_path / "out")) == len(known())
    assert not list((tmp_path / "out").glob(".*.parquet"))


def test_a_prompt_that_two_runs_asked_stands_once(tmp_path):
    rows = {"model": "x", "materials": "m", "item": ["1", "2"], "prompt": "p", "said": "yes"}
    folders = []
    for number in (1, 2):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        pd.DataFrame(rows).assign(said=number).to_parquet(folder / ANSWERS_NAME)
        folders.append(("a", folder))
    (tmp_path / "out").mkdir()
    together._table(ANSWERS_NAME, folders, tmp_path / "out")
    found = pd.read_parquet(tmp_path / "out" / ANSWERS_NAME)
    assert found["item"].tolist() == ["1", "2"]
    assert set(found["model"]) == {"a"}


def test_a_column_that_is_empty_in_one_run_has_its_type_from_another(tmp_path):
    folders = []
    for label, said, kind in (
        ("a", None, "category"),
        ("b", "no", "object"),
        ("c", None, "object"),
    ):
        folder = tmp_path / label
        folder.mkdir()
        frame = pd.DataFrame({"model": "x", "materials": "m", "item": ["1"], "said": [said]})
        frame.astype({"materials": kind}).to_parquet(folder / ANSWERS_NAME)
        folders.append((label, folder))
    (tmp_path / "out").mkdir()
    together._table(ANSWERS_NAME, folders, tmp_path / "out")
    found = pd.read_parquet(tmp_path / "out" / ANSWERS_NAME)
    assert found["said"].isna().tolist() == [True, False, True]
    assert found["materials"].tolist() == ["m", "m", "m"]
