"""Agreement over relations, worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats import leave_one_out_sign

# Columns: all agree; one carries the sum; one disagrees a little; mean zero.
CONTRASTS = np.array([[1.0, 5.0, -1.0, 1.0], [2.0, -1.0, 3.0, -1.0], [3.0, -1.0, 3.0, 0.0]])


def test_the_sign_is_lost_where_one_relation_carries_it():
    assert leave_one_out_sign(CONTRASTS).tolist() == [True, False, True, False]
    assert leave_one_out_sign(-CONTRASTS).tolist() == [True, False, True, False]


@given(arrays(np.float64, (5, 3), elements=st.integers(-3, 3).map(float)))
@settings(max_examples=200, deadline=None)
def test_leaving_each_relation_out_by_hand_says_the_same(contrasts):
    total = np.sign(contrasts.sum(axis=0))
    left = [np.sign(np.delete(contrasts, r, axis=0).sum(axis=0)) for r in range(5)]
    expected = (total != 0) & (np.array(left) == total).all(axis=0)
    np.testing.assert_array_equal(leave_one_out_sign(contrasts), expected)


def test_cells_keep_their_shape():
    contrasts = np.ones((4, 2, 3))
    assert leave_one_out_sign(contrasts).shape == (2, 3)


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"cell \(1,\), row 0"):
        leave_one_out_sign(np.array([[1, np.nan], [1, 1]]))
