"""Rates, p-values, power, recovery and agreement of runs whose outcomes are known."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from harness import stats
from harness.calibration import agreement, recovery
from harness.calibration.jobs import OPEN, Job
from harness.calibration.power import expected, power
from harness.calibration.pvalues import p_values
from harness.calibration.rates import any_error, error_rates
from harness.calibration.results import rows_of
from tests.support.made_runs import HEADS, heads_table, ran, verdict


def untrained(number, gate=None):
    return Job("null", "untrained", "mini-qwen", network=number, gate=gate)


def entry(entries, **wanted):
    (found,) = [e for e in entries if all(e[k] == v for k, v in wanted.items())]
    return found


@pytest.fixture
def nulls(tmp_path):
    """Four networks, as used and with the gate open; two shufflings; two redrawn."""
    runs = []
    for number in range(4):
        stopped = verdict(outcome="inconclusive")
        works = verdict("h0", "hooks", outcome="supported")
        published = verdict("h2", "as_published", "published", outcome="supported")
        runs.append(ran(tmp_path, untrained(number), stopped, works, published))
        said = verdict(outcome="supported" if number == 0 else "refuted", p=0.005 + 0.25 * number)
        broken = verdict("h5", "drops", outcome="not measured")
        runs.append(ran(tmp_path, untrained(number, OPEN), said, works, published, broken))
    for seed in range(2):
        job = Job("null", "shuffled", "mini-qwen", seed=seed, share=1.0)
        interact = verdict("h8", "the_sets_interact-head", outcome="supported")
        runs.append(ran(tmp_path, job, verdict(outcome="refuted", p=0.5), interact))
        job = Job("null", "redrawn", "mini-qwen", network=0, seed=seed + 1)
        runs.append(ran(tmp_path, job, verdict(outcome="inconclusive"), published))
    return runs


def test_rates_are_counted_by_null_and_gate_with_exact_intervals(nulls):
    rates = error_rates(rows_of(nulls))
    used = entry(rates, claim_id="h2", criterion="controlled", null="untrained", gate="as used")
    assert (used["inconclusive"], used["decided"], used["rate"]["count"]) == (4, 0, 0)
    behind = entry(rates, claim_id="h2", criterion="controlled", null="all", gate="behind the gate")
    assert (behind["supported"], behind["refuted"], behind["rate"]["n"]) == (1, 5, 6)
    exact = binomtest(1, 6).proportion_ci(method="exact")
    assert behind["rate"]["interval"] == pytest.approx([exact.low, exact.high])


def test_what_was_not_measured_is_no_trial(nulls):
    broken = entry(
        error_rates(rows_of(nulls)), claim_id="h5", null="untrained", gate="behind the gate"
    )
    assert broken["not_measured"] == 4
    assert broken["rate"] == {"n": 0, "count": 0, "share": None, "interval": None}


def test_published_prompts_cannot_be_redrawn_so_they_are_not_counted_as_if_they_were(nulls):
    rates = error_rates(rows_of(nulls))
    assert not [e for e in rates if (e["null"], e["criterion"]) == ("redrawn", "published")]
    assert entry(rates, criterion="published", null="all", gate="as used")["rate"]["n"] == 4


def test_the_measurement_and_what_has_no_null_are_no_errors(nulls):
    rows = rows_of(nulls)
    found = any_error(rows)
    shuffled = entry(found, claim_id="all", criterion="controlled", null="shuffled", gate="as used")
    assert (shuffled["verdicts"], shuffled["rate"]["count"], shuffled["rate"]["n"]) == (2, 0, 2)
    behind = entry(
        found, claim_id="all", criterion="controlled", null="untrained", gate="behind the gate"
    )
    assert (behind["supported"], behind["rate"]["count"], behind["rate"]["n"]) == (1, 1, 4)
    rates = error_rates(rows)
    assert not entry(rates, claim_id="h8", null="all", gate="as used")["has_null"]


def test_p_values_of_one_prediction_are_pooled_whatever_place_they_were_found_at(nulls):
    p = entry(p_values(rows_of(nulls)), claim_id="h2", null="untrained", gate="behind the gate")
    assert p["evidence"] == "largest"
    assert p["adjusted"] == pytest.approx([0.005, 0.255, 0.505, 0.755])
    assert (p["below"]["0.01"]["count"], p["below"]["0.05"]["n"]) == (1, 4)
    assert p["uniform"] is None


def test_runs_that_decide_nothing_are_counted_beside(nulls):
    found = any_error(rows_of(nulls))
    used = entry(found, claim_id="h2", criterion="controlled", null="untrained", gate="as used")
    assert (used["rate_decided"]["n"], used["undecided"]) == (0, 4)
    behind = entry(
        found, claim_id="h2", criterion="controlled", null="untrained", gate="behind the gate"
    )
    assert (behind["rate_decided"]["count"], behind["rate_decided"]["n"]) == (1, 4)


@pytest.mark.parametrize(("draws", "uniform"), [(np.linspace(0.01, 1, 40), True),
                                                (np.linspace(0.001, 0.2, 40), False)])  # fmt: skip
def test_too_many_small_p_values_are_seen(tmp_path, draws, uniform):
    runs = [ran(tmp_path, untrained(n, OPEN), verdict(p=p)) for n, p in enumerate(draws)]
    p = entry(p_values(rows_of(runs)), null="untrained")
    assert (p["uniform"]["p_excess"] > 0.05) is uniform


def test_power_is_the_share_supported_at_each_point(tmp_path):
    runs = []
    for seed in range(3):
        for items, share in ((15, 0.0), (60, 0.0), (60, 0.5)):
            job = Job("power", "planted", "mini-qwen", seed=seed, items=items, share=share)
            said = "supported" if items == 60 and not share else "refuted"
            runs.append(ran(tmp_path, job, verdict(outcome=said)))
    rows = rows_of(runs)
    found = power(rows)
    assert [(e["items"], e["share"], e["rate"]["count"]) for e in found] == [
        (15, 0.0, 0), (60, 0.0, 3), (60, 0.5, 0)]  # fmt: skip
    told = {"mini-qwen": {"h2/heads_hold": "supported", "h2/gone": "refuted"}}
    held, gone = expected(rows, told, 60)
    assert (held["rate"]["count"], held["rate"]["n"]) == (3, 3)
    assert gone["rate"]["n"] == 0


KNOWN = {
    "tasks": {"recall": {"heads": [[0, 1], [1, 2]]}, "reasoning": {"heads": [[2, 3]]}},
    "shared": {"heads": [[1, 0]]},
    "expected": {},
}


def test_recovery_by_hand():
    score = np.array([4.0, 3.0, 2.0, 1.0])
    found = stats.recovery(score, score > 2.5, np.array([True, False, True, False]))
    assert (found.auroc, found.precision, found.recall) == (0.75, 0.5, 0.5)
    assert np.isnan(stats.recovery(score, score > 9, score < 0).auroc)
    with pytest.raises(ValueError, match="score 1 is not finite"):
        stats.recovery(np.array([0.0, np.nan]), score[:2] > 0, score[:2] > 0)


def test_components_are_compared_with_the_known_circuit(tmp_path, monkeypatch):
    monkeypatch.setattr(recovery, "circuit_of", lambda _: KNOWN)
    circuit = [(0, 1), (1, 2), (2, 3)]
    effects = dict.fromkeys(circuit, -2.0) | {(1, 0): 3.0}
    tables = [
        heads_table(effects, [(0, 1), (1, 0)]),
        heads_table({(0, 1): 1.0, (1, 2): 0.9}, [(0, 1)], claim="h5", source="causal, recall"),
        heads_table({(2, 3): 1.0}, [(2, 3)], claim="h5", source="causal, reasoning"),
    ]
    job = Job("power", "planted", "x", items=60)
    run = ran(tmp_path, job, verdict(), components=pd.concat(tables))
    found = recovery.recovered([run], 60)
    seen = entry(found, source="observational", shared_counted=False)
    assert (seen["auroc"], seen["precision"], seen["recall"]) == (1.0, 1.0, pytest.approx(1 / 3))
    assert (seen["positives"], seen["negatives"]) == (3, len(HEADS) - 4)
    counted = entry(found, source="observational", shared_counted=True)
    assert counted["auroc"] == pytest.approx(8 / 9)
    assert counted["precision"] == 0.5
    caused = entry(found, source="causal", target="recall", shared_counted=False)
    assert (caused["auroc"], caused["recall"], caused["positives"]) == (1.0, 0.5, 2)
    assert recovery.recovered([run], 30) == []


def test_a_circuit_file_is_read_from_beside_the_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert recovery.circuit_of(str(tmp_path)) is None
    neurons = {"recall": {"neurons": {"1": [4, 7]}, "layers": [1]}}
    (tmp_path / "circuit.json").write_text(json.dumps({"tasks": neurons}))
    known = recovery.circuit_of(str(tmp_path))["tasks"]["recall"]
    assert recovery.places(known, "neuron") == {(1, 4), (1, 7)}
    assert recovery.places(known, "layer") == {(1, -1)}
    (tmp_path / "circuit.json").write_text("{}")
    with pytest.raises(ValueError, match="names no tasks"):
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
        ran(tmp_path, Job("power", "planted", "x", seed=n, items=60), verdict(),
            components=heads_table({}, passed))
        for n, passed in enumerate(passing)
    ]  # fmt: skip
    (found,) = agreement.agreement(runs, 60)
    assert found["jaccard"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert (found["drawings"], found["sizes"]) == (3, [2, 2, 1])
