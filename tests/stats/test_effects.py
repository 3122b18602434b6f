"""Effect sizes against pingouin and statsmodels, and what must hold for any data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats import cohens_d, constant_cells, pair_contrast

RNG = np.random.default_rng(0)
TREATED = RNG.standard_normal((11, 4, 3)) + 0.7
CONTROL = RNG.standard_normal((17, 4, 3)) * 1.5


def test_d_is_pingouins():
    from pingouin import compute_effsize

    result = cohens_d(TREATED, CONTROL)
    assert result.shape == (4, 3)
    for cell in np.ndindex(4, 3):
        x, y = TREATED[(slice(None), *cell)], CONTROL[(slice(None), *cell)]
        assert result[cell] == pytest.approx(compute_effsize(x, y, eftype="cohen"), rel=1e-12)


def test_hand_worked_pairs():
    # Two pairs, two prompts a side: contrasts (1+3)/2 - 0 = 2 and (5+7)/2 - (2+2)/2 = 4.
    values = np.array([1.0, 3, 0, 0, 5, 7, 2, 2])
    treated, control = np.array([[0, 1], [4, 5]]), np.array([[2, 3], [6, 7]])
    np.testing.assert_array_equal(pair_contrast(values, treated, control), [2, 4])


def test_pair_contrast_uses_only_the_prompts_it_is_given_and_any_order():
    values = RNG.standard_normal((9, 2)).astype(np.float32)
    contrast = pair_contrast(values, np.array([7, 1]), np.array([3, 8]))
    np.testing.assert_array_equal(contrast, [values[7] - values[3], values[1] - values[8]])
    assert contrast.dtype == np.float32


columns = arrays(np.int64, st.tuples(st.integers(2, 9), st.just(4)), elements=st.integers(-5, 5))


@given(columns, columns, st.integers(-1000, 1000), st.sampled_from([0.25, 2.0, 1024.0]))
@settings(max_examples=60, deadline=None)
def test_d_ignores_shift_and_scale_and_turns_with_the_groups(treated, control, shift, scale):
    d = cohens_d(treated, control)
    np.testing.assert_allclose(cohens_d(treated * scale + shift, control * scale + shift), d)
    np.testing.assert_allclose(cohens_d(control, treated), -d)
    defined = ~np.isnan(d)
    differs = (treated.mean(axis=0) - control.mean(axis=0))[defined]
    moved = np.abs(differs) > 1e-12
    assert (np.sign(d[defined])[moved] == np.sign(differs)[moved]).all()


@given(columns, columns)
@settings(max_examples=60, deadline=None)
def test_d_is_undefined_exactly_where_a_cell_is_constant(treated, control):
    both = np.concatenate([treated, control])
    np.testing.assert_array_equal(np.isnan(cohens_d(treated, control)), constant_cells(both))


@pytest.mark.parametrize("level", [0.1, 1e-20, 1e20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constants_are_seen_at_any_magnitude(level, dtype):
    flat = np.full((7, 1), level, dtype)
    assert np.isnan(cohens_d(flat, flat)[0])
    assert cohens_d(flat * 2, flat)[0] == np.inf
    assert cohens_d(flat, flat * 2)[0] == -np.inf


def test_a_constant_cell_is_undefined_in_groups_of_unequal_size():
    # Means of 7 and of 3 times 0.1 differ in the last bit.
    assert np.isnan(cohens_d(np.full((7, 1), 0.1), np.full((3, 1), 0.1))[0])


def test_large_effects_are_not_clipped():
    values = RNG.standard_normal((60, 1))
    assert float(cohens_d(values[:30] + 40, values[30:])[0]) > 30


def test_float32_agrees_with_float64_far_from_zero():
    values = (RNG.standard_normal((60, 500)) + 3000).astype(np.float32)
    exact = cohens_d(values[:30].astype(np.float64), values[30:].astype(np.float64))
    np.testing.assert_allclose(cohens_d(values[:30], values[30:]), exact, rtol=1e-9)


@pytest.mark.parametrize(
    ("treated", "control", "message"),
    [
        ([0, 1], [2], "treated has 2 pairs and control 1"),
        ([0, 1], [1, 2], "prompt 1 is both treated and control"),
        ([0, 9], [1, 2], r"points at prompts 0 to 9; there are 6"),
        ([0.5, 1], [2, 3], "integer positions"),
        ([], [], "integer positions"),
        (np.empty((0, 2), int), np.empty((0, 2), int), "there are no pairs"),
    ],
)
def test_impossible_pairs_are_refused(treated, control, message):
    with pytest.raises(ValueError, match=message):
        pair_contrast(np.zeros(6), np.array(treated), np.array(control))


def test_too_few_prompts_are_refused():
    with pytest.raises(ValueError, match="treated has 1 rows; at least 2"):
        cohens_d(np.zeros((1, 2)), np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"treated is nan in cell \(1,\), row 0"):
        cohens_d(np.array([[0, np.nan], [1, 1]]), np.zeros((2, 2)))
