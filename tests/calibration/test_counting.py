"""Power, known circuits and agreement of runs whose outcomes are known."""

import json

import numpy as np
import pytest

from harness import stats
from harness.calibration import agreement, recovery
from harness.calibration.jobs import Job
from harness.calibration.power import power
from harness.calibration.rates import rate
from harness.calibration.results import rows_of
from tests.support.made_runs import heads_table, ran, verdict


def test_power_is_the_share_supported_at_each_point_of_what_was_measured(tmp_path):
    runs = []
    for seed in range(3):
        for items in (15, 60):
            job = Job("power", "shipped", "mini-qwen", seed=seed, items=items)
            said = "supported" if items == 60 else "refuted"
            broken = verdict("h5", "drops", outcome="not measured")
            runs.append(ran(tmp_path, job, verdict(outcome=said), broken))
    found = {(e["claim_id"], e["items"]): e for e in power(rows_of(runs))}
    assert found["h2", 15]["rate"]["count"] == 0
    assert found["h2", 60]["rate"]["count"] == found["h2", 60]["rate"]["n"] == 3
    assert found["h5", 60]["rate"] == rate(0, 0)


def test_recovery_by_hand():
    score = np.array([4.0, 3.0, 2.0, 1.0])
    found = stats.recovery(score, score > 2.5, np.array([True, False, True, False]))
    assert (found.auroc, found.precision, found.recall) == (0.75, 0.5, 0.5)
    assert np.isnan(stats.recovery(score, score > 9, score < 0).auroc)
    with pytest.raises(ValueError, match="score 1 is not finite"):
        stats.recovery(np.array([0.0, np.nan]), score[:2] > 0, score[:2] > 0)


def test_a_circuit_file_is_read_from_beside_the_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert recovery.circuit_of(str(tmp_path)) is None
    neurons = {"retrieval": {"neurons": {"1": [4, 7]}, "layers": [1]}}
    (tmp_path / "circuit.json").write_text(json.dumps({"processes": neurons}))
    known = recovery.circuit_of(str(tmp_path))["processes"]["retrieval"]
    assert recovery.places(known, "neuron") == {(1, 4), (1, 7)}
    assert recovery.places(known, "layer") == {(1, -1)}
    (tmp_path / "circuit.json").write_text("{}")
    with pytest.raises(ValueError, match="names no processes"):
        recovery.circuit_of(str(tmp_path))


def test_the_same_run_again_is_told_from_another(tmp_path):
    def job(kind):
        return Job("consistency", kind, "mini-qwen")

    def at(commit):
        called = f"pytest --report={commit}/report.html"
        return {**verdict().provenance, "commit": commit, "command": called}

    first = verdict(run_id="a", seconds=1.0, effect=1.0, provenance=at("x"))
    again = verdict(run_id="b", seconds=2.0, effect=1.0, provenance=at("y"))
    near = verdict(effect=1.0 + 1e-7)
    other = verdict(outcome="supported", effect=2.0)
    runs = [
        ran(tmp_path, job("base"), first),
        ran(tmp_path, job("again"), again),
        ran(tmp_path, job("other batch size"), near),
        ran(tmp_path, job("two workers"), near),
        ran(tmp_path, job("warm cache"), other),
    ]
    found = {e["how"]: e for e in agreement.consistency(runs)}
    assert found["again"]["same"]
    assert found["other batch size"]["same"]
    assert not found["two workers"]["same"]  # nothing of it may differ
    assert not found["warm cache"]["same"]
    assert found["warm cache"]["outcomes_changed"]
    assert found["warm cache"]["largest_difference"] == pytest.approx(0.5)
    assert agreement.consistency(runs[1:]) == []


def test_drawings_that_find_the_same_agree(tmp_path):
    passing = ([(0, 1), (1, 2)], [(0, 1), (1, 2)], [(0, 1)])
    runs = [
        ran(tmp_path, Job("controls", "shipped", "x", seed=n, items=60), verdict(),
            components=heads_table({}, passed))
        for n, passed in enumerate(passing)
    ]  # fmt: skip
    (found,) = agreement.agreement(runs)
    assert found["jaccard"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert (found["drawings"], found["sizes"]) == (3, [2, 2, 1])
