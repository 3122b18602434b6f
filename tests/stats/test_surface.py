"""The surface baseline: at chance where materials are balanced, not elsewhere."""

import numpy as np
import pytest

from harness.stats import surface_auc

PAIRS = 40
GROUPS = [f"pair-{i // 4}" for i in range(4 * PAIRS)]
LABELS = np.tile([True, False, False, True], PAIRS)


def words(seed=0):
    """Token counts of each pair's facts, the same in its four prompts."""
    return np.repeat(np.random.default_rng(seed).poisson(1, (PAIRS, 30)), 4, axis=0)


def test_crossed_prompts_are_at_chance_exactly():
    # Orders (1, 1, 2, 2) by labels (1, 2, 1, 2): the task is their exclusive-or.
    asked = np.tile([0, 1, 0, 1], PAIRS)
    order = np.tile([0, 0, 1, 1], PAIRS)
    features = np.column_stack([words(), asked, order])
    assert surface_auc(features, LABELS, GROUPS) == pytest.approx(0.5)


def test_a_word_that_goes_with_the_task_is_found_in_proportion():
    rng = np.random.default_rng(1)

    def leaking(share):
        leak = np.where(rng.random(len(LABELS)) < share, LABELS, rng.random(len(LABELS)) < 0.5)
        return surface_auc(np.column_stack([words(), leak]), LABELS, GROUPS)

    assert leaking(1) == pytest.approx(1)
    assert 0.6 < leaking(0.4) < leaking(0.8) < 1


def test_labels_that_go_with_nothing_are_near_chance():
    rng = np.random.default_rng(2)
    scores = [
        surface_auc(rng.standard_normal((100, 5)), rng.random(100) < 0.5, [*map(str, range(100))])
        for _ in range(20)
    ]
    assert np.mean(scores) == pytest.approx(0.5, abs=4 * np.std(scores) / np.sqrt(20))


def test_groups_are_kept_together():
    # Twins of one group share an identifying word and a label that nothing else predicts:
    # memorising it works only if twins are spread over folds.
    rng = np.random.default_rng(3)
    identity = np.repeat(np.eye(60), 2, axis=0)
    label = np.repeat(rng.permutation(np.arange(60) % 2), 2)
    together = [str(i // 2) for i in range(120)]
    apart = [str(i) for i in range(120)]
    assert surface_auc(identity, label, together) < 0.6
    assert surface_auc(identity, label, apart) > 0.75


def test_one_class_and_too_few_groups_are_refused():
    with pytest.raises(ValueError, match="labels have 1 classes"):
        surface_auc(np.zeros((8, 2)), np.ones(8), list("aabbccdd"))
    with pytest.raises(ValueError, match="a class occurs in 4 groups, fewer than 5 folds"):
        surface_auc(np.zeros((8, 2)), np.tile([0, 1], 4), list("aabbccdd"))
    with pytest.raises(ValueError, match="8 items, 7 labels"):
        surface_auc(np.zeros((8, 2)), np.ones(7), list("aabbccdd"))
