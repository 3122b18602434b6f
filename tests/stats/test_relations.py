"""Agreement over relations, worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats import least_over_relations, leave_one_out_sign

# Columns: all agree; one carries the sum; one disagrees a little; mean zero.
CONTRASTS = np.array([[1.0, 5.0, -1.0, 1.0], [2.0, -1.0, 3.0, -1.0], [3.0, -1.0, 3.0, 0.0]])


def test_the_sign_is_lost_where_one_relation_carries_it():
    assert leave_one_out_sign(CONTRASTS).tolist() == [True, False, True, False]
    assert leave_one_out_sign(-CONTRASTS).tolist() == [True, False, True, False]


def test_the_least_contrast_is_negative_where_a_relation_points_the_other_way():
    assert least_over_relations(CONTRASTS).tolist() == [1, -1, -1, -1]
    assert least_over_relations(-CONTRASTS).tolist() == [1, -1, -1, -1]


@given(arrays(np.float64, (5, 3), elements=st.integers(-3, 3).map(float)))
@settings(max_examples=200, deadline=None)
def test_leaving_each_relation_out_by_hand_says_the_same(contrasts):
    total = np.sign(contrasts.sum(axis=0))
    left = [np.sign(np.delete(contrasts, r, axis=0).sum(axis=0)) for r in range(5)]
    expected = (total != 0) & (np.array(left) == total).all(axis=0)
    np.testing.assert_array_equal(leave_one_out_sign(contrasts), expected)
    least = least_over_relations(contrasts)
    agree = (np.sign(contrasts) == total).all(axis=0) & (total != 0)
    np.testing.assert_array_equal(least > 0, agree)
    np.testing.assert_array_equal(least[agree], np.abs(contrasts).min(axis=0)[agree])


def test_cells_keep_their_shape():
    contrasts = np.ones((4, 2, 3))
    assert leave_one_out_sign(contrasts).shape == least_over_relations(contrasts).shape == (2, 3)


@pytest.mark.parametrize("function", [leave_one_out_sign, least_over_relations])
def test_a_value_that_is_not_finite_is_refused(function):
    with pytest.raises(ValueError, match=r"cell \(1,\), row 0"):
        function(np.array([[1, np.nan], [1, 1]]))
