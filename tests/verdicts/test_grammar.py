"""Held, failed or undecided: every way in which a requirement can stand, and what follows."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verdicts.evidence import Control, Effect, Evidence, State
from harness.verdicts.judge import Criterion, Finding, Outcome, judge

HELD, FAILED, UNDECIDED = State
NAN, INF = float("nan"), float("inf")
RELATIONS = (">=", ">", "<=", "<")


def evidence(value=1.0, interval=None, threshold=0.5, relation=">", **more):
    return Evidence("x", Effect("x", value, interval), threshold, relation, **more)


@pytest.mark.parametrize(
    ("interval", "state"),
    [
        ((0.6, 0.9), HELD),
        ((0.1, 0.4), FAILED),
        ((0.4, 0.9), UNDECIDED),
        ((0.5, 0.9), UNDECIDED),
        ((0.1, 0.5), FAILED),
        ((0.7, 0.7), HELD),
        ((0.5, 0.5), FAILED),
        ((0.6, INF), HELD),
        ((-INF, INF), UNDECIDED),
        ((INF, INF), HELD),
        ((-INF, -INF), FAILED),
        ((NAN, 0.9), UNDECIDED),
        ((0.6, NAN), UNDECIDED),
        ((NAN, NAN), UNDECIDED),
        (None, HELD),
    ],
)
def test_an_interval_decides_whatever_the_estimate(interval, state):
    assert evidence(1.0, interval).state is state


@pytest.mark.parametrize("value", [0.7, INF, 0.2, -INF, 0.5])
def test_without_an_interval_the_value_decides(value):
    assert evidence(value).state is (HELD if value > 0.5 else FAILED)


def test_published_criteria_are_decided_by_the_estimate():
    across = evidence(0.7, (0.1, 0.9))
    assert across.state is UNDECIDED
    assert replace(across, decided_by="estimate").state is HELD
    below = evidence(0.3, (0.1, 0.9), decided_by="estimate", p_adjusted=0.001, alpha=0.01)
    assert below.state is FAILED


@pytest.mark.parametrize(
    ("interval", "p", "state"),
    [
        ((0.6, 0.9), 0.01, HELD),
        ((0.6, 0.9), 0.02, UNDECIDED),
        ((0.6, 0.9), 1.0, UNDECIDED),
        ((0.4, 0.9), 0.001, UNDECIDED),
        ((0.4, 0.9), 1.0, UNDECIDED),
        ((0.1, 0.4), 0.001, FAILED),
        ((0.1, 0.4), 1.0, FAILED),
        ((0.6, 0.9), None, UNDECIDED),
        ((0.6, 0.9), NAN, UNDECIDED),
    ],
)
def test_interval_and_test_must_both_hold_and_the_interval_alone_refutes(interval, p, state):
    assert evidence(0.7, interval, p_adjusted=p, alpha=0.01).state is state


@pytest.mark.parametrize(
    ("value", "p", "state"),
    [
        (0.7, 0.05, HELD),
        (0.7, 0.051, UNDECIDED),
        (0.4, 0.069, UNDECIDED),
        (0.4, 0.499, UNDECIDED),
        (0.4, 0.5, FAILED),
        (0.4, 1.0, FAILED),
        (0.4, NAN, UNDECIDED),
        (0.4, None, UNDECIDED),
        (0.4, 0.01, FAILED),
    ],
)
def test_among_random_draws_a_value_between_half_of_them_and_the_top_is_undecided(value, p, state):
    """0.80 against 0.80 in 100 sets, p .069: compatible with both."""
    assert evidence(value, p_adjusted=p, alpha=0.05).state is state


@pytest.mark.parametrize(("p", "state"), [(0.01, HELD), (0.2, UNDECIDED), (0.5, FAILED)])
@pytest.mark.parametrize("interval", [None, (0.6, 0.9)])
def test_a_test_without_a_threshold_decides_in_the_same_way(p, state, interval):
    alone = evidence(1.0, interval, None, "secondary", p_adjusted=p, alpha=0.05)
    assert alone.state is state


def test_a_published_test_has_no_third_state():
    alone = evidence(0.7, None, p_adjusted=0.06, alpha=0.05, decided_by="estimate")
    assert alone.state is FAILED


@pytest.mark.parametrize("interval", [(0.6, 0.9), (0.1, 0.4), (0.4, 0.9), None])
@pytest.mark.parametrize("p", [0.2, 1.0])
def test_a_design_that_cannot_reach_its_alpha_decides_nothing(interval, p):
    small = evidence(0.7, interval, p_adjusted=p, alpha=0.05, floor=0.2)
    assert small.state is UNDECIDED
    assert "the smallest adjusted p this design can reach is 0.2" in small.explain()


def test_what_is_only_shown_has_no_state():
    assert evidence(1.0, None, None, "secondary").state is None
    assert evidence(1.0, None, None, "secondary", p=0.9).state is None


def test_an_interval_that_ends_before_it_begins_is_an_error():
    with pytest.raises(ValueError, match="no larger than the upper one"):
        _ = evidence(0.7, (0.9, 0.6)).state


STATES = {HELD: evidence(1.0), FAILED: evidence(0.0), UNDECIDED: evidence(1.0, (0.0, 2.0))}


@pytest.mark.parametrize("criterion", Criterion)
@pytest.mark.parametrize("states", list(product(State, repeat=3)))
@pytest.mark.parametrize("control", [True, False, None])
def test_the_outcome_of_every_combination(criterion, states, control):
    found = Finding(tuple(STATES[s] for s in states), (Control("twin", 0, control),))
    misbehaves = control is False and criterion is Criterion.CONTROLLED
    expected = Outcome.SUPPORTED
    if UNDECIDED in states:
        expected = Outcome.INCONCLUSIVE
    if FAILED in states or misbehaves:
        expected = Outcome.REFUTED
    assert judge(found, criterion)[0] is expected


def test_reasons_name_what_failed_before_what_is_undecided():
    both = Finding((STATES[UNDECIDED], STATES[FAILED]))
    assert judge(both, Criterion.CONTROLLED)[1] == "x: 0, needed > 0.5"
    open_ = Finding((STATES[UNDECIDED], STATES[HELD]))
    assert judge(open_, Criterion.CONTROLLED)[1] == "undecided: x: 1 [0, 2], needed > 0.5"


number = st.floats(-10, 10)
relation = st.sampled_from(RELATIONS)
tested = st.one_of(st.none(), st.tuples(st.floats(0, 1), st.sampled_from([0.01, 0.05])))


def with_test(value, between, bound, relation, test):
    p, alpha = test or (None, None)
    return evidence(value, between, bound, relation, p_adjusted=p, alpha=alpha)


@given(ends=st.tuples(number, number), bound=number, relation=relation, test=tested,
       at=st.tuples(st.floats(0, 1), st.floats(0, 1)))  # fmt: skip
def test_no_verdict_changes_by_moving_an_estimate_within_its_interval(
    ends, bound, relation, test, at
):
    low, high = sorted(ends)
    values = [float(np.clip(low + share * (high - low), low, high)) for share in at]
    found = [with_test(v, (low, high), bound, relation, test) for v in values]
    assert found[0].state is found[1].state
    outcomes = {judge(Finding((e,)), Criterion.CONTROLLED)[0] for e in found}
    assert len(outcomes) == 1


@given(ends=st.tuples(number, number), more=st.tuples(st.floats(0, 5), st.floats(0, 5)),
       bound=number, relation=relation, test=tested)  # fmt: skip
def test_a_wider_interval_decides_nothing_that_was_undecided_and_turns_nothing_round(
    ends, more, bound, relation, test
):
    low, high = sorted(ends)
    narrow = with_test(low, (low, high), bound, relation, test).state
    wide = with_test(low, (low - more[0], high + more[1]), bound, relation, test).state
    assert wide in (narrow, UNDECIDED)


@given(value=number, bound=number, relation=relation, p=st.tuples(st.floats(0, 1), st.floats(0, 1)),
       interval=st.one_of(st.none(), st.just((-11.0, 11.0)), st.just((10.5, 11.0))))  # fmt: skip
def test_a_smaller_p_never_takes_support_away(value, bound, relation, p, interval):
    order = [FAILED, UNDECIDED, HELD]
    small, large = (with_test(value, interval, bound, relation, (x, 0.05)) for x in sorted(p))
    meets = evidence(value, None, bound, relation).state is HELD
    if interval is not None or meets:
        assert order.index(small.state) >= order.index(large.state)


@given(value=number, bound=number, relation=relation)
def test_the_estimate_alone_never_leaves_anything_undecided(value, bound, relation):
    found = evidence(value, (value - 20, value + 20), bound, relation, decided_by="estimate")
    assert found.state in (HELD, FAILED)
    assert found.state is evidence(value, None, bound, relation).state
