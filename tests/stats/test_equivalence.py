"""Equivalence against scipy, statsmodels and pingouin, and at the margin itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from harness.stats import binomial_interval, equivalence_mean, equivalence_share, uniformity

shares = st.integers(1, 120).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(shares, st.floats(0.01, 0.9))
@settings(max_examples=60, deadline=None)
def test_a_share_is_the_binomial_and_clopper_pearson(case, margin):
    from statsmodels.stats.proportion import proportion_confint

    lost, n = case
    result = equivalence_share(lost, n, margin)
    assert result.p == pytest.approx(binom.cdf(lost, n, margin))
    assert result.upper == pytest.approx(proportion_confint(lost, n, 0.1, "beta")[1], abs=1e-9)
    assert result.floor == pytest.approx(equivalence_share(0, n, margin).p)
    assert result.floor <= result.p * (1 + 1e-9)
    assert result.share <= result.upper
    if abs(result.upper - margin) > 1e-9:
        assert (result.p <= 0.05) == (result.upper <= margin)


def test_a_share_needs_only_its_upper_test():
    from statsmodels.stats.proportion import binom_tost

    both = binom_tost(3, 60, 1e-12, 0.2)[0]
    assert equivalence_share(3, 60, 0.2).p == pytest.approx(both)


def test_nothing_lost_bounds_a_share_by_the_rule_of_three():
    assert equivalence_share(0, 60, 0.05).upper == pytest.approx(3 / 60, rel=0.05)
    assert equivalence_share(0, 60, 0.05).p <= 0.05 < equivalence_share(0, 58, 0.05).p


@pytest.mark.parametrize(("n", "margin"), [(20, 0.2), (60, 0.05), (200, 0.1)])
def test_a_share_at_the_margin_passes_no_more_often_than_alpha(n, margin):
    p = np.array([equivalence_share(lost, n, margin).p for lost in range(n + 1)])
    assert binom.pmf(np.arange(n + 1), n, margin)[p <= 0.05].sum() <= 0.05
    # Two hundred items that lose 2% are seen to lose less than 10%.
    if n == 200:
        assert binom.pmf(np.arange(n + 1), n, 0.02)[p <= 0.05].sum() > 0.99


def test_an_impossible_share_is_refused():
    with pytest.raises(ValueError, match="3 lost of 2 with margin"):
        equivalence_share(3, 2, 0.1)
    with pytest.raises(ValueError, match="0 lost of 0"):
        equivalence_share(0, 0, 0.1)
    with pytest.raises(ValueError, match="margin 5 and alpha"):
        equivalence_share(0, 10, 5)
    with pytest.raises(ValueError, match="margin nan"):
        equivalence_share(0, 10, float("nan"))
    with pytest.raises(ValueError, match="alpha 5"):
        equivalence_share(0, 10, 0.1, alpha=5)


@pytest.mark.parametrize("n", [2, 7, 40])
@pytest.mark.parametrize("shift", [0, 0.3, -2])
def test_a_mean_is_pingouins_tost(n, shift):
    import pingouin

    differences = np.random.default_rng(n).standard_normal(n) + shift
    reference = pingouin.tost(differences, np.zeros(n), bound=0.5, paired=True)
    assert equivalence_mean(differences, 0.5).p == pytest.approx(reference["pval"].iloc[0])


@given(
    st.lists(st.floats(-3, 3, width=16), min_size=2, max_size=30),
    st.floats(0.05, 4),
    st.sampled_from([0.01, 0.05, 0.2]),
)
@settings(max_examples=80, deadline=None)
def test_p_is_small_exactly_where_the_interval_is_inside_the_margin(values, margin, alpha):
    from scipy.stats import ttest_1samp

    result = equivalence_mean(np.array(values), margin, alpha=alpha)
    assert 0 <= result.p <= 1
    assert result.low <= result.mean <= result.high
    edge = min(abs(result.low + margin), abs(result.high - margin))
    if edge > 1e-6:
        assert (result.p <= alpha) == (-margin < result.low and result.high < margin)
    turned = equivalence_mean(-np.array(values), margin, alpha=alpha)
    assert turned.p == pytest.approx(result.p, abs=1e-12)
    if np.std(values) > 1e-3:
        interval = ttest_1samp(values, 0).confidence_interval(1 - 2 * alpha)
        assert (result.low, result.high) == pytest.approx((interval.low, interval.high))


def test_means_at_the_margin_pass_as_often_as_alpha_and_means_at_zero_pass():
    noise = np.random.default_rng(0).standard_normal((1500, 25))
    p = np.array([equivalence_mean(row + 1, 1).p for row in noise])
    low, high = binomial_interval(int((p <= 0.05).sum()), 1500, 0.999)
    assert low <= 0.05 <= high
    assert uniformity(p).p_excess > 0.01
    inside = [equivalence_mean(row, 1).p <= 0.05 for row in noise[:300]]
    assert np.mean(inside) > 0.95
    few = [equivalence_mean(row[:3], 0.3).p <= 0.05 for row in noise]
    assert np.mean(few) <= 0.05


@pytest.mark.parametrize(("level", "p"), [(0.0, 0), (0.1, 0), (-0.1, 0), (0.3, 1), (-7.0, 1)])
def test_differences_without_spread_are_taken_at_their_word(level, p):
    result = equivalence_mean(np.full(7, level), 0.3)
    assert (result.mean, result.low, result.high, result.p) == (level, level, level, p)
    assert result.n == 7


def test_a_spread_too_small_to_square_is_no_spread():
    assert equivalence_mean(np.array([0, 1e-200]), 0.3).p == 0


def test_an_impossible_mean_is_refused():
    with pytest.raises(ValueError, match="differences has 1 rows; at least 2"):
        equivalence_mean(np.ones(1), 1)
    with pytest.raises(ValueError, match="differences is nan in cell"):
        equivalence_mean(np.array([1, np.nan, 2]), 1)
    with pytest.raises(ValueError, match=r"differences has shape \(2, 2\)"):
        equivalence_mean(np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match="margin is -1"):
        equivalence_mean(np.ones(3), -1)
    with pytest.raises(ValueError, match="margin is nan"):
        equivalence_mean(np.ones(3), float("nan"))
    with pytest.raises(ValueError, match=r"alpha 0\.5"):
        equivalence_mean(np.ones(3), 1, alpha=0.5)
