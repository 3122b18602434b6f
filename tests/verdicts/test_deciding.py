"""The one number beside a verdict: what failed, what was not met, or the headline effect."""

from dataclasses import replace

import pytest

from harness.verdicts import typeset
from harness.verdicts.deciding import deciding
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Criterion, Finding, judge
from harness.verdicts.verdict import Named, Verdict

COUNT = Evidence("heads that hold", Effect("heads", 6.0), 1, ">=")
LARGEST = Evidence("largest", Effect("d", 2.31, (1.91, 2.71)), 1, ">", p_adjusted=0.002, alpha=0.01)
LOW_P = Evidence("against random sets", Effect("accuracy drop", 0.67), 0.5, ">", p_adjusted=0.17,
                 alpha=0.05)  # fmt: skip
SHOWN = Evidence("shown", Effect("share", 0.2))


def decided(*evidence, criterion="controlled", **more):
    finding = Finding(evidence, **more)
    outcome, reason = judge(finding, Criterion(criterion))
    verdict = Verdict(
        **dict.fromkeys(("run_id", "created", "claim_id", "claim", "prediction_id"), "x"),
        prediction="It holds.", criterion=Criterion(criterion), outcome=outcome, reason=reason,
        model=Named("m"), materials=Named("g"), evidence=finding.evidence,
        controls=finding.controls, gates=finding.gates,
    )  # fmt: skip
    return deciding(verdict)


def test_supported_shows_the_headline_effect_with_its_interval():
    found = decided(COUNT, LARGEST)
    assert found.kind == "effect"
    assert found.plain == "largest: d = +2.31 [+1.91, +2.71], needed > 1"
    assert decided(COUNT).plain == "heads that hold: heads = 6, needed >= 1"


def test_refuted_shows_the_first_requirement_that_failed_and_not_the_first_requirement():
    found = decided(COUNT, replace(LARGEST, threshold=3.0), LOW_P)
    assert found.plain == "largest: d = +2.31 [+1.91, +2.71], needed > 3"


def test_of_a_requirement_only_what_does_not_hold_is_said():
    """`refuted, 0.67, needed > 0.5` would read as a bug."""
    assert decided(COUNT, LOW_P).plain == (
        "against random sets: accuracy drop = 0.67, adjusted p 0.17, needed <= 0.05"
    )
    both = replace(LOW_P, threshold=0.85)
    assert decided(both).plain.endswith("needed > 0.85; adjusted p 0.17, needed <= 0.05")


def test_what_is_not_defined_has_no_interval_and_no_equals_sign():
    nothing = Evidence("shared", Effect("share", float("nan"), (1.0, 1.0)), 0.5, "<")
    found = decided(nothing)
    assert found.plain == "shared: share not defined, needed < 0.5"
    assert found.brief == "share not defined, needed < 0.5: shared"
    assert nothing.explain() == "shared: not defined, needed < 0.5"


def test_refuted_by_a_control_shows_the_control():
    twins = (Control("twin 1", 0, True), Control("twin 2", 3, False, note="heads that hold"))
    assert decided(COUNT, controls=twins).plain == "control twin 2: 3 (heads that hold)"
    assert decided(COUNT, controls=twins, criterion="published").kind == "effect"


def test_inconclusive_shows_the_gate_that_was_not_met():
    gates = (Gate("answers", True, "fine"), Gate("recall", False, "recall accuracy 0.23"))
    found = decided(COUNT, gates=gates)
    assert (found.kind, found.plain) == ("gate", "recall accuracy 0.23")


def test_a_design_that_cannot_reach_alpha_says_so():
    assert "smallest adjusted p" in decided(replace(LARGEST, floor=0.5)).plain


def test_inconclusive_without_a_gate_shows_the_first_requirement_that_is_undecided():
    across = replace(LARGEST, effect=Effect("d", 1.1, (0.8, 1.4)))
    found = decided(COUNT, across, LOW_P)
    assert found.kind == "requirement"
    assert found.plain == "largest: d = +1.10 [+0.80, +1.40], needed > 1"
    assert decided(COUNT, LOW_P).plain.endswith("adjusted p 0.17, needed <= 0.05")


def test_a_cell_shows_the_interval_of_what_is_undecided():
    """Its value alone may meet what was needed, and would read as a mistake."""
    found = decided(Evidence("layers", Effect("count", 1.0, (0.0, 2.0)), 1, ">="))
    assert typeset.plain(found.brief) == "count = 1 [0, 2], needed >= 1: layers"


def test_what_is_only_shown_never_decides():
    assert decided(SHOWN, COUNT).name == "heads that hold"
    assert decided(SHOWN, replace(COUNT, effect=Effect("heads", 0.0))).name == "heads that hold"


@pytest.mark.parametrize(
    ("value", "bound", "text"),
    [(0.7996, 0.8, "0.7996"), (0.79, 0.8, "0.79"), (0.05, 0.05, "0.050"), (0.504, 0.5, "0.504")],
)
def test_a_rounded_number_never_reads_as_its_threshold(value, bound, text):
    assert typeset.number_beside(value, bound) == text


def test_the_record_says_what_decided():
    verdict = decided(COUNT)
    assert verdict.to_json() == {
        "kind": "effect", "name": "heads that hold",
        "text": "heads that hold: heads = 6, needed >= 1",
    }  # fmt: skip
