"""Bootstrap of means and of functions of them: against scipy, with missing values, by coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import binomial_interval, bootstrap_mean, bootstrap_of_means, pseudo_values
from harness.stats.intervals import bca, resample_weights

RNG = np.random.default_rng(0)
NAN = np.nan


def centroid(means):
    """Depth at which effects lie, over the last axis."""
    positive = np.maximum(means, 0)
    return (positive * np.arange(means.shape[-1])).sum(axis=-1) / positive.sum(axis=-1)


def difference_of_centroids(means):
    """First task minus second; tasks are the axis before the layers."""
    at = centroid(means)
    return at[..., 0] - at[..., 1]


def interaction(means):
    """The 2 x 2 contrast of the last two axes."""
    return means[..., 0, 0] - means[..., 0, 1] - means[..., 1, 0] + means[..., 1, 1]


def tasks_by_layers(units, datasets, gap, seed=0):
    """Effects of four layers; those of the second task lie `gap` of a layer deeper."""
    rng = np.random.default_rng(seed)
    profile = np.array([[0.5, 2, 2, 0.5], [0.5, 2 - gap * 5 / 2, 2, 0.5 + gap * 5 / 2]])
    shared = rng.standard_normal((units, datasets, 1, 1))
    return profile + 0.5 * shared + 0.7 * rng.standard_normal((units, datasets, 2, 4))


@pytest.mark.parametrize("function", [difference_of_centroids, lambda m: m[:, 1, 1] / m[:, 0, 1]])
def test_the_interval_is_scipys_with_units_resampled_whole(function):
    from scipy.stats import bootstrap

    values = tasks_by_layers(20, 1, 0.3)[:, 0]

    def statistic(unit, axis):  # noqa: ARG001
        rows = np.atleast_2d(unit).astype(int)
        result = function(np.stack([values[row].mean(axis=0) for row in rows]))
        return result if np.ndim(unit) > 1 else result[0]

    reference = bootstrap(
        (np.arange(20),), statistic, n_resamples=400, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    result = bootstrap_of_means(values, function, resamples=400, seed=5)
    assert float(result.value) == pytest.approx(function(values.mean(axis=0)[None])[0])
    assert (result.low, result.high) == pytest.approx((reference.low, reference.high), rel=1e-9)
    assert (result.resamples, result.level) == (400, 0.95)


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
def test_the_interval_of_a_mean_is_scipys(draw):
    from scipy.stats import bootstrap

    values = getattr(np.random.default_rng(1), draw)((25, 3))
    reference = bootstrap(
        (values,), np.mean, n_resamples=500, method="BCa", rng=np.random.default_rng(7)
    ).confidence_interval
    result = bootstrap_mean(values, resamples=500, seed=7)
    np.testing.assert_allclose(result.value, values.mean(axis=0))
    np.testing.assert_allclose(result.low, reference.low, rtol=1e-9)
    np.testing.assert_allclose(result.high, reference.high, rtol=1e-9)


def test_intervals_of_means_cover_as_often_as_they_say():
    interval = bootstrap_mean(RNG.standard_normal((40, 1500)) + 0.8, resamples=600)
    covered = ((interval.low <= 0.8) & (interval.high >= 0.8)).mean()
    # BCa at 40 units is known to cover a little less than its level.
    assert 0.92 <= covered <= 0.97


def test_more_units_and_lower_levels_give_narrower_intervals():
    def width(units, level):
        result = bootstrap_mean(RNG.standard_normal((units, 50)), resamples=400, level=level)
        return (result.high - result.low).mean()

    assert width(20, 0.95) > 1.5 * width(80, 0.95) > width(80, 0.5)


def test_the_interval_of_a_constant_is_the_constant():
    flat = bootstrap_mean(np.full((6, 1), 0.1), resamples=50)
    assert flat.value[0] == flat.low[0] == flat.high[0] == pytest.approx(0.1)


@given(st.integers(3, 30), st.integers(0, 1000), st.integers(-10_000, 10_000))
@settings(max_examples=30, deadline=None)
def test_shifting_every_value_shifts_the_interval(units, seed, shift):
    values = np.random.default_rng(seed).standard_normal((units, 2))
    mean, up = (bootstrap_mean(v, resamples=60) for v in (values, values + shift))
    np.testing.assert_allclose(up.low - shift, mean.low, atol=1e-8)


def test_weights_are_the_draws_of_a_seed():
    weights = resample_weights(30, 2000, 0)
    assert (weights.sum(axis=1) == 30).all()
    low, high = binomial_interval(int((weights == 0).sum()), weights.size, 0.9999)
    assert low <= (1 - 1 / 30) ** 30 <= high
    np.testing.assert_array_equal(weights, resample_weights(30, 2000, 0))
    assert not np.array_equal(weights, resample_weights(30, 2000, 1))


def test_means_of_impossible_designs_are_refused():
    with pytest.raises(ValueError, match="values has 1 rows"):
        bootstrap_mean(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="resamples is 0"):
        bootstrap_mean(np.zeros((5, 3)), resamples=0)
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_mean(np.zeros((5, 3)), level=95)
    with pytest.raises(ValueError, match=r"values is nan in cell \(0,\), row 2"):
        bootstrap_mean(np.array([[0.0], [1], [np.nan]]))


def test_a_contrast_is_bootstrap_mean_of_each_units_contrast():
    values = RNG.standard_normal((25, 2, 2))
    of = bootstrap_of_means(values, interaction)
    mean = bootstrap_mean(interaction(values))
    assert of.value.shape == of.low.shape == ()
    assert [of.low, of.high] == pytest.approx(np.array([mean.low, mean.high]), rel=1e-9)


def test_chunks_of_resamples_and_shapes_do_not_show():
    values = RNG.standard_normal((10, 2, 2, 5000))
    whole = bootstrap_of_means(values, lambda m: m[:, 0] - m[:, 1], resamples=300)
    assert whole.value.shape == whole.low.shape == whole.high.shape == (2, 5000)
    alone = bootstrap_of_means(values[:, :, 1, 77], lambda m: m[:, 0] - m[:, 1], resamples=300)
    assert alone.low == pytest.approx(whole.low[1, 77], rel=1e-9)
    assert bootstrap_of_means(values[:, 0, 0, 0], lambda m: m).high.shape == ()


def test_means_are_over_the_units_that_have_a_value():
    values = RNG.standard_normal((30, 2)) + 5
    values[:12, 1] = NAN
    result = bootstrap_of_means(values, lambda m: m[:, 0] - m[:, 1], resamples=500, seed=3)
    assert result.value == pytest.approx(values[:, 0].mean() - values[12:, 1].mean())
    rows = [np.repeat(np.arange(30), w) for w in resample_weights(30, 500, 3).astype(int)]
    rows += [np.delete(np.arange(30), unit) for unit in range(30)]
    each = np.array([values[r, 0].mean() - np.nanmean(values[r, 1]) for r in rows])[:, None]
    low, high = bca(np.array([result.value]), each[:500], each[500:], 0.95)
    assert (result.low, result.high) == pytest.approx((low[0], high[0]), rel=1e-9)


def test_a_unit_without_any_value_is_no_unit():
    values = RNG.standard_normal((12, 2, 2))
    padded = np.concatenate([values[:5], np.full((4, 2, 2), NAN), values[5:]])
    one, two = (bootstrap_of_means(v, interaction, seed=1) for v in (values, padded))
    assert (one.value, one.low, one.high) == (two.value, two.low, two.high)


def test_resamples_without_a_value_in_some_cell_are_set_aside_and_counted():
    values = RNG.standard_normal((10, 2))
    values[3:, 1] = NAN
    result = bootstrap_of_means(values, lambda m: m[:, 1] - m[:, 0], resamples=3000)
    assert result.resamples / 3000 == pytest.approx(1 - 0.7**10, abs=0.01)
    assert result.low < result.value < result.high
    scattered = np.full((20, 10), NAN)
    scattered[np.arange(20), np.arange(20) // 2] = 1
    with pytest.raises(ValueError, match=r"of 2000 resamples have a value in every cell"):
        bootstrap_of_means(scattered, lambda m: m)


def test_resamples_that_are_nan_widen_the_interval():
    rng = np.random.default_rng(4)
    drawn, left_out = rng.standard_normal((2000, 1)), rng.standard_normal((30, 1))
    value = np.zeros(1)

    def interval(unknown):
        holed = drawn.copy()
        holed[rng.permutation(2000)[:unknown]] = NAN
        return np.concatenate(bca(value, holed, left_out, 0.95))

    widths = [np.diff(interval(unknown))[0] for unknown in (0, 20, 40)]
    assert widths[0] < widths[1] < widths[2] < np.inf
    assert interval(400).tolist() == [-np.inf, np.inf]


def test_a_function_undefined_on_the_sample_is_nan_and_on_some_resamples_wide():
    values = RNG.standard_normal((12, 3, 4)) * 0.1
    values[:, 0] -= 1
    values[:, 2] += 1
    result = bootstrap_of_means(values, centroid)
    assert np.isnan([result.value[0], result.low[0], result.high[0]]).all()
    assert result.low[2] < result.value[2] < result.high[2]
    noisy = values[:, 1] - values[:, 1].mean(axis=0) - [0.02, 0.02, 0.02, -0.01]
    assert np.isinf(bootstrap_of_means(noisy, centroid).high)


def test_cells_without_spread_have_an_interval_without_width():
    result = bootstrap_of_means(np.full((6, 2), 0.1), lambda m: m[:, 0] + m[:, 1])
    assert result.value == result.low == result.high == pytest.approx(0.2)
    two = bootstrap_of_means(np.array([[1.0], [3.0]]), lambda m: m[:, 0])
    assert 1 <= two.low <= two.value <= two.high <= 3


@pytest.mark.parametrize(("units", "rate"), [(20, 0.09), (40, 0.07), (160, 0.05)])
@pytest.mark.parametrize("missing", [0, 0.2])
def test_equal_centroids_are_told_apart_no_more_often_than_the_docstring_says(units, rate, missing):
    outside = []
    for seed in range(4):
        values = tasks_by_layers(units, 500, 0, seed=1000 * units + seed)
        values[np.random.default_rng(seed).random(values.shape) < missing] = NAN
        result = bootstrap_of_means(values, difference_of_centroids, resamples=500, seed=seed)
        outside += list((result.low > 0) | (result.high < 0))
    low, high = binomial_interval(sum(outside), len(outside), 0.999)
    assert low <= rate
    assert high >= 0.05


def test_centroids_half_a_layer_apart_are_told_apart():
    deeper = bootstrap_of_means(
        tasks_by_layers(40, 200, 0.5), difference_of_centroids, resamples=500
    )
    assert (deeper.high < 0).mean() > 0.95
    assert ((deeper.low <= -0.5) & (deeper.high >= -0.5)).mean() > 0.9


def test_interactions_cover_as_often_as_they_say():
    values = RNG.standard_normal((40, 1500, 2, 2)) + RNG.standard_normal((40, 1500, 1, 1))
    result = bootstrap_of_means(values + np.array([[1.5, 0], [0, 0]]), interaction, resamples=600)
    assert 0.92 <= ((result.low <= 1.5) & (result.high >= 1.5)).mean() <= 0.97
    assert (result.low > 0).mean() > 0.95


@given(st.integers(3, 20), st.integers(0, 500), st.sampled_from([1e-9, 1.0, 1e9]))
@settings(max_examples=30, deadline=None)
def test_scale_leaves_a_centroid_and_the_order_of_cells_turns_it(units, seed, scale):
    values = tasks_by_layers(units, 1, 0.2, seed)[:, 0]
    result = bootstrap_of_means(values, difference_of_centroids, resamples=60)
    scaled = bootstrap_of_means(values * scale, difference_of_centroids, resamples=60)
    turned = bootstrap_of_means(values[:, ::-1], difference_of_centroids, resamples=60)
    np.testing.assert_allclose([scaled.low, scaled.high], [result.low, result.high], atol=1e-6)
    assert turned.value == pytest.approx(-result.value)


def test_what_cannot_be_resampled_is_refused():
    good = np.zeros((5, 2))
    with pytest.raises(ValueError, match=r"function gave shape \(\) for means of shape \(1, 2\)"):
        bootstrap_of_means(good, np.mean)
    with pytest.raises(ValueError, match=r"function gave shape \(2,\)"):
        bootstrap_of_means(good, lambda m: m.sum(axis=0))
    with pytest.raises(ValueError, match="values has 1 rows"):
        bootstrap_of_means(np.zeros((1, 2)), lambda m: m)
    with pytest.raises(ValueError, match=r"values is inf in cell \(1,\), row 0"):
        bootstrap_of_means(np.array([[0, np.inf], [1, 2]]), lambda m: m)
    with pytest.raises(ValueError, match=r"1 units with a value in cell \(1, 0\)"):
        bootstrap_of_means(np.array([[[0.0], [NAN]], [[1], [2]]]), lambda m: m)
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_of_means(good, lambda m: m, level=95)
    with pytest.raises(ValueError, match="resamples is 0"):
        bootstrap_of_means(good, lambda m: m, resamples=0)


# What each unit contributes


def test_pseudo_values_of_a_mean_are_the_units_own_values():
    values = RNG.standard_normal((9, 3))
    np.testing.assert_allclose(pseudo_values(values, lambda means: means), values)


def test_pseudo_values_are_those_of_leaving_each_unit_out():
    values = tasks_by_layers(12, 1, 0.5)[:, 0]
    values[3, 1], values[5] = NAN, NAN  # a task missing, and a unit without any value
    known = np.delete(values, 5, axis=0)
    whole = difference_of_centroids(np.nanmean(known, 0)[None])[0]
    without = [
        difference_of_centroids(np.nanmean(np.delete(known, i, 0), 0)[None])[0] for i in range(11)
    ]
    made = pseudo_values(values, difference_of_centroids)
    np.testing.assert_allclose(np.delete(made, 5), 11 * whole - 10 * np.array(without))
    assert np.isnan(made[5])


def test_their_mean_is_the_value_less_its_bias():
    """The square of a mean is too large by the variance of that mean."""
    values = RNG.standard_normal((20, 1))
    made = pseudo_values(values, np.square)
    expected = values.mean() ** 2 - values.var(ddof=1) / 20
    assert made.mean() == pytest.approx(expected)
