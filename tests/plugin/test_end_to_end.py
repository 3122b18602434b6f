"""The main job on a small untrained model: caching, resuming, workers, batch sizes, damage."""

import json
from pathlib import Path

import pytest

from harness.verdicts.evidence import Gate
from tests.support import tiny_models
from tests.support.inner_runs import ROOT, run_hypotheses
from tests.support.judging import check_gates

CHANGING = ("run_id", "created", "seconds", "cached", "provenance")
QUICK = (
    *("--items=12", "--twins=1", "--permutations=200", "--resamples=100", "--gate=none"),
    "--no-controls",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    return tiny_models.save(path)


def run(folder, out, cache, *options, files=("",)):
    """One run of the hypotheses, by default of all; (records by prediction, text)."""
    named = (f"--model={folder}", f"--cache-dir={cache}", f"--report={out / 'report.html'}")
    status, text = run_hypotheses(files, *named, *QUICK, *options)
    assert status == 0, text
    verdicts = json.loads((out / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    return {(v["prediction_id"], v["materials"]["name"]): v for v in verdicts}, text


def comparable(records):
    return {k: {n: x for n, x in v.items() if n not in CHANGING} for k, v in records.items()}


@pytest.fixture(scope="module")
def first(folder, tmp_path_factory):
    base = tmp_path_factory.mktemp("first")
    return *run(folder, base / "out", base / "cache"), base / "cache"


def test_every_claim_ends_in_a_verdict_and_none_is_supported_on_an_untrained_model(first):
    records, _, _ = first
    files = (ROOT / "hypotheses").glob("test_*.py")
    assert {r["claim_id"] for r in records.values()} == {f.stem.split("_")[1] for f in files}
    assert "not measured" not in {r["outcome"] for r in records.values()}
    for record in records.values():
        if record["criterion"] == "controlled" and record["claim_id"] != "h0":
            assert record["outcome"] in ("refuted", "inconclusive"), record["prediction"]


def test_the_published_criteria_pass_on_an_untrained_model_and_the_note_says_so(first):
    records, _, _ = first
    for kind in ("layers", "heads", "neurons"):
        record = records[f"{kind}_differ_as_published", "geography-published"]
        assert record["outcome"] == "supported"
        assert any("untrained twins pass" in note for note in record["notes"])


def test_a_second_run_measures_nothing_and_says_the_same(folder, first, tmp_path):
    records, _, cache = first
    again, _ = run(folder, tmp_path, cache)
    assert all(r["cached"] for r in again.values())
    assert comparable(again) == comparable(records)


def test_a_damaged_cache_entry_is_named_and_measured_again(folder, first, tmp_path):
    records, _, cache = first
    shard = max(Path(cache).rglob("*.safetensors"), key=lambda p: p.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(bytes(data))
    readers = ("test_h1_layers.py", "test_h2_heads.py", "test_h3_neurons.py")
    again, text = run(folder, tmp_path, cache, files=readers)
    assert shard.parent.name in text
    assert "measured again" in text
    assert comparable(again) == {k: v for k, v in comparable(records).items() if k in again}
    assert len(again) > 10


@pytest.mark.usefixtures("forked_workers")
def test_workers_and_batch_sizes_do_not_change_a_verdict(folder, first, tmp_path):
    records, _, _ = first
    other, _ = run(folder, tmp_path / "out", tmp_path / "cache", "-n1", "--batch-size=7")
    outcomes = [{k: r["outcome"] for k, r in each.items()} for each in (records, other)]
    assert outcomes[0] == outcomes[1]


def test_no_gate_that_is_met_says_what_is_wrong(first):
    records, _, _ = first
    gates = [Gate(**gate) for record in records.values() for gate in record["gates"]]
    check_gates(gates)
    assert {"reach", "splits"} <= {gate.name for gate in gates if gate.met}
