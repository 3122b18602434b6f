"""A value among draws of a null: exact rates, ties, floors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import binomial_interval, exceedance, uniformity

draws = st.lists(st.integers(-5, 5), min_size=1, max_size=60)


def test_p_is_that_of_scipys_monte_carlo_test():
    from scipy.stats import monte_carlo_test

    null = np.random.default_rng(0).standard_normal(199)

    def draw(size):
        return null.reshape(size)

    for value in (-1.0, 0.7, 2.2, 9.0):
        reference = monte_carlo_test([value], draw, np.mean, n_resamples=199, alternative="greater")
        assert exceedance(value, null).p == pytest.approx(reference.pvalue)


@given(st.integers(-6, 6), draws, st.sampled_from([0.5, 0.9, 0.95]))
@settings(max_examples=100, deadline=None)
def test_p_and_quantile_agree_up_to_one_draw(value, null, level):
    result = exceedance(value, np.array(null), level=level)
    assert result.floor <= result.p <= 1
    assert result.floor == pytest.approx(1 / (len(null) + 1))
    assert result.quantile in null
    assert np.mean(np.array(null) <= result.quantile) >= level * (len(null) - 1) / len(null)
    if value > result.quantile:
        assert result.p <= 1 - level + result.floor + 1e-12
    else:
        assert result.p > 1 - level - 1e-12


@given(st.integers(-6, 6), draws)
@settings(max_examples=50, deadline=None)
def test_a_larger_value_never_has_a_larger_p_and_shifts_do_not_matter(value, null):
    drawn = np.array(null)
    result = exceedance(value, drawn)
    assert exceedance(value + 1, drawn).p <= result.p
    moved = exceedance(value * 2 + 100, drawn * 2 + 100)
    assert (moved.p, moved.quantile) == (result.p, result.quantile * 2 + 100)


def test_draws_equal_to_the_value_count_against_it():
    assert exceedance(1, np.ones(19)).p == 1
    assert exceedance(1 + 1e-9, np.ones(19)).p == 1 / 20
    assert exceedance(3, np.array([3.0])).p == 1


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("number", [7, 20, 21, 100])
def test_the_quantile_is_a_draw_and_not_below_the_interpolated_one(number, level):
    null = np.random.default_rng(number).standard_normal(number)
    result = exceedance(0, null, level=level)
    assert result.quantile >= np.quantile(null, level) - 1e-12
    assert result.quantile in null
    assert (result.level, result.draws) == (level, number)


@pytest.mark.parametrize("number", [10, 21, 99])
@pytest.mark.parametrize("rounded", [False, True])
def test_a_value_of_the_null_is_beyond_it_no_more_often_than_alpha(number, rounded):
    rows = np.random.default_rng(number).standard_normal((3000, number + 1))
    rows = np.round(rows) if rounded else rows
    results = [exceedance(row[0], row[1:]) for row in rows]
    p = np.array([r.p for r in results])
    for alpha in (0.05, 0.1, 0.5):
        assert binomial_interval(int((p <= alpha).sum()), 3000, 0.999)[0] <= alpha
    beyond = sum(r.value > r.quantile for r in results)
    assert binomial_interval(beyond, 3000, 0.999)[0] <= 0.05 + 1 / (number + 1)
    if not rounded:
        assert uniformity(p, number + 1).p > 0.01


def test_a_clear_effect_reaches_the_floor():
    null = np.random.default_rng(3).standard_normal(200)
    assert exceedance(8, null).p == exceedance(8, null).floor < 0.005


def test_what_is_no_null_is_refused():
    with pytest.raises(ValueError, match="null has 0 rows; at least 1"):
        exceedance(1, np.array([]))
    with pytest.raises(ValueError, match="null is nan in cell"):
        exceedance(1, np.array([0, np.nan]))
    with pytest.raises(ValueError, match="value is nan"):
        exceedance(float("nan"), np.zeros(3))
    with pytest.raises(ValueError, match="level is 95"):
        exceedance(1, np.zeros(3), level=95)
    with pytest.raises(ValueError, match=r"null has shape \(2, 2\)"):
        exceedance(1, np.zeros((2, 2)))
