"""How evidence becomes a verdict, and a verdict plain JSON."""

import json
from dataclasses import asdict, replace

import jsonschema
import numpy as np
import pytest

from harness.verdicts.evidence import Component, Control, Effect, Evidence, Family, Gate, State
from harness.verdicts.judge import Criterion, Finding, Outcome, judge
from harness.verdicts.verdict import (
    SCHEMA,
    STRONGEST,
    ComponentSummary,
    Known,
    Named,
    Verdict,
    plan_of,
    to_plain,
)

PUBLISHED, CONTROLLED = Criterion.PUBLISHED, Criterion.CONTROLLED
NAN = float("nan")
PASSES = Evidence("count", Effect("count", 3.0), threshold=2, relation=">=", n=10)
FAILS = replace(PASSES, effect=Effect("count", 1.0))
SIGNIFICANT = Evidence(
    "largest effect",
    Effect("d", 0.9, (0.6, 1.2)),
    threshold=0.5,
    relation=">",
    p_adjusted=0.002,
    alpha=0.01,
    floor=0.001,
    family=Family("cells", 20, "max-statistic sign-flip"),
    n=100,
)
MET, UNMET = Gate("accuracy", True, "fine"), Gate("accuracy", False, "accuracy 0.12, gate 0.60")
BEHAVES, MISBEHAVES = Control("twin 1", 0, True), Control("twin 2", 7, False, note="needed 2")


@pytest.mark.parametrize("criterion", Criterion)
def test_a_requirement_that_holds_is_supported(criterion):
    finding = Finding((PASSES, SIGNIFICANT), (BEHAVES,), (MET,))
    assert judge(finding, criterion) == (Outcome.SUPPORTED, "every requirement holds")


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("others", [(), (PASSES,), (PASSES, SIGNIFICANT)])
def test_one_failed_requirement_refutes_and_is_named_with_its_numbers(criterion, others):
    outcome, reason = judge(Finding((*others, FAILS)), criterion)
    assert outcome is Outcome.REFUTED
    assert reason == "count: 1, needed >= 2"


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("evidence", [PASSES, FAILS, replace(SIGNIFICANT, floor=0.5)])
def test_an_unmet_gate_comes_before_evidence_floor_and_controls(criterion, evidence):
    second = Gate("reach", False, "nothing to hold")
    finding = Finding((evidence,), (MISBEHAVES,), (MET, UNMET, second))
    reason = "accuracy 0.12, gate 0.60; nothing to hold"
    assert judge(finding, criterion) == (Outcome.INCONCLUSIVE, reason)


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("other", [PASSES, FAILS])
def test_a_design_that_cannot_reach_its_alpha_is_inconclusive_and_says_so(criterion, other):
    blind = replace(SIGNIFICANT, floor=0.05, p_adjusted=0.05)
    outcome, reason = judge(Finding((other, blind), (MISBEHAVES,)), criterion)
    assert outcome is Outcome.INCONCLUSIVE
    assert "0.05, above alpha 0.01; use more items" in reason
    assert replace(blind, effect=Effect("d", -0.9, (-1.2, -0.5))).state is State.UNDECIDED


def test_a_floor_equal_to_alpha_can_still_be_reached():
    at_the_line = replace(SIGNIFICANT, floor=0.01, p_adjusted=0.01)
    assert judge(Finding((at_the_line,)), CONTROLLED)[0] is Outcome.SUPPORTED


def test_a_misbehaving_control_decides_under_the_controlled_criterion_alone():
    finding = Finding((PASSES,), (BEHAVES, MISBEHAVES, Control("shown", 99, None)))
    assert judge(finding, PUBLISHED)[0] is Outcome.SUPPORTED
    assert judge(finding, CONTROLLED) == (Outcome.REFUTED, "control twin 2: 7 (needed 2)")


def test_a_control_without_a_requirement_never_decides():
    finding = Finding((PASSES,), (Control("shown", 1e9, None),))
    assert judge(finding, CONTROLLED)[0] is Outcome.SUPPORTED


@pytest.mark.parametrize("relation", [">=", "<=", ">", "<"])
@pytest.mark.parametrize("bound", [-np.inf, 0.0, np.inf])
@pytest.mark.parametrize("between", [None, (0.5, 1.0), (NAN, NAN)])
def test_an_estimate_that_is_not_a_number_decides_nothing(relation, bound, between):
    e = Evidence("x", Effect("x", NAN, between), threshold=bound, relation=relation)
    assert e.state is State.UNDECIDED
    assert judge(Finding((e,)), CONTROLLED)[0] is Outcome.INCONCLUSIVE
    exact = replace(e, decided_by="estimate")
    assert judge(Finding((exact,)), PUBLISHED)[0] is Outcome.REFUTED


def test_a_p_beside_an_undefined_value_does_not_pass():
    assert not replace(SIGNIFICANT, relation="secondary", effect=Effect("d", NAN)).passed
    assert replace(SIGNIFICANT, relation="secondary").passed


@pytest.mark.parametrize("p", [None, NAN, 0.011, np.float64(0.5), 1.0])
def test_a_p_that_is_missing_undefined_or_above_alpha_is_undecided_and_said(p):
    """The whole interval is above the threshold: a large p does not say that it is below."""
    outcome, reason = judge(Finding((replace(SIGNIFICANT, p_adjusted=p),)), CONTROLLED)
    assert outcome is Outcome.INCONCLUSIVE
    assert reason.startswith("undecided: ")
    assert "needed <= 0.01" in reason


@pytest.mark.parametrize(
    ("relation", "below", "equal", "above"),
    [(">=", 0, 1, 1), (">", 0, 0, 1), ("<=", 1, 1, 0), ("<", 1, 0, 0)],
)
def test_relations_mean_what_they_say(relation, below, equal, above):
    for value, passes in ((1.0, below), (2.0, equal), (3.0, above)):
        e = Evidence("x", Effect("x", value), threshold=2, relation=relation)
        assert e.passed is bool(passes)


def test_a_finding_without_decisive_evidence_is_an_error_even_behind_an_unmet_gate():
    shown = Evidence("shown", Effect("x", 1.0))
    for finding in (Finding(()), Finding((shown,)), Finding((shown,), (), (UNMET,))):
        with pytest.raises(ValueError, match="evidence can fail: give at least one a threshold"):
            judge(finding, CONTROLLED)


def test_keys_are_unique_within_a_finding():
    keyed = replace(PASSES, key="count")
    assert Finding((keyed, FAILS)).evidence[0].identity == "count"
    with pytest.raises(ValueError, match="unique within a finding"):
        Finding((keyed, replace(FAILS, key="count")))


def test_a_relation_that_is_none_is_refused():
    with pytest.raises(ValueError, match="relation 'shown', not"):
        Evidence("x", Effect("x", 1.0), relation="shown")


def test_a_verdict_comes_back_as_it_was():
    verdict = verdict_of(Finding((PASSES, SIGNIFICANT), (BEHAVES,), (MET,)))
    record = json.loads(json.dumps(verdict.to_json()))
    assert Verdict.from_json(record).evidence == verdict.evidence
    assert Verdict.from_json(record).gates == (MET,)
    assert Verdict.from_json(record).to_json() == record


def test_a_relation_without_a_threshold_is_an_error():
    with pytest.raises(ValueError, match="'x' has the relation '>=' but no threshold: give"):
        judge(Finding((Evidence("x", Effect("x", 1.0), relation=">="),)), CONTROLLED)


def validate(record):
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(record, {"$ref": "#/$defs/verdict", "$defs": schema["$defs"]})


def verdict_of(finding: Finding, **changes) -> Verdict:
    outcome, reason = judge(finding, CONTROLLED)
    fields = {
        "run_id": "r",
        "created": "2025-01-01T00:00:00+00:00",
        "claim_id": "h1",
        "claim": "Claim.",
        "prediction_id": "test_h1.py::test",
        "prediction": "Prediction.",
        "criterion": CONTROLLED,
        "outcome": outcome,
        "reason": reason,
        "model": Named("m", {"layers": np.int64(4)}),
        "materials": Named("s", {"hash": "0", "n": {"recall": np.int32(3)}}),
        "evidence": finding.evidence,
        "controls": finding.controls,
        "gates": finding.gates,
        "components": ComponentSummary.of(finding.components),
        "notes": finding.notes,
        "plan": plan_of({"ALPHA": np.float32(0.01), "BAR": {"head": 1.0}}),
    }
    return Verdict(**{**fields, **changes})


def numpy_everywhere() -> Finding:
    odd = Effect("d", np.float32(np.inf), (np.float64(-np.inf), np.float64(NAN)))
    return Finding(
        (
            replace(SIGNIFICANT, effect=odd, n=np.int64(100), p_adjusted=np.float32(0.001)),
            replace(PASSES, effect=Effect("count", np.int64(3)), threshold=np.float64(2)),
            Evidence("undefined", Effect("x", np.array(NAN))),
        ),
        (Control("twin", np.float32(NAN), np.bool_(True), (np.float64(0), 1.0)),),
        (MET,),
        (
            Component(
                "head", np.int64(1), np.int64(2), np.float32(-1.5), np.float64(0.01), "recall"
            ),
        ),
    )


def test_a_record_is_plain_json_and_valid_whatever_numpy_went_in():
    record = verdict_of(numpy_everywhere()).to_json()
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    validate(record)
    effect = record["evidence"][0]["effect"]
    assert (effect["value"], effect["interval"]) == ("inf", ["-inf", None])
    assert record["evidence"][2]["effect"]["value"] is None
    assert record["evidence"][0]["state"] == "undecided"  # an end of its interval is no number
    assert record["evidence"][2]["state"] is None
    assert record["outcome"] == "inconclusive"
    assert type(record["outcome"]) is str


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_in_the_schema_and_nothing_else(outcome):
    record = verdict_of(Finding((PASSES,)), outcome=outcome).to_json()
    validate(record)
    for broken in ({"outcome": "perhaps"}, {"more": 1}, {"criterion": "both"}):
        with pytest.raises(jsonschema.ValidationError):
            validate({**record, **broken})


def test_a_verdict_that_is_known_beforehand_carries_the_mark_and_no_other_does():
    assert "control" not in verdict_of(Finding((PASSES,))).to_json()
    known = Known("negative", "refuted", "the tasks share one circuit")
    record = verdict_of(Finding((PASSES,)), control=known).to_json()
    assert record["control"] == asdict(known)
    validate(record)
    for broken in ({"role": "neutral"}, {"expected": "not measured"}, {"more": ""}):
        wrong = {**record, "control": {**record["control"], **broken}}
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong)


@pytest.mark.parametrize(
    ("expected", "met"),
    [
        ("not supported", {"refuted", "inconclusive"}),
        ("refuted", {"refuted"}),
        ("supported", {"supported"}),
    ],
)
def test_what_is_known_to_be_false_may_be_refuted_or_undecided(expected, met):
    known = Known("negative", expected, "the tasks share one circuit")
    assert {str(o) for o in Outcome if known.met_by(o)} == met
    validate(verdict_of(Finding((PASSES,)), control=known).to_json())


def test_evidence_that_is_only_shown_has_no_passed_and_no_state():
    shown = Evidence("x", Effect("x", 1.0)).to_json()
    assert (shown["passed"], shown["state"]) == (None, None)
    across = replace(SIGNIFICANT, effect=Effect("d", 0.9, (0.1, 1.2)))
    for e, passed, state in (
        (PASSES, True, "held"),
        (FAILS, False, "failed"),
        (across, False, "undecided"),
    ):
        record = e.to_json()
        assert (record["passed"], record["state"]) == (passed, state)


def test_plain_values_of_arrays_scalars_and_nests():
    value = {1: (np.array([1, 2]), np.array(3), np.bool_(False)), "e": Outcome.REFUTED, "n": None}
    plain = to_plain(value)
    assert plain == {"1": [[1, 2], 3, False], "e": "refuted", "n": None}
    assert plain["1"][2] is False


def test_components_are_counted_in_full_and_kept_by_strength():
    many = [Component("neuron", 0, i, (-1) ** i * i, 0.0, "recall") for i in range(80)]
    summary = ComponentSummary.of([*many, Component("layer", 1, None, 9e9, None)])
    assert summary.counts == {"neuron": {"recall": 80}, "layer": {"found": 1}}
    assert summary.total == 81
    assert len(summary.strongest) == STRONGEST
    assert [c.index for c in summary.strongest[:3]] == [None, 79, 78]


def test_the_plans_hash_depends_on_every_constant_and_not_on_their_order():
    plan = plan_of({"A": 1, "B": (1, 2)})
    assert plan == plan_of({"B": (1, 2), "A": 1})
    assert plan.hash != plan_of({"A": 1, "B": (1, 3)}).hash
