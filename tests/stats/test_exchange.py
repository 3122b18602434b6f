"""Signs and permutations of the null hypothesis: fair, by block, and the same for the same name."""

import numpy as np

from harness.stats import permuted_by_name, permuted_within, random_signs, signs_by_name

NAMES = [f"pair {n}" for n in range(200)]


def test_entries_of_a_block_flip_together_and_blocks_on_their_own():
    block = np.repeat(np.arange(30), 4)[::-1]
    signs = random_signs(block, draws=500, seed=0)
    assert set(np.unique(signs)) == {-1, 1}
    for number in range(30):
        assert (np.ptp(signs[:, block == number], axis=1) == 0).all()
    coins = signs[:, ::4]
    assert abs(coins.mean()) < 4 / np.sqrt(coins.size)
    correlations = np.corrcoef(coins.T)[np.triu_indices(30, 1)]
    assert np.abs(correlations).max() < 0.25


def test_signs_depend_on_the_seed_and_on_nothing_else():
    few, many = (random_signs(np.arange(50), draws=draws, seed=3) for draws in (2, 20))
    assert np.array_equal(few, many[:2])
    assert not np.array_equal(many, random_signs(np.arange(50), draws=20, seed=4))


def test_values_are_permuted_within_their_block_and_every_order_is_as_likely():
    values, block = np.array([1, 2, 3, 8, 9]), np.array(["b", "b", "b", "a", "a"])
    rows = permuted_within(values, block, draws=6000, seed=0)
    assert (np.sort(rows[:, :3], axis=1) == [1, 2, 3]).all()
    assert (np.sort(rows[:, 3:], axis=1) == [8, 9]).all()
    orders, counts = np.unique(rows[:, :3], axis=0, return_counts=True)
    assert len(orders) == 6
    assert abs(counts - 1000).max() < 4 * np.sqrt(6000 * 5 / 36)


def test_a_name_has_the_same_sign_in_every_list_that_holds_it():
    of_all = signs_by_name(NAMES, share=1.0, seed=0)
    of_some = signs_by_name(NAMES[50:], share=1.0, seed=0)
    assert of_some == {name: of_all[name] for name in NAMES[50:]}
    assert 70 < list(of_all.values()).count(-1) < 130
    assert list(signs_by_name(NAMES, share=0.5, seed=0).values()).count(-1) <= 100


def test_labels_by_name_are_permuted_among_a_share_of_the_names():
    label_of = {name: n % 3 for n, name in enumerate(NAMES)}
    new = permuted_by_name(label_of, share=0.5, seed=0)
    assert len(new) == 100
    assert sorted(new.values()) == sorted(label_of[name] for name in new)
    assert any(label_of[name] != label for name, label in new.items())
    assert permuted_by_name(label_of, share=0.0, seed=0) == {}
