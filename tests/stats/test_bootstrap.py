"""Bootstrap intervals against scipy and by their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import (
    binomial_interval,
    bootstrap_d,
    bootstrap_mean,
    crossed_d,
)
from harness.stats.bootstrap import resample_weights


def crossed(pairs, cells, effect, seed=0):
    """Two prompts a side; facts vary with SD 1, the effect is in units of the total SD."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((pairs, 1, cells)) + 0.5 * rng.standard_normal((pairs, 4, cells))
    values[:, :2] += effect * np.sqrt(1.25)
    index = np.arange(pairs * 4).reshape(pairs, 4)
    return values.reshape(pairs * 4, cells), index[:, :2], index[:, 2:]


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


def test_the_interval_of_d_is_scipys_with_pairs_as_units():
    from scipy.stats import bootstrap

    values, one, two = crossed(20, 1, 0.6)

    def statistic(pair, axis):
        pair = np.atleast_2d(pair).astype(int)
        d = [float(crossed_d(values[:, 0], one[row], two[row])) for row in pair]
        return np.array(d) if axis == -1 and len(d) > 1 else d[0]

    reference = bootstrap(
        (np.arange(20),), statistic, n_resamples=300, method="BCa", rng=np.random.default_rng(3)
    ).confidence_interval
    result = bootstrap_d(values, one, two, resamples=300, seed=3)
    assert result.value[0] == pytest.approx(float(crossed_d(values, one, two)[0]), rel=1e-9)
    assert (result.low[0], result.high[0]) == pytest.approx(reference, rel=1e-6)


@pytest.mark.parametrize("effect", [0.0, 0.8])
def test_intervals_cover_as_often_as_they_say(effect):
    values, one, two = crossed(40, 1500, effect)
    d = bootstrap_d(values, one, two, resamples=600)
    mean = bootstrap_mean(values[one].mean(axis=1), resamples=600)
    for interval, truth in ((d, effect), (mean, effect * np.sqrt(1.25))):
        covered = ((interval.low <= truth) & (truth <= interval.high)).mean()
        # BCa at 40 pairs is known to cover a little less than its level.
        assert 0.92 <= covered <= 0.97


def test_more_pairs_and_lower_levels_give_narrower_intervals():
    def width(pairs, level):
        result = bootstrap_d(*crossed(pairs, 50, 0.5), resamples=400, level=level)
        return (result.high - result.low).mean()

    assert width(20, 0.95) > 1.5 * width(80, 0.95) > width(80, 0.5)


def test_resampling_pairs_keeps_what_is_common_to_a_pair_out_of_the_interval():
    values, one, two = crossed(40, 20, 0.5)
    shuffled = two[np.random.default_rng(0).permutation(40)]
    together = bootstrap_d(values, one, two, resamples=500)
    apart = bootstrap_d(values, one, shuffled, resamples=500)
    np.testing.assert_allclose(together.value, apart.value, rtol=1e-9)
    assert ((together.high - together.low) < (apart.high - apart.low)).all()


def test_chunks_and_shapes_do_not_show():
    values, one, two = crossed(12, 4000, 0.5)
    whole = bootstrap_d(values.reshape(48, 40, 100), one, two, resamples=900)
    assert whole.low.shape == (40, 100)
    alone = bootstrap_d(values[:, 3210], one, two, resamples=900)
    assert float(alone.low) == pytest.approx(whole.low[32, 10], rel=1e-9)
    assert float(alone.high) == pytest.approx(whole.high[32, 10], rel=1e-9)


def test_constant_cells_are_nan_and_separated_constants_infinite():
    values = np.zeros((20, 3))
    values[:10, 1] = 1
    values[:, 2] = np.arange(20)
    result = bootstrap_d(values, np.arange(10), np.arange(10, 20), resamples=50)
    assert np.isnan([result.value[0], result.low[0], result.high[0]]).all()
    assert result.value[1] == result.low[1] == result.high[1] == np.inf
    assert result.low[2] < result.value[2] < 0
    flat = bootstrap_mean(np.full((6, 1), 0.1), resamples=50)
    assert flat.value[0] == flat.low[0] == flat.high[0] == pytest.approx(0.1)


@given(st.integers(3, 30), st.integers(0, 1000), st.integers(-10_000, 10_000))
@settings(max_examples=30, deadline=None)
def test_shifting_every_value_shifts_means_and_leaves_d(pairs, seed, shift):
    values, one, two = crossed(pairs, 2, 0.3, seed)
    d, moved = (bootstrap_d(v, one, two, resamples=60) for v in (values, values + shift))
    np.testing.assert_allclose(moved.low, d.low, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(moved.high, d.high, rtol=1e-6, atol=1e-8)
    mean, up = (bootstrap_mean(v, resamples=60) for v in (values, values + shift))
    np.testing.assert_allclose(up.low - shift, mean.low, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_the_scale_of_values_leaves_d(scale):
    values, one, two = crossed(12, 30, 0.5)
    d, scaled = (bootstrap_d(v, one, two, resamples=80) for v in (values, values * scale))
    np.testing.assert_allclose(scaled.low, d.low, rtol=1e-6)
    np.testing.assert_allclose(scaled.high, d.high, rtol=1e-6)


def test_weights_are_the_draws_of_a_seed():
    weights = resample_weights(30, 2000, 0)
    assert (weights.sum(axis=1) == 30).all()
    low, high = binomial_interval(int((weights == 0).sum()), weights.size, 0.9999)
    assert low <= (1 - 1 / 30) ** 30 <= high
    np.testing.assert_array_equal(weights, resample_weights(30, 2000, 0))
    assert not np.array_equal(weights, resample_weights(30, 2000, 1))


def test_impossible_designs_are_refused():
    with pytest.raises(ValueError, match="there are 2 pairs; at least 3"):
        bootstrap_d(np.zeros(4), np.array([0, 1]), np.array([2, 3]))
    with pytest.raises(ValueError, match="values has 1 rows"):
        bootstrap_mean(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="resamples is 0"):
        bootstrap_mean(np.zeros((5, 3)), resamples=0)
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_mean(np.zeros((5, 3)), level=95)
    with pytest.raises(ValueError, match=r"values is nan in cell \(0,\), row 2"):
        bootstrap_mean(np.array([[0.0], [1], [np.nan]]))
