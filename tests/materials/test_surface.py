"""The surface of prompts is measured to the last token."""

import numpy as np
import pytest

from harness.materials.items import Item
from harness.materials.surface import Balance, surface_features, token_balance

TASKS = ("a", "b")


def items(*tasks):
    return [Item(str(i), task, "?", "p", label=i, order=2) for i, task in enumerate(tasks)]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([[1, 2], [1, 2]], Balance(0, 0, 0)),
        ([[1, 2], [2, 1]], Balance(0, 1, 0)),
        ([[1, 1, 1], [2, 2, 2]], Balance(3, 1, 0)),
        ([[1, 2], [2, 2]], Balance(1, 1, 0)),
        ([[1], [1, 1]], Balance(1, 1, 1)),
        ([[], []], Balance(0, 0, 0)),
    ],
)
def test_differences_are_counted(ids, expected):
    found = token_balance(items("a", "b"), ids, TASKS)
    assert found == expected
    assert found.exact == (expected == Balance(0, 0, 0))


def test_positions_are_counted_from_the_right_too():
    ids = [[1, 2, 3], [1, 9, 2, 3], [1, 9, 2, 3], [1, 2, 3]]
    assert token_balance(items("a", "a", "b", "b"), ids, TASKS).exact
    # From the left alone these two are the same but for where the shorter one ends.
    ids = [[1, 1, 2], [1, 1], [1, 1], [1, 1, 2]]
    assert token_balance(items("a", "a", "b", "b"), ids, TASKS).exact
    left_alike = [[1, 1], [1, 1, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert token_balance(items("a", "a", "b", "b"), left_alike, TASKS).lengths == 2


def test_unlike_numbers_are_not_balanced_and_other_tasks_do_not_matter():
    assert not token_balance(items("a", "b", "b"), [[1]] * 3, TASKS).exact
    assert token_balance(items("a", "b", "c"), [[1], [1], [5, 5]], TASKS).exact


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no item of task 'b'"):
        token_balance(items("a"), [[1]], TASKS)
    with pytest.raises(ValueError, match="1 rows of token ids for 2 items"):
        token_balance(items("a", "b"), [[1]], TASKS)
    with pytest.raises(ValueError, match="1 rows of token ids for 2 items"):
        surface_features(items("a", "b"), [[1]])


def test_features_are_counts_length_label_and_order():
    features = surface_features(items("a", "b"), [[7, 3, 7], [3]])
    np.testing.assert_array_equal(features, [[1, 2, 3, 0, 2], [1, 0, 1, 1, 2]])
    fewer = surface_features(items("a", "b"), [[7, 3, 7], [3]], most=1)
    np.testing.assert_array_equal(fewer, [[1, 3, 0, 2], [1, 1, 1, 2]])
