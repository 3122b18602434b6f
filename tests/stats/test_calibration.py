"""The instruments that check the instrument."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import binomial_interval, jeffreys_interval, scaled_count, uniformity


def test_continuous_uniformity_is_scipys_kolmogorov_smirnov():
    from scipy.stats import kstest

    p = np.random.default_rng(0).random(200) ** 1.2
    two, one = kstest(p, "uniform"), kstest(p, "uniform", alternative="greater")
    result = uniformity(p)
    assert (result.statistic, result.p) == pytest.approx((two.statistic, two.pvalue))
    assert (result.excess, result.p_excess) == pytest.approx((one.statistic, one.pvalue))
    assert result.n == 200


@pytest.mark.parametrize("levels", [None, 20, 1000])
def test_uniform_p_values_are_rejected_no_more_often_than_alpha(levels):
    rng = np.random.default_rng(1)
    draw = rng.random if levels is None else lambda n: rng.integers(1, levels + 1, n) / levels
    results = [uniformity(draw(100), levels) for _ in range(600)]
    for p in ([r.p for r in results], [r.p_excess for r in results]):
        assert binomial_interval(int((np.array(p) <= 0.05).sum()), 600, 0.999)[0] <= 0.05


def test_steps_alone_are_not_held_against_permutation_p_values():
    p = np.random.default_rng(2).integers(1, 11, 3000) / 10
    assert uniformity(p).p < 1e-6
    assert uniformity(p, 10).p > 0.01


@pytest.mark.parametrize("levels", [None, 1000])
def test_departures_are_found_and_told_apart(levels):
    rng = np.random.default_rng(3)

    def steps(p):
        return p if levels is None else np.ceil(p * levels) / levels

    small, large = steps(rng.random(500) ** 2), steps(rng.random(500) ** 0.5)
    assert uniformity(small, levels).p < 1e-6
    assert uniformity(small, levels).p_excess < 1e-6
    assert uniformity(large, levels).p < 1e-6
    assert uniformity(large, levels).p_excess > 0.5


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="7 p-values"):
        uniformity(np.full(7, 0.5))
    with pytest.raises(ValueError, match="expected 8 or more between 0 and 1"):
        uniformity(np.append(np.full(9, 0.5), np.nan))
    with pytest.raises(ValueError, match="multiple of 1/10"):
        uniformity(np.full(9, 0.55), 10)
    with pytest.raises(ValueError, match="above 0"):
        uniformity(np.zeros(9), 10)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60, deadline=None)
def test_the_binomial_interval_is_statsmodels_and_scipys(case):
    from scipy.stats import binomtest
    from statsmodels.stats.proportion import proportion_confint

    k, n = case
    low, high = binomial_interval(k, n, 0.9)
    assert (low, high) == pytest.approx(proportion_confint(k, n, 0.1, "beta"), abs=1e-9)
    assert (low, high) == pytest.approx(binomtest(k, n).proportion_ci(0.9), abs=1e-9)
    assert 0 <= low <= k / n <= high <= 1


def test_an_impossible_rate_is_refused():
    with pytest.raises(ValueError, match="5 successes in 4 trials"):
        binomial_interval(5, 4)
    with pytest.raises(ValueError, match="0 successes in 0 trials"):
        binomial_interval(0, 0)


@pytest.mark.parametrize(
    ("case", "count"),
    [
        ((20, 784, 784), 20),
        ((20, 784, 16), 1),
        ((20, 784, 40), 2),
        ((5, 28, 28), 5),
        ((5, 28, 6), 2),
        ((100, 530_432, 2048), 1),
        ((0, 784, 16), 1),
        ((100, 530_432, 530_433), 101),
    ],
)
def test_published_counts_scale_upwards(case, count):
    assert scaled_count(*case) == count


@given(st.integers(1, 784), st.integers(1, 10_000))
def test_a_scaled_count_fits_and_is_never_laxer_than_published(published, total):
    count = scaled_count(published, 784, total)
    assert 1 <= count <= total
    assert count / total >= published / 784
    with pytest.raises(ValueError, match="positive totals"):
        scaled_count(785, 784, total)


@pytest.mark.parametrize("case", [(0, 24), (1, 24), (12, 24), (24, 24), (30, 200)])
def test_the_jeffreys_interval_is_statsmodels(case):
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(*case, method="jeffreys")
    ends = (0.0 if case[0] == 0 else low, 1.0 if case[0] == case[1] else high)
    assert jeffreys_interval(*case) == pytest.approx(ends)
    assert jeffreys_interval(0, 24)[1] < 0.1 < jeffreys_interval(0, 23)[1]
