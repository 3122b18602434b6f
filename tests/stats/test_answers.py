"""McNemar's test against statsmodels, pingouin and scipy, and its error rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats import binomial_interval, mcnemar

answers = st.integers(1, 40).flatmap(lambda n: arrays(bool, (2, n)))


def answered(kept, lost, gained, wrong):
    """Items of each kind, in this order."""
    before = np.repeat([1, 1, 0, 0], [kept, lost, gained, wrong])
    after = np.repeat([1, 0, 1, 0], [kept, lost, gained, wrong])
    return before, after


def test_p_is_pingouins():
    import pandas as pd
    import pingouin

    before, after = answered(20, 9, 2, 5)
    frame = pd.DataFrame({"before": before, "after": after})
    reference = pingouin.chi2_mcnemar(frame, "before", "after")[1].loc["mcnemar", "p_exact"]
    assert mcnemar(before, after).p == pytest.approx(reference, rel=1e-9)


@given(answers)
@settings(max_examples=80, deadline=None)
def test_p_is_scipys_sign_test_of_the_changed_items(pair):
    from scipy.stats import binomtest

    result = mcnemar(*pair)
    changed = int((pair[0] != pair[1]).sum())
    assert result.lost + result.gained == changed
    assert result.items == len(pair[0])
    if changed:
        assert result.p == pytest.approx(binomtest(result.lost, changed).pvalue)
    else:
        assert result.p == 1


@given(answers)
@settings(max_examples=40, deadline=None)
def test_turning_time_round_swaps_lost_and_gained_and_leaves_p(pair):
    there, back = mcnemar(*pair), mcnemar(*pair[::-1])
    assert (there.lost, there.gained, there.p) == (back.gained, back.lost, back.p)


def test_unchanged_items_count_for_nothing():
    few, many = mcnemar(*answered(0, 8, 1, 0)), mcnemar(*answered(300, 8, 1, 200))
    assert few.p == many.p


def test_numbers_and_booleans_are_the_same_answers():
    before, after = answered(3, 4, 1, 2)
    assert mcnemar(before, after) == mcnemar(before.astype(bool), after.astype(float))


def test_answers_that_change_either_way_are_rejected_no_more_often_than_alpha():
    rng = np.random.default_rng(0)
    before, flipped = rng.random((2000, 30)) < 0.5, rng.random((2000, 30)) < 0.3
    p = [mcnemar(*pair).p for pair in zip(before, before ^ flipped, strict=True)]
    assert binomial_interval(int((np.array(p) <= 0.05).sum()), 2000, 0.999)[0] <= 0.05


def test_what_is_no_pair_of_answers_is_refused():
    with pytest.raises(ValueError, match=r"before has shape \(0,\); expected one answer"):
        mcnemar(np.array([]), np.array([]))
    with pytest.raises(ValueError, match=r"after has shape \(2, 1\)"):
        mcnemar(np.ones(2), np.ones((2, 1)))
    with pytest.raises(ValueError, match="before has 3 items and after 2"):
        mcnemar(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"after is nan at item 1; an answer is correct \(1\)"):
        mcnemar(np.ones(2), np.array([1, np.nan]))
    with pytest.raises(ValueError, match=r"before is 0\.5 at item 0"):
        mcnemar(np.array([0.5, 1]), np.ones(2))
