"""Sign-flip permutation against brute force, its error rate and its power."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats import binomial_interval, sign_flip_max, uniformity
from harness.stats.permutation import sign_patterns


def brute_force(contrast):
    """Statistic, p and adjusted p over all 2^n patterns, one at a time, in float64."""
    length = np.sqrt((contrast**2).sum(axis=0))
    patterns = np.array(list(itertools.product([1, -1], repeat=len(contrast))))
    null = np.array([np.abs((row[:, None] * contrast).sum(axis=0)) / length for row in patterns])
    p = (null >= null[0] - 1e-9).mean(axis=0)
    adjusted = (null.max(axis=1)[:, None] >= null[0] - 1e-9).mean(axis=0)
    return contrast.sum(axis=0) / length, p, adjusted


@pytest.mark.parametrize("levels", [0, 2], ids=["continuous", "ties"])
def test_few_units_are_gone_through_exhaustively(levels):
    contrast = np.random.default_rng(0).standard_normal((8, 25)) + 0.4
    if levels:
        contrast = np.round(contrast * levels) + 0.25
    statistic, p, adjusted = brute_force(contrast)
    result = sign_flip_max(contrast, permutations=128)
    np.testing.assert_allclose(result.statistic, statistic, rtol=1e-5)
    np.testing.assert_allclose(result.p, p, rtol=1e-12)
    np.testing.assert_allclose(result.p_adjusted, adjusted, rtol=1e-12)
    assert result.floor == 1 / 128
    assert len(result.null_max) == 128


def test_one_cell_is_scipys_permutation_test():
    from scipy.stats import permutation_test

    contrast = np.random.default_rng(1).standard_normal(9) + 0.5
    reference = permutation_test(
        (contrast,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert float(sign_flip_max(contrast).p) == pytest.approx(reference.pvalue, rel=1e-12)


def test_the_statistic_is_monotone_in_t():
    from scipy.stats import ttest_1samp

    contrast = np.random.default_rng(2).standard_normal((12, 500)) + 0.3
    order = np.argsort(sign_flip_max(contrast, permutations=1).statistic)
    assert (np.diff(ttest_1samp(contrast, 0).statistic[order]) > -1e-4).all()


@pytest.mark.parametrize(("pairs", "permutations"), [(8, 200), (40, 399)])
def test_p_is_uniform_where_nothing_differs(pairs, permutations):
    contrast = np.random.default_rng(3).standard_normal((pairs, 4000)) * np.linspace(0.1, 9, 4000)
    result = sign_flip_max(contrast, permutations=permutations, seed=4)
    assert uniformity(result.p, round(1 / result.floor)).p > 0.01
    for alpha in (0.05, 0.25, 0.5):
        low, high = binomial_interval(int((result.p <= alpha).sum()), 4000, 0.999)
        assert low <= alpha <= high


def test_the_family_wise_error_rate_is_alpha_with_dependent_cells():
    rng = np.random.default_rng(5)
    least = []
    for seed in range(1000):
        contrast = rng.standard_normal((20, 15)) + 2 * rng.standard_normal((20, 1))
        contrast *= rng.choice([1, -1], 15) * rng.uniform(0.01, 100, 15)
        least.append(sign_flip_max(contrast, permutations=99, seed=seed).p_adjusted.min())
    for alpha in (0.05, 0.2):
        low, high = binomial_interval(int((np.array(least) <= alpha).sum()), 1000, 0.999)
        assert low <= alpha <= high
    assert uniformity(np.array(least), 100).p > 0.01


def test_flipping_single_pairs_of_dependent_blocks_errs_and_flipping_blocks_does_not():
    rng = np.random.default_rng(6)
    blocks = np.repeat(np.arange(10), 6)
    contrast = np.repeat(rng.standard_normal((10, 2000)), 6, axis=0)
    contrast += 0.3 * rng.standard_normal((60, 2000))
    by_pair = (sign_flip_max(contrast, permutations=200).p <= 0.05).mean()
    by_block = (sign_flip_max(contrast, permutations=200, blocks=blocks).p <= 0.05).mean()
    low, high = binomial_interval(round(2000 * by_block), 2000, 0.999)
    assert low <= 0.05 <= high
    assert by_pair > 0.25


def test_power_rises_with_the_effect():
    noise = np.random.default_rng(7).standard_normal((30, 600))
    found = [
        (sign_flip_max(noise + effect, permutations=500).p_adjusted <= 0.05).mean()
        for effect in (0, 0.4, 0.8, 1.2)
    ]
    assert found[0] < 0.01
    assert found[1] < found[2] < found[3]
    assert found[3] > 0.95


def test_blocks_are_summed_and_set_the_floor():
    contrast = np.random.default_rng(8).standard_normal((12, 3))
    names = list("abcabcabcabc")
    sums = np.array([contrast[start::3].sum(axis=0) for start in range(3)])
    result, of_sums = sign_flip_max(contrast, blocks=names), sign_flip_max(sums)
    np.testing.assert_allclose(result.statistic, of_sums.statistic, rtol=1e-5)
    np.testing.assert_array_equal(result.p_adjusted, of_sums.p_adjusted)
    assert result.floor == 1 / 4


contrasts = arrays(
    np.int64, st.tuples(st.integers(2, 14), st.integers(1, 6)), elements=st.integers(-3, 3)
)


@given(contrasts, st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_p_stays_between_floor_and_one_and_below_its_adjusted_self(contrast, permutations):
    result = sign_flip_max(contrast, permutations=permutations)
    assert (result.p >= result.floor * (1 - 1e-12)).all()
    assert (result.p_adjusted >= result.p).all()
    assert (result.p_adjusted <= 1).all()
    assert result.null_max[0] == pytest.approx(np.abs(result.statistic).max())
    silent = (contrast == 0).all(axis=0)
    assert (result.statistic[silent] == 0).all()
    assert (result.p[silent] == 1).all()
    assert (result.p_adjusted[silent] == 1).all()


@given(contrasts, st.sampled_from([1e-30, 1e-3, 1e18]))
@settings(max_examples=40, deadline=None)
def test_scale_changes_nothing_and_sign_turns_the_statistic(contrast, scale):
    result = sign_flip_max(contrast, permutations=50)
    scaled = sign_flip_max((contrast * -scale).astype(np.float32), permutations=50)
    np.testing.assert_allclose(scaled.statistic, -result.statistic, atol=2e-5)
    np.testing.assert_array_equal(scaled.p, result.p)
    np.testing.assert_array_equal(scaled.p_adjusted, result.p_adjusted)


def test_more_cells_never_lower_an_adjusted_p():
    contrast = np.random.default_rng(9).standard_normal((15, 40)) + 0.5
    few, many = sign_flip_max(contrast[:, :10]), sign_flip_max(contrast)
    np.testing.assert_array_equal(few.p, many.p[:10])
    assert (many.p_adjusted[:10] >= few.p_adjusted).all()


def test_a_silent_cell_has_p_one_however_many_permutations():
    contrast = np.random.default_rng(11).standard_normal((20, 3))
    contrast[:, 1] = 0
    result = sign_flip_max(contrast, permutations=1500)
    assert (result.statistic[1], result.p[1], result.p_adjusted[1]) == (0, 1, 1)
    assert (result.p[[0, 2]] < 1).all()


def test_chunks_do_not_show():
    contrast = np.random.default_rng(10).standard_normal((16, 5, 1200)).astype(np.float32)
    whole = sign_flip_max(contrast, permutations=800)
    parts = [sign_flip_max(contrast[:, layer], permutations=800) for layer in range(5)]
    np.testing.assert_allclose(whole.null_max, np.max([p.null_max for p in parts], 0), rtol=1e-5)
    np.testing.assert_array_equal(whole.p, np.stack([part.p for part in parts]))
    assert whole.p.shape == (5, 1200)


def test_patterns_are_complete_distinct_and_led_by_the_identity():
    every = sign_patterns(6, 32, 0)
    assert (every[0] == 1).all()
    assert len({tuple(np.sign(row * row[-1])) for row in every}) == 32
    some = sign_patterns(40, 100, 0)
    assert some.shape == (101, 40)
    assert (some[0] == 1).all()
    assert abs(some[1:].mean()) < 4 / np.sqrt(4000)
    np.testing.assert_array_equal(some, sign_patterns(40, 100, 0))
    assert not np.array_equal(some, sign_patterns(40, 100, 1))


def test_impossible_designs_are_refused():
    with pytest.raises(ValueError, match="contrast has 1 rows; at least 2"):
        sign_flip_max(np.ones((1, 4)))
    with pytest.raises(ValueError, match="one block, 'a'"):
        sign_flip_max(np.ones((2, 4)), blocks=["a", "a"])
    with pytest.raises(ValueError, match="blocks names 3 pairs; there are 2"):
        sign_flip_max(np.ones((2, 4)), blocks=["a", "b", "c"])
    with pytest.raises(ValueError, match="permutations is 0"):
        sign_flip_max(np.ones((2, 4)), permutations=0)
    with pytest.raises(ValueError, match=r"contrast is nan in cell \(2,\), row 1"):
        sign_flip_max(np.array([[1, 1, 1], [1, 1, np.nan]]))
