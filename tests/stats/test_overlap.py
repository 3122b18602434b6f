"""Overlap against chance: by hand, against scipy in one layer, against random sets in several."""

import numpy as np
import pytest

from harness.stats import overlap_by_layer


def sets(total, *members):
    """Membership arrays."""
    return [np.isin(np.arange(total), list(wanted)) for wanted in members]


def test_one_layer_is_fishers_exact_test():
    from scipy.stats import fisher_exact

    a, b = sets(30, range(10), range(7, 15))
    found = overlap_by_layer(a, b, np.zeros(30, int))
    table = [[3, 7], [5, 15]]
    assert found.shared == 3
    assert found.expected == pytest.approx(10 * 8 / 30)
    assert found.p_more == pytest.approx(fisher_exact(table, "greater").pvalue)
    assert found.p_less == pytest.approx(fisher_exact(table, "less").pvalue)


def test_two_layers_by_hand():
    # One of two components in each layer is in each set: shared are 0, 1, 2 with 1/4, 1/2, 1/4.
    a, b = sets(4, [0, 2], [0, 3])
    found = overlap_by_layer(a, b, np.array([0, 0, 1, 1]))
    assert (found.shared, found.expected) == (1, pytest.approx(1))
    assert found.p_more == pytest.approx(0.75)
    assert found.p_less == pytest.approx(0.75)


def test_crowding_in_one_layer_is_no_overlap_beyond_chance():
    # Both sets take 20 of 25 components of one layer of 10.
    generator = np.random.default_rng(0)
    a, b = sets(250, generator.permutation(25)[:20], generator.permutation(25)[:20])
    matched = overlap_by_layer(a, b, np.arange(250) // 25)
    assert matched.p_more > 0.1
    assert overlap_by_layer(a, b, np.zeros(250, int)).p_more < 1e-10


def test_it_is_what_random_sets_give():
    generator = np.random.default_rng(1)
    layers = np.repeat(np.arange(4), 15)
    a, b = generator.random(60) < 0.4, generator.random(60) < 0.3
    found = overlap_by_layer(a, b, layers)
    shared = []
    for _ in range(4000):
        drawn = np.concatenate([generator.permutation(b[layers == layer]) for layer in range(4)])
        shared.append((a & drawn).sum())
    assert found.expected == pytest.approx(np.mean(shared), abs=0.1)
    assert found.p_more == pytest.approx(np.mean(np.array(shared) >= found.shared), abs=0.03)
    assert found.p_less == pytest.approx(np.mean(np.array(shared) <= found.shared), abs=0.03)


def test_small_sets_cannot_be_shown_to_be_apart():
    a, b = sets(270, [0, 1, 2], [100, 101])
    found = overlap_by_layer(a, b, np.arange(270) // 90)
    assert found.p_less == 1
    near = overlap_by_layer(*sets(270, [0, 1, 2], [3, 4]), np.arange(270) // 90)
    assert near.p_less > 0.9


def test_empty_sets_share_nothing():
    none = np.zeros(6, bool)
    found = overlap_by_layer(none, none, np.arange(6) // 3)
    assert (found.shared, found.p_more, found.p_less) == (0, 1, 1)


def test_thousands_of_members_have_probabilities_that_sum_to_one():
    generator = np.random.default_rng(2)
    layers = np.repeat(np.arange(30), 1536)
    a, b = generator.random(46_080) < 0.2, generator.random(46_080) < 0.2
    found = overlap_by_layer(a, b, layers)
    assert found.expected == pytest.approx(46_080 * 0.04, rel=0.05)
    assert found.p_more + found.p_less == pytest.approx(1, abs=0.05)


def test_other_lengths_and_what_is_not_boolean_are_refused():
    for one, layers in ((np.arange(4), 4), (sets(4, [0])[0], 3), (sets(3, [0])[0], 4)):
        with pytest.raises(ValueError, match="a layer for each component"):
            overlap_by_layer(one, sets(4, [1])[0], np.zeros(layers, int))
