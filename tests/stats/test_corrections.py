"""Corrections against statsmodels and pingouin, over whole arrays and families."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats import benjamini_hochberg, bonferroni, holm

BOTH_NAMES = [
    (bonferroni, "bonferroni", "bonf"),
    (holm, "holm", "holm"),
    (benjamini_hochberg, "fdr_bh", "fdr_bh"),
]
P = np.random.default_rng(0).random((7, 4, 3)) ** 3
P[2:4, 1] = P[0, 0, 0]

CORRECTIONS = [correct for correct, _, _ in BOTH_NAMES]


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """Of statsmodels, at each of Holm's calls: a tenth of a second with torch loaded."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


@pytest.mark.parametrize(("correct", "statsmodels", "pingouin"), BOTH_NAMES)
def test_over_everything_it_is_the_libraries(correct, statsmodels, pingouin):
    from pingouin import multicomp
    from statsmodels.stats.multitest import multipletests

    result = correct(P)
    assert result.shape == P.shape
    expected = multipletests(P.ravel(), method=statsmodels)[1]
    np.testing.assert_allclose(result.ravel(), expected, rtol=1e-12)
    np.testing.assert_allclose(result.ravel(), multicomp(P.ravel(), method=pingouin)[1])


@pytest.mark.parametrize(("correct", "statsmodels"), [row[:2] for row in BOTH_NAMES])
@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), (0, 2), (2, 0), (0, 1, 2)])
def test_a_family_is_what_the_axes_span(correct, statsmodels, axis):
    from statsmodels.stats.multitest import multipletests

    result = correct(P, axis=axis)
    spanned = {a % 3 for a in np.atleast_1d(axis)}
    for kept in np.ndindex(*(1 if a in spanned else P.shape[a] for a in range(3))):
        family = tuple(slice(None) if a in spanned else kept[a] for a in range(3))
        expected = multipletests(P[family].ravel(), method=statsmodels)[1]
        np.testing.assert_allclose(result[family].ravel(), expected, rtol=1e-12)


families = arrays(np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(0, 1))


@given(families)
@settings(max_examples=80, deadline=None)
def test_corrected_is_never_below_raw_and_holm_lies_between(p):
    by = {correct: correct(p, axis=0) for correct in CORRECTIONS}
    for adjusted in by.values():
        assert (adjusted >= p).all()
        assert (adjusted <= 1).all()
        order = np.argsort(p, axis=0)
        assert (np.diff(np.take_along_axis(adjusted, order, 0), axis=0) >= 0).all()
    assert (by[benjamini_hochberg] <= by[holm] * (1 + 1e-12)).all()
    assert (by[holm] <= by[bonferroni] * (1 + 1e-12)).all()


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_one_p_is_left_alone_and_order_does_not_matter(correct):
    assert float(correct(np.float64(0.03))) == 0.03
    turned = np.random.default_rng(1).permutation(P.size)
    np.testing.assert_allclose(correct(P.ravel()[turned]), correct(P).ravel()[turned])


@pytest.mark.parametrize("correct", CORRECTIONS)
@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_p_value_is_refused_by_its_index(correct, wrong):
    p = P.copy()
    p[3, 2, 1] = wrong
    with pytest.raises(ValueError, match=rf"p is {wrong} in cell \(3, 2, 1\)"):
        correct(p, axis=0)


def test_benjamini_hochberg_keeps_the_false_discovery_rate():
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    z = rng.standard_normal((2000, 50))
    z[:, :10] += 3
    found = benjamini_hochberg(2 * norm.sf(np.abs(z)), axis=1) <= 0.1
    share = found[:, 10:].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    # The rate is alpha times the share of true nulls; 0.01 is four standard errors.
    assert share.mean() == pytest.approx(0.08, abs=0.01)
