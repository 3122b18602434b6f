"""The surface baseline: at chance where materials are balanced, not elsewhere."""

import numpy as np
import pytest

from harness.stats import TooFewGroups, surface_auc, transfer_auc

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


def test_groups_too_uneven_for_folds_with_both_classes_are_refused():
    of_each = [(6, 1), (1, 1), (0, 1), (1, 6), (2, 2), (6, 2), (0, 6)]  # treated, control
    label = np.concatenate([[1] * a + [0] * b for a, b in of_each])
    groups = [f"g{n}" for n, (a, b) in enumerate(of_each) for _ in range(a + b)]
    with pytest.raises(TooFewGroups, match="7 groups are too uneven for 5 folds that hold both"):
        surface_auc(np.zeros((len(label), 2)), label, groups)


GROUPS_OF = np.repeat([f"relation-{i}" for i in range(8)], 20)
TREATED = np.tile([True, False], 80)
FITTED = np.tile(np.repeat([True, False], 10), 8)


def test_a_word_of_every_group_carries_over_and_one_of_its_own_does_not():
    own = np.array([TREATED & (group == GROUPS_OF) for group in np.unique(GROUPS_OF)]).T
    alone = transfer_auc(own, TREATED, GROUPS_OF, FITTED)
    assert (alone.auc, alone.at_chance, alone.groups) == (0.5, True, 8)
    everywhere = transfer_auc(np.column_stack([own, TREATED]), TREATED, GROUPS_OF, FITTED)
    assert (everywhere.auc, everywhere.at_chance) == (1.0, False)


def test_noise_does_not_carry_over():
    noise = np.random.default_rng(0).normal(size=(160, 5))
    found = transfer_auc(noise, TREATED, GROUPS_OF, FITTED)
    assert found.low < 0.5 < found.high


def test_the_interval_is_students_over_groups():
    from scipy.stats import t

    noise = np.random.default_rng(1).normal(size=(160, 5))
    wide, narrow = (transfer_auc(noise, TREATED, GROUPS_OF, FITTED, level=x) for x in (0.99, 0.95))
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(t.ppf(0.995, 7) / t.ppf(0.975, 7))
    assert wide.auc == narrow.auc


def test_transfer_needs_two_groups_with_both_classes():
    features = np.zeros((160, 1))
    with pytest.raises(ValueError, match="lacks a class"):
        transfer_auc(features, TREATED, ["one"] * 160, FITTED)
    with pytest.raises(ValueError, match="lacks a class"):
        transfer_auc(features, np.ones(160), GROUPS_OF, FITTED)
