"""Folds, modal types and overlaps of selections."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import jaccard_score

from harness.stats import grouped_folds, jaccard, mean_pairwise_jaccard, modal_share


@given(
    st.lists(st.integers(0, 30).map(str), min_size=6, max_size=120).filter(
        lambda pairs: len(set(pairs)) >= 5
    ),
    st.integers(2, 5),
    st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_folds_divide_the_items_and_no_pair(pairs, folds, seed):
    split = grouped_folds(pairs, folds, seed)
    names = np.array(pairs)
    assert len(split) == folds
    np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in split])), range(len(pairs)))
    for train, test in split:
        assert not set(names[train]) & set(names[test])
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), range(len(pairs)))
    sizes = [len(set(names[test])) for _, test in split]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


def test_folds_depend_on_the_seed_and_on_nothing_else():
    pairs = [f"fact-{i // 4}" for i in range(80)]
    first, again, other = (grouped_folds(pairs, 5, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_fewer_pairs_than_folds_is_refused():
    with pytest.raises(ValueError, match="2 pairs cannot make 5 folds"):
        grouped_folds(["a", "b", "a"], 5)
    with pytest.raises(ValueError, match="cannot make 1 folds"):
        grouped_folds(["a", "b"], 1)


def test_the_modal_share_is_scipys_mode():
    from scipy.stats import mode

    types = np.random.default_rng(0).integers(0, 3, (5, 40))
    np.testing.assert_allclose(modal_share(types), mode(types, axis=0).count / 5)


def test_types_that_are_no_finding_do_not_make_a_component_consistent():
    types = np.array([["recall", "mixed"], ["recall", "mixed"], ["mixed", "mixed"]])
    np.testing.assert_allclose(modal_share(types), [2 / 3, 1])
    np.testing.assert_allclose(modal_share(types, excluded=("mixed",)), [2 / 3, 0])
    with pytest.raises(ValueError, match="no folds"):
        modal_share(np.zeros((0, 3)))


bits = arrays(bool, st.tuples(st.integers(2, 7), st.integers(1, 12)))


@given(bits)
@settings(max_examples=40, deadline=None)
def test_overlaps_are_scikit_learns_and_symmetric(sets):
    scores = []
    for a, b in itertools.combinations(sets, 2):
        if (a | b).any():
            assert jaccard(a, b) == pytest.approx(jaccard_score(a, b))
        else:
            assert np.isnan(jaccard(a, b))
        assert jaccard(a, b) == pytest.approx(jaccard(b, a), nan_ok=True)
        scores.append(jaccard(a, b))
    assert mean_pairwise_jaccard(sets) == pytest.approx(np.mean(scores), nan_ok=True)


def test_hand_worked_overlaps():
    a, b = np.array([True, True, False]), np.array([False, True, True])
    assert jaccard(a, b) == pytest.approx(1 / 3)
    assert mean_pairwise_jaccard(np.array([a, a, a])) == 1
    assert mean_pairwise_jaccard(np.array([a, b, np.zeros(3, bool)])) == pytest.approx(1 / 9)
    assert np.isnan(mean_pairwise_jaccard(np.zeros((3, 4), bool)))


def test_many_components_are_counted_exactly():
    sets = np.random.default_rng(1).random((4, 2, 400_000)) < 0.3
    expected = np.mean([jaccard(a, b) for a, b in itertools.combinations(sets, 2)])
    assert mean_pairwise_jaccard(sets) == pytest.approx(expected, rel=1e-12)


def test_what_is_no_set_is_refused():
    with pytest.raises(ValueError, match="boolean"):
        jaccard(np.array([1, 0]), np.array([True, False]))
    with pytest.raises(ValueError, match=r"\(2,\) and bool \(3,\)"):
        jaccard(np.zeros(2, bool), np.zeros(3, bool))
    with pytest.raises(ValueError, match="two sets or more"):
        mean_pairwise_jaccard(np.zeros((1, 3), bool))
