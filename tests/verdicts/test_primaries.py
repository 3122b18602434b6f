"""The primaries of a run as one family; the correction changes no verdict."""

import json

import pytest

from harness.verdicts import records
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Criterion, Finding, judge
from harness.verdicts.primaries import primaries_of
from harness.verdicts.verdict import Known, Named, Verdict

GATED = Gate("accuracy", False, "accuracy 0.12, gate 0.60")


def with_p(p, alpha=0.05, floor=None, interval=(0.6, 1.2)):
    effect = Effect("d", 0.9, interval)
    return Evidence(f"d {p}", effect, 0.5, ">", p_adjusted=p, alpha=alpha, floor=floor, n=9)


def verdict(claim, *evidence, gates=(), primary=True, control=None, model="m"):
    finding = Finding(evidence, gates=gates)
    outcome, reason = judge(finding, Criterion.CONTROLLED)
    return Verdict(
        run_id="r", created="2026-01-01T00:00:00+00:00", claim_id=claim, claim="Claim.",
        prediction_id=f"{claim}_holds", prediction="It holds.", criterion=Criterion.CONTROLLED,
        outcome=outcome, reason=reason, model=Named(model), evidence=finding.evidence,
        materials=Named("g", {"hash": "0", "n": {}}), gates=gates, primary=primary, control=control,
    )  # fmt: skip


BY_INTERVAL = Evidence("depth", Effect("layers", 0.4, (0.2, 0.6)), 0, ">", n=9)


def test_holm_takes_the_largest_p_of_every_primary_over_the_run():
    found = primaries_of(
        [
            verdict("h1", with_p(0.001, 0.01)),
            verdict("h5", with_p(0.0001), with_p(0.02)),
            verdict("h8", with_p(0.04)),
            verdict("h8", with_p(0.00001), primary=False),
        ]
    )
    assert [p.p for p in found.each] == [0.001, 0.02, 0.04]
    assert [p.p_adjusted for p in found.each] == pytest.approx([0.003, 0.04, 0.04])
    assert [p.alpha for p in found.each] == [0.01, 0.05, 0.05]
    assert [p.remains for p in found.each] == [True, True, True]


def test_a_supported_primary_may_not_remain_and_stays_supported():
    verdicts = [verdict(f"h{i}", with_p(0.03)) for i in range(1, 4)]
    found = primaries_of(verdicts)
    assert [p.remains for p in found.each] == [False, False, False]
    assert all(v.outcome == "supported" for v in verdicts)
    first, *lost = found.lines()
    assert first.startswith("3 of 3 primary predictions are supported, 0 of them after Holm's")
    assert lost[0] == "  not after correction: h1 m h1_holds, adjusted p 0.09, needed <= 0.05"


def test_what_was_refuted_counts_in_the_family_and_does_not_remain():
    refuted = verdict("h2", with_p(0.9, interval=(0.1, 0.2)))
    found = primaries_of([verdict("h1", with_p(0.02)), refuted])
    assert [p.p_adjusted for p in found.each] == pytest.approx([0.04, 0.9])
    assert [p.remains for p in found.each] == [True, None]


def test_without_a_p_a_primary_is_said_to_be_decided_by_its_interval():
    found = primaries_of([verdict("h6", BY_INTERVAL), verdict("h1", with_p(0.001))])
    assert (found.each[0].p, found.each[0].remains) == (None, None)
    assert found.lines()[-1] == "  without a p, decided by intervals: h6 m h6_holds"
    assert found.each[1].p_adjusted == 0.001  # the family is of one


def test_what_stopped_at_a_gate_was_not_looked_at():
    found = primaries_of([verdict("h5", gates=(GATED,)), verdict("h1", with_p(0.04))])
    assert [p.p_adjusted for p in found.each] == [None, 0.04]
    assert found.expected_false == 0.05


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ((with_p(0.001, 0.01),), 0.01),
        ((with_p(0.001, 0.01), with_p(0.02, 0.05)), 0.01),
        ((with_p(0.04, 0.05, floor=1 / 21),), 1 / 21),
        ((with_p(0.2),), 0),  # undecided: not among those that were decided
        ((BY_INTERVAL,), 0),
    ],
)
def test_the_expected_number_of_false_supports_is_the_sum_of_alphas(evidence, expected):
    found = primaries_of([verdict("h1", *evidence)])
    assert found.expected_false == pytest.approx(expected)
    both = primaries_of([verdict("h1", *evidence), verdict("h2", with_p(0.001))])
    assert both.expected_false == pytest.approx(expected + 0.05)


def test_reference_models_are_in_no_family_and_a_run_without_primaries_says_nothing():
    known = verdict("h1", with_p(0.001), control=Known("positive", "supported", "planted"))
    assert primaries_of([known, verdict("h2", with_p(0.01), primary=False)]).each == ()
    assert primaries_of([]).lines() == []


def test_they_stand_at_the_head_of_the_file(tmp_path):
    verdicts = [verdict("h1", with_p(0.001)), verdict("h6", BY_INTERVAL)]
    path = records.write_verdicts(tmp_path, verdicts)
    head = json.loads(path.read_text())["primaries"]
    assert head["expected_false_supports"] == 0.05
    assert [p["remains"] for p in head["predictions"]] == [True, None]
    back = records.read_verdicts(tmp_path)
    assert [v.primary for v in back] == [True, True]
