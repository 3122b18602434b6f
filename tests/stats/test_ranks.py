"""Rank statistics against scipy and scikit-learn, and what must hold for any data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import mannwhitneyu, rankdata
from sklearn.metrics import roc_auc_score

from harness.stats import auc, mann_whitney, mann_whitney_floor, rank_contrast, sign_flip_max

LEVELS = {"continuous": 0, "few ties": 50, "many ties": 4}


def draw(n1, n2, cells, levels=0, *, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n1 + n2, cells)) + rng.standard_normal(cells)
    values[:n1] += rng.standard_normal(cells)
    if levels:
        values = np.round(values * levels / 4)
    return values[:n1].astype(dtype), values[n1:].astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize(("n1", "n2"), [(30, 30), (24, 7), (1, 2), (2, 1)])
def test_mann_whitney_is_scipys(n1, n2, levels, dtype):
    treated, control = draw(n1, n2, 300, levels, dtype=dtype)
    reference = mannwhitneyu(
        treated.astype(float), control.astype(float), axis=0, method="asymptotic"
    )
    result = mann_whitney(treated, control)
    np.testing.assert_array_equal(result.u, reference.statistic)
    np.testing.assert_allclose(result.p, reference.pvalue, rtol=1e-12)


def test_mann_whitney_is_scipys_across_chunk_borders():
    treated, control = draw(30, 30, 40_000, levels=8)
    treated[:, 20_000:], control[:, 20_000:] = draw(30, 30, 20_000, seed=1)
    result = mann_whitney(treated.reshape(30, 4, 10_000), control.reshape(30, 4, 10_000))
    assert result.p.shape == (4, 10_000)
    cells = np.random.default_rng(0).choice(40_000, 400, replace=False)
    reference = mannwhitneyu(
        treated[:, cells].astype(float), control[:, cells], axis=0, method="asymptotic"
    )
    np.testing.assert_allclose(result.p.ravel()[cells], reference.pvalue, rtol=1e-12)


def test_z_has_the_sign_of_the_difference_and_gives_p():
    treated, control = draw(20, 20, 200, dtype=float)
    result = mann_whitney(treated, control)
    reference = mannwhitneyu(treated, control, axis=0, method="asymptotic", alternative="greater")
    assert (np.sign(result.z) == np.sign(result.auc - 0.5)).all()
    above = result.z > 0
    np.testing.assert_allclose(result.p[above], 2 * reference.pvalue[above], rtol=1e-12)


def test_a_constant_cell_has_p_one_and_auc_a_half():
    result = mann_whitney(np.full((5, 1), 7.0), np.full((6, 1), 7.0))
    assert (result.p[0], result.auc[0], result.z[0]) == (1, 0.5, 0)


@pytest.mark.parametrize(("n", "floor"), [(30, 3.0e-11), (24, 3.06e-9)])
def test_the_floor_is_what_complete_separation_gives(n, floor):
    assert mann_whitney_floor(n, n) == pytest.approx(floor, rel=0.01)
    separated = mann_whitney(np.arange(n, 2 * n)[:, None], np.arange(n)[:, None])
    assert separated.p[0] == pytest.approx(mann_whitney_floor(n, n), rel=1e-12)
    treated, control = draw(n, n, 2000)
    assert mann_whitney(treated + 5, control).p.min() >= mann_whitney_floor(n, n) * (1 - 1e-9)


def test_bonferroni_over_a_7b_models_neurons_is_out_of_reach_at_24_but_not_at_30():
    line = 1e-4 / 530_432
    assert mann_whitney_floor(24, 24) > line > mann_whitney_floor(30, 30)


def test_two_valued_cells_fall_below_the_floor_as_documented():
    p = mann_whitney(np.ones((30, 1)), np.zeros((30, 1))).p[0]
    assert p < mann_whitney_floor(30, 30)
    assert p == pytest.approx(mannwhitneyu(np.ones(30), np.zeros(30), method="asymptotic").pvalue)


@pytest.mark.parametrize("levels", [0, 3])
def test_auc_is_scikit_learns(levels):
    treated, control = draw(17, 23, 20, levels)
    label = np.repeat([1, 0], [17, 23])
    both = np.concatenate([treated, control])
    expected = [roc_auc_score(label, both[:, cell]) for cell in range(20)]
    np.testing.assert_allclose(auc(treated, control), expected, rtol=1e-12)


def test_one_cell_without_axes_gives_one_number():
    assert float(auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))) == pytest.approx(0.875)


small = arrays(np.int64, st.tuples(st.integers(2, 12), st.just(3)), elements=st.integers(-3, 3))


@given(small, small)
@settings(max_examples=60, deadline=None)
def test_swapping_groups_mirrors_and_monotone_maps_change_nothing(treated, control):
    result, swapped = mann_whitney(treated, control), mann_whitney(control, treated)
    np.testing.assert_allclose(swapped.p, result.p)
    np.testing.assert_array_equal(swapped.z, -result.z)
    np.testing.assert_allclose(swapped.auc, 1 - result.auc)
    mapped = mann_whitney(np.exp(treated) + 5, np.exp(control) + 5)
    np.testing.assert_array_equal(mapped.p, result.p)
    assert ((result.p > 0) & (result.p <= 1)).all()


@given(small, small)
@settings(max_examples=40, deadline=None)
def test_raising_the_treated_group_never_lowers_u(treated, control):
    assert (mann_whitney(treated + 1, control).u >= mann_whitney(treated, control).u).all()


@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_rank_contrast_is_the_difference_of_scipys_ranks(levels):
    treated, control = draw(12, 12, 30, levels)
    values = np.concatenate([treated, control, np.full((3, 30), 99, np.float32)])
    one, two = np.arange(12).reshape(6, 2), np.arange(12, 24).reshape(6, 2)
    rank = rankdata(values[:24], axis=0)
    expected = rank[one].mean(axis=1) - rank[two].mean(axis=1)
    np.testing.assert_allclose(rank_contrast(values, one, two), expected)


def test_the_sum_of_rank_contrasts_is_linear_in_u():
    treated, control = draw(15, 15, 50, 6)
    values = np.concatenate([treated, control])
    contrast = rank_contrast(values, np.arange(15), np.arange(15, 30))
    above = mann_whitney(treated, control).u - 15 * 15 / 2
    np.testing.assert_allclose(contrast.sum(axis=0), 2 * above)
    by_monotone_map = rank_contrast(np.exp(values), np.arange(15), np.arange(15, 30))
    result, mapped = sign_flip_max(contrast), sign_flip_max(by_monotone_map)
    np.testing.assert_array_equal(result.p, mapped.p)


def test_not_a_number_names_its_cell():
    treated = np.zeros((4, 3, 5))
    treated[2, 1, 4] = np.nan
    with pytest.raises(ValueError, match=r"treated is nan in cell \(1, 4\), row 2"):
        mann_whitney(treated, np.zeros((4, 3, 5)))
    late = np.zeros((20, 80_000), np.float32)
    late[3, 77_777] = np.inf
    with pytest.raises(ValueError, match=r"control is inf in cell \(77777,\), row 3"):
        mann_whitney(np.zeros((2, 80_000)), late)


def test_an_empty_group_and_unequal_cells_are_refused():
    with pytest.raises(ValueError, match="control has 0 rows; at least 1"):
        mann_whitney(np.zeros((3, 2)), np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"cells \(2,\) and control \(3,\)"):
        mann_whitney(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="groups of 0 and 3"):
        mann_whitney_floor(0, 3)


def test_no_cells_give_no_results():
    assert mann_whitney(np.zeros((3, 0)), np.zeros((3, 0))).p.shape == (0,)
