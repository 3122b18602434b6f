"""Rank correlation against scipy and pingouin, its error rate within blocks, and its edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import binomial_interval, rank_correlation, uniformity

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("levels", [0, 3], ids=["continuous", "ties"])
def test_rho_and_p_are_scipys(levels):
    from scipy.stats import spearmanr

    x, y = RNG.standard_normal((2, 60))
    y += 0.4 * x
    if levels:
        x, y = np.round(x * levels / 2), np.round(y * levels / 2)
    result = rank_correlation(x, y, permutations=9999)
    assert result.rho == pytest.approx(spearmanr(x, y).statistic)
    assert result.p == pytest.approx(spearmanr(x, y).pvalue, abs=0.01)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_few_items_are_gone_through_exhaustively(n):
    from scipy.stats import permutation_test, spearmanr

    x, y = np.random.default_rng(n).standard_normal((2, n))
    reference = permutation_test(
        (x,), lambda x: spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=1000
    )
    result = rank_correlation(x, y)
    assert result.p == pytest.approx(reference.pvalue)
    # As large a rho the other way round is always among the arrangements.
    assert result.floor == pytest.approx(2 / math.factorial(n))


def test_the_interval_is_pingouins_widened_by_bonett_and_wright():
    import pingouin

    x, y = RNG.standard_normal((2, 50))
    result = rank_correlation(x, y + x, level=0.9)
    fisher = pingouin.compute_esci(stat=result.rho, nx=50, ny=50, eftype="r", confidence=0.9)
    centre = np.arctanh(result.rho)
    widened = np.tanh(centre + (np.arctanh(fisher) - centre) * np.sqrt(1 + result.rho**2 / 2))
    # pingouin rounds to two decimals.
    assert (result.low, result.high) == pytest.approx(tuple(widened), abs=0.02)


@pytest.mark.parametrize("r", [0, 0.8])
def test_the_interval_covers_as_often_as_it_says(r):
    rng = np.random.default_rng(1)
    x, noise = rng.standard_normal((2, 800, 40))
    truth = 6 / np.pi * np.arcsin(r / 2)
    results = [
        rank_correlation(a, r * a + np.sqrt(1 - r**2) * b, permutations=1)
        for a, b in zip(x, noise, strict=True)
    ]
    covered = np.mean([result.low <= truth <= result.high for result in results])
    assert 0.92 <= covered <= 0.98


@pytest.mark.parametrize("levels", [0, 2], ids=["continuous", "ties"])
def test_unrelated_measures_are_rejected_as_often_as_alpha(levels):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 500, 20))
    if levels:
        x, y = np.round(x * levels / 2), np.round(y)
    p = np.array(
        [
            rank_correlation(a, b, permutations=99, seed=seed).p
            for seed, (a, b) in enumerate(zip(x, y, strict=True))
        ]
    )
    low, high = binomial_interval(int((p <= 0.05).sum()), 500, 0.999)
    assert low <= 0.05
    if not levels:
        assert high >= 0.05
        assert uniformity(p, 100).p > 0.01


def test_what_only_differs_between_blocks_gives_no_small_p_within_them():
    rng = np.random.default_rng(3)
    blocks = np.repeat(np.arange(5), 8)
    level = 3 * np.arange(5)[blocks]
    p = np.array(
        [
            rank_correlation(*(rng.standard_normal((2, 40)) + level), permutations=99, blocks=b).p
            for b in (None, blocks)
            for _ in range(400)
        ]
    ).reshape(2, 400)
    assert (p[0] <= 0.05).all()
    low, high = binomial_interval(int((p[1] <= 0.05).sum()), 400, 0.999)
    assert low <= 0.05 <= high
    x = rng.standard_normal(40) + level
    assert rank_correlation(x, x + 0.1 * rng.standard_normal(40), blocks=blocks).p < 0.01


def test_blocks_may_lie_anywhere_and_have_any_name():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((2, 6))
    names, order = ["a", "a", "a", "b", "b", "b"], rng.permutation(6)
    sorted_, mixed = (
        rank_correlation(x, y, blocks=names),
        rank_correlation(x[order], y[order], blocks=[names[i] for i in order]),
    )
    assert sorted_.p == pytest.approx(mixed.p)
    assert round(sorted_.p * 36) == pytest.approx(sorted_.p * 36)


ranks = st.lists(st.integers(-4, 4), min_size=3, max_size=25)


@given(ranks, st.integers(0, 100), st.integers(1, 50))
@settings(max_examples=80, deadline=None)
def test_bounds_signs_and_monotone_maps(values, seed, permutations):
    x = np.array(values, float)
    y = np.random.default_rng(seed).integers(0, 4, len(x)).astype(float)
    result = rank_correlation(x, y, permutations=permutations)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan([result.rho, result.low, result.high, result.p]).all()
        return
    assert 1 / (permutations + 1) <= result.floor <= result.p <= 1
    assert -1 <= result.low <= result.rho <= result.high <= 1
    mapped = rank_correlation(np.exp(x), y, permutations=permutations)
    assert (mapped.rho, mapped.p) == pytest.approx((result.rho, result.p))
    turned = rank_correlation(-x, y, permutations=permutations)
    assert (turned.rho, turned.p) == pytest.approx((-result.rho, result.p))
    assert result.items == len(x)


def test_a_perfect_order_reaches_the_floor_and_has_no_width():
    result = rank_correlation(np.arange(20), np.arange(20) ** 3, permutations=999)
    assert (result.rho, result.low, result.high) == pytest.approx((1, 1, 1))
    assert result.p == result.floor == 1 / 1000
    three = rank_correlation(np.arange(3), np.array([1, 3, 2]))
    assert (three.low, three.high) == (-1, 1)


def test_a_constant_measure_is_undefined_without_a_warning():
    result = rank_correlation(np.full(9, 0.1), np.arange(9))
    assert np.isnan([result.rho, result.p, result.floor]).all()
    assert (result.items, result.level) == (9, 0.95)


def test_impossible_designs_are_refused():
    with pytest.raises(ValueError, match="x has 2 rows; at least 3"):
        rank_correlation(np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="x has 4 items and y 3"):
        rank_correlation(np.arange(4), np.arange(3))
    with pytest.raises(ValueError, match="y is nan in cell"):
        rank_correlation(np.arange(3), np.array([1, np.nan, 2]))
    with pytest.raises(ValueError, match="blocks names 2 items; there are 3"):
        rank_correlation(np.arange(3), np.arange(3), blocks=["a", "b"])
    with pytest.raises(ValueError, match="each of 3 items is a block of its own"):
        rank_correlation(np.arange(3), np.arange(3), blocks="abc")
    with pytest.raises(ValueError, match="permutations is 0"):
        rank_correlation(np.arange(3), np.arange(3), permutations=0)
    with pytest.raises(ValueError, match="level is 95"):
        rank_correlation(np.arange(3), np.arange(3), level=95)
