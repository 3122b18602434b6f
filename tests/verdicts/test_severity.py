"""How many contrasts of one process a rule supports, beside the verdict that it gives."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Criterion, Finding, judge
from harness.verdicts.severity import Severity
from harness.verdicts.table import row
from harness.verdicts.verdict import Named, Verdict

HOLDS = Evidence("count", Effect("count", 3.0), threshold=2, relation=">=", n=10)


def verdict(severity=None, **more):
    finding = Finding((HOLDS,), severity=severity)
    outcome, reason = judge(finding, Criterion.CONTROLLED)
    return Verdict(
        **dict.fromkeys(("run_id", "created", "claim_id", "claim", "prediction_id"), "x"),
        prediction="It holds.", criterion=Criterion.CONTROLLED, outcome=outcome, reason=reason,
        model=Named("m"), materials=Named("g", {"hash": "0", "n": {}}),
        evidence=finding.evidence, severity=finding.severity, **more,
    )  # fmt: skip


@pytest.mark.parametrize(("supported", "contrasts"), [(0, 28), (2, 28), (28, 28), (1, 1)])
def test_the_interval_is_the_exact_one(supported, contrasts):
    severity = Severity(supported, contrasts)
    exact = binomtest(supported, contrasts).proportion_ci(0.95, "exact")
    assert severity.interval == pytest.approx((exact.low, exact.high))
    assert severity.share == supported / contrasts


@pytest.mark.parametrize(("supported", "contrasts"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_what_is_no_share_is_refused(supported, contrasts):
    with pytest.raises(ValueError, match=f"severity: {supported} of {contrasts} contrasts"):
        Severity(supported, contrasts)


def test_it_is_counted_from_what_the_rule_says_of_each_contrast():
    assert Severity.of(np.array([True, False, True])) == Severity(2, 3)


def test_it_is_said_in_a_sentence():
    said = str(Severity(2, 28))
    assert said == "the same rule supports 2 of 28 same-process contrasts [0.009, 0.24]"
    assert str(Severity(1, 1)).startswith("the same rule supports 1 of 1 same-process contrast [")


def test_every_record_has_it_or_says_that_it_has_none():
    with_it, without = verdict(Severity(2, 28)), verdict()
    record = json.loads(json.dumps(with_it.to_json()))
    assert record["severity"]["supported"] == 2
    assert record["severity"]["share"] == 2 / 28
    assert Verdict.from_json(record) == with_it
    assert without.to_json()["severity"] is None
    assert Verdict.from_json(without.to_json()).severity is None
    del record["severity"]  # of an earlier version
    assert Verdict.from_json(record).severity is None


def test_the_table_has_its_numbers():
    columns = row(verdict(Severity(2, 28), primary=True))
    assert (columns["severity_supported"], columns["severity_contrasts"]) == (2, 28)
    assert columns["primary"] is True
    assert row(verdict())["severity_contrasts"] is None
