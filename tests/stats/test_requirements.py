"""An interval and a threshold, in every order."""

import math

import pytest

from harness.stats import Decision, all_decided, decided

HELD, FAILED, UNDECIDED = Decision


@pytest.mark.parametrize(
    ("low", "high", "relation", "expected"),
    [
        (0.6, 0.9, ">=", HELD),
        (0.1, 0.4, ">=", FAILED),
        (0.4, 0.9, ">=", UNDECIDED),
        (0.5, 0.9, ">=", HELD),
        (0.5, 0.9, ">", UNDECIDED),
        (0.1, 0.5, ">=", UNDECIDED),
        (0.1, 0.5, ">", FAILED),
        (0.1, 0.4, "<=", HELD),
        (0.6, 0.9, "<=", FAILED),
        (0.4, 0.9, "<=", UNDECIDED),
        (0.1, 0.5, "<=", HELD),
        (0.1, 0.5, "<", UNDECIDED),
        (0.5, 0.9, "<", FAILED),
        (0.5, 0.9, "<=", UNDECIDED),
        (0.6, math.inf, ">", HELD),
        (-math.inf, 0.6, ">", UNDECIDED),
        (math.nan, 0.9, ">=", UNDECIDED),
        (0.6, math.nan, "<=", UNDECIDED),
    ],
)
def test_an_interval_on_one_side_decides_and_one_across_does_not(low, high, relation, expected):
    assert decided(low, high, 0.5, relation) is expected


def test_the_point_estimate_decides_nothing():
    assert decided(0.79, 0.8004, 0.80, ">=") is decided(0.7996, 0.81, 0.80, ">=") is UNDECIDED


@pytest.mark.parametrize(
    ("interval", "relation", "message"),
    [
        ((0, 1, 0.5), "secondary", "relation is 'secondary'"),
        ((1, 0, 0.5), ">", "interval 1 to 0"),
        ((0, 1, math.nan), ">", "threshold that is a number"),
    ],
)
def test_what_cannot_be_decided_is_refused(interval, relation, message):
    with pytest.raises(ValueError, match=message):
        decided(*interval, relation)


def test_one_failure_outweighs_what_is_undecided():
    assert all_decided([HELD, HELD]) is HELD
    assert all_decided([HELD, UNDECIDED]) is UNDECIDED
    assert all_decided([UNDECIDED, HELD, FAILED]) is FAILED
    with pytest.raises(ValueError, match="no requirements"):
        all_decided([])
