"""The moderated sign-flip test against brute force, scipy's t, and its error rate."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from harness.stats import binomial_interval, moderated_max, uniformity, variance_prior
from harness.stats.shrinkage import NO_PRIOR


def moderated_t(contrasts, prior):
    """From its definition: mean over the standard error of the shrunk variance."""
    df = len(contrasts) - 1
    variance = contrasts.var(axis=0, ddof=1)
    shrunk = (prior.df * prior.variance + df * variance) / (prior.df + df)
    if math.isinf(prior.df):
        shrunk = prior.variance
    return contrasts.mean(axis=0) / np.sqrt(shrunk / len(contrasts))


def brute_force(contrasts):
    """Moderated t, own p and step-down p over all sign patterns, prior fitted to each flip."""
    flips = np.array(list(itertools.product([1, -1], repeat=len(contrasts))))
    null = []
    for flip in flips:
        flipped = flip[:, None] * contrasts
        prior = variance_prior(np.square(flipped).mean(axis=0), len(contrasts))
        null.append(np.abs(moderated_t(flipped, prior)))
    null = np.array(null)
    observed = null[np.all(flips == 1, axis=1)][0]
    adjusted, so_far = np.empty(len(observed)), 0.0
    for cell in np.argsort(-observed):
        rest = null[:, observed <= observed[cell]].max(axis=1)
        so_far = max(so_far, (rest >= observed[cell] - 1e-9).mean())
        adjusted[cell] = so_far
    prior = variance_prior(np.square(contrasts).mean(axis=0), len(contrasts))
    return moderated_t(contrasts, prior), (null >= observed - 1e-9).mean(axis=0), adjusted


def some_contrasts(relations, cells, seed, spread=1.0):
    """Normal contrasts, variances log-normal over cells; the first tenth has a mean."""
    generator = np.random.default_rng(seed)
    contrasts = generator.standard_normal((relations, cells))
    contrasts[:, : cells // 10] += 2
    return contrasts * np.exp(spread * generator.standard_normal(cells))


@pytest.mark.parametrize(("cells", "spread"), [(40, 1.0), (40, 0.0), (6, 1.0)])
def test_it_is_the_step_down_test_of_the_moderated_t(cells, spread):
    contrasts = some_contrasts(8, cells, seed=3, spread=spread)
    statistic, p, adjusted = brute_force(contrasts)
    result = moderated_max(contrasts)
    np.testing.assert_allclose(result.statistic, statistic, rtol=1e-9)
    np.testing.assert_allclose(result.p, p, rtol=1e-12)
    np.testing.assert_allclose(result.p_adjusted, adjusted, rtol=1e-12)
    assert result.floor == 2 / 2**8


def test_equal_variances_are_pooled():
    contrasts = np.tile(np.random.default_rng(0).standard_normal((8, 1)), 30)
    result = moderated_max(contrasts * np.linspace(0.99, 1.01, 30))
    assert result.prior.df == math.inf
    assert np.ptp(result.standard_error) == 0
    # Thirty copies of one component know no more than one.
    assert result.df == pytest.approx(7)


def test_without_a_prior_it_is_scipys_t():
    contrasts = some_contrasts(9, 6, seed=1)
    result, reference = moderated_max(contrasts, level=0.9), ttest_1samp(contrasts, 0)
    assert result.prior == NO_PRIOR
    np.testing.assert_allclose(result.statistic, reference.statistic)
    interval = reference.confidence_interval(0.9)
    np.testing.assert_allclose([result.low, result.high], [interval.low, interval.high])


def test_more_than_twelve_relations_are_sampled_and_the_floor_says_so():
    assert moderated_max(np.ones((12, 3))).floor == 2 / 2**12
    sampled = moderated_max(some_contrasts(16, 20, seed=2))
    assert sampled.floor == 1 / 2049
    assert moderated_max(some_contrasts(16, 20, seed=2)).p.tolist() == sampled.p.tolist()


def test_the_number_of_chunks_does_not_change_the_result(monkeypatch):
    contrasts = some_contrasts(8, 300, seed=4)
    whole = moderated_max(contrasts)
    monkeypatch.setattr("harness.stats.cells.CHUNK_BYTES", 1)
    parts = moderated_max(contrasts)
    np.testing.assert_array_equal(whole.p_adjusted, parts.p_adjusted)
    np.testing.assert_array_equal(whole.p, parts.p)


def test_sign_and_scale_change_no_p():
    contrasts = some_contrasts(8, 50, seed=5)
    one, two = moderated_max(contrasts), moderated_max(-1e-20 * contrasts)
    np.testing.assert_allclose(one.statistic, -two.statistic, rtol=1e-9)
    np.testing.assert_array_equal(one.p_adjusted, two.p_adjusted)


def test_a_component_that_is_never_different_has_p_one_and_no_say():
    contrasts = some_contrasts(8, 50, seed=6)
    result = moderated_max(np.hstack([contrasts, np.zeros((8, 5))]))
    assert (result.p_adjusted[50:] == 1).all()
    assert (result.statistic[50:] == 0).all()
    np.testing.assert_array_equal(result.p_adjusted[:50], moderated_max(contrasts).p_adjusted)


def test_relations_of_one_block_are_averaged_and_flip_together():
    contrasts = some_contrasts(10, 30, seed=9)
    blocks = ["nations", "cities", "nations", *"abcdefg"]
    merged = np.vstack([contrasts[[0, 2]].mean(axis=0), contrasts[1], contrasts[3:]])
    expected, found = moderated_max(merged), moderated_max(contrasts, blocks=blocks)
    np.testing.assert_allclose(found.p_adjusted, expected.p_adjusted)
    np.testing.assert_allclose(found.low, expected.low)
    assert found.floor == 2 / 2**9


def test_no_component_and_any_shape_of_components_are_kept():
    assert moderated_max(np.zeros((8, 0))).p_adjusted.shape == (0,)
    assert moderated_max(some_contrasts(8, 24, seed=7).reshape(8, 2, 12)).low.shape == (2, 12)


def test_p_is_uniform_where_nothing_differs():
    contrasts = np.random.default_rng(8).standard_normal((8, 3000)) * np.linspace(0.1, 3, 3000)
    result = moderated_max(contrasts)
    assert uniformity(result.p, round(1 / result.floor)).p > 0.01
    low, high = binomial_interval(int((result.p <= 0.05).sum()), 3000, 0.999)
    assert low <= 6 / 128 <= high


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [(np.ones((1, 3)), "at least 2"), (np.full((8, 3), np.nan), "is nan in cell")],
)
def test_what_cannot_be_tested_is_refused(contrasts, message):
    with pytest.raises(ValueError, match=message):
        moderated_max(contrasts)
