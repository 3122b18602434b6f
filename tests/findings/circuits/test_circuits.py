from itertools import product

import numpy as np
import pytest

from harness.findings.circuits.circuits import Circuit, matched_sets, ranked, sizes
from harness.interventions.sites import Site


def circuit(*places, kind="head") -> Circuit:
    layer, index = np.array(places, dtype=int).reshape(-1, 2).T
    return Circuit(kind, layer, index)


def keys(found):
    return [frozenset(c.members) for c in found.circuits]


def test_components_are_ranked_by_falling_score():
    score = np.array([[0.1, 0.9], [-2.0, 0.5]])
    assert ranked("head", score).members == [(0, 1), (1, 1), (0, 0), (1, 0)]
    assert ranked("head", score).top(2).members == [(0, 1), (1, 1)]
    assert len(ranked("head", score).top(9)) == 4


def test_ties_go_by_layer_and_number():
    score = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    assert ranked("head", score).members == [(0, 1), (1, 0), (1, 2), (0, 0), (0, 2), (1, 1)]


def test_components_without_a_score_come_last():
    score = np.array([[np.nan, -1.0], [3.0, np.nan]])
    assert ranked("neuron", score).members == [(1, 0), (0, 1), (0, 0), (1, 1)]


def test_opposite_rankings_share_nothing_up_to_half_unless_scores_tie():
    score = np.random.default_rng(0).standard_normal((4, 4))
    one, two = ranked("head", score).top(8), ranked("head", -score).top(8)
    assert not set(one.members) & set(two.members)
    flat = np.zeros((4, 4))
    assert ranked("head", flat).top(2).members == ranked("head", -flat).top(2).members


def test_doses_are_rising_and_named_once():
    assert sizes((1 / 8, 1 / 4, 1 / 2), 16) == (2, 4, 8)
    assert sizes((1 / 2, 1 / 8, 1 / 4), 16) == (2, 4, 8)
    assert sizes((1 / 8, 1 / 4, 1 / 2), 3) == (1, 2)
    assert sizes((1 / 8, 1 / 4, 1 / 2), 1) == (1,)


def test_a_union_names_each_component_once():
    assert circuit((0, 1), (1, 2)).union(circuit((1, 2), (0, 0))).members == [
        (0, 1),
        (1, 2),
        (0, 0),
    ]
    empty = circuit()
    assert empty.union(empty).members == []
    assert empty.union(circuit((0, 1))).members == [(0, 1)]


def test_sites_are_heads_or_one_site_of_neurons_a_layer():
    assert circuit((1, 2), (0, 1)).sites == (Site("head", 0, 1), Site("head", 1, 2))
    assert circuit((1, 5), (0, 1), (1, 2), kind="neuron").sites == (
        Site("neuron", 0, (1,)),
        Site("neuron", 1, (2, 5)),
    )


@pytest.mark.parametrize("seed", range(5))
def test_random_sets_hold_as_many_of_each_layer_and_are_distinct_and_never_the_circuit(seed):
    own = circuit((0, 1), (0, 3), (2, 0), (2, 1), (3, 3))
    found = matched_sets(own, 4, 6, draws=50, least=19, seed=seed)
    assert found.match == "layer"
    assert len(found.circuits) == 50
    assert all(c.by_layer() == {0: 2, 2: 2, 3: 1} for c in found.circuits)
    assert all(len(set(c.members)) == len(c) == 5 for c in found.circuits)
    assert len(set(keys(found))) == 50
    assert not any(set(own.members) & set(c.members) for c in found.circuits)
    again = matched_sets(own, 4, 6, draws=50, least=19, seed=seed)
    assert keys(again) == keys(found)


def test_all_sets_are_taken_where_there_are_few():
    own = circuit((0, 0), (1, 1))
    found = matched_sets(own, 2, 6, draws=100, least=19, seed=0)
    assert (found.match, len(found.circuits)) == ("layer", 25)
    others = [(0, n) for n in range(1, 6)], [(1, n) for n in (0, 2, 3, 4, 5)]
    assert set(keys(found)) == {frozenset(two) for two in product(*others)}


def test_a_set_shares_with_the_circuit_only_what_it_must():
    own = circuit(*((0, n) for n in range(4)))  # of five heads: three of its own must come along
    found = matched_sets(own, 1, 5, draws=100, least=1, seed=0)
    assert (found.match, len(found.circuits)) == ("layer", 4)
    assert {len(set(c.members) & set(own.members)) for c in found.circuits} == {3}
    assert all((0, 4) in c.members for c in found.circuits)


def test_the_last_set_but_one_is_still_found_by_drawing():
    own = circuit((0, 0), (1, 1))
    found = matched_sets(own, 2, 6, draws=24, least=19, seed=0)
    assert len(set(keys(found))) == 24


def test_sets_match_in_size_alone_where_too_few_match_by_layer():
    own = circuit((0, 0), (0, 1), (0, 2), (0, 3))  # all heads of a layer: no other set matches
    found = matched_sets(own, 4, 4, draws=60, least=19, seed=0)
    assert found.match == "size"
    assert len(set(keys(found))) == 60
    assert all(len(set(c.members)) == 4 for c in found.circuits)
    assert frozenset(own.members) not in keys(found)


def test_all_sets_of_a_size_are_taken_where_there_are_few():
    found = matched_sets(circuit((0, 1)), 2, 2, draws=100, least=19, seed=0)
    assert found.match == "size"
    assert set(keys(found)) == {frozenset({p}) for p in [(0, 0), (1, 0), (1, 1)]}


def test_a_circuit_of_everything_has_no_random_sets():
    found = matched_sets(circuit((0, 0)), 1, 1, draws=100, least=19, seed=0)
    assert found.circuits == ()


def test_random_sets_are_drawn_evenly():
    own = circuit((0, 0), (1, 0))
    counts = np.zeros((2, 8))
    for seed in range(200):
        for drawn in matched_sets(own, 2, 8, draws=10, least=19, seed=seed).circuits:
            for place in drawn.members:
                counts[place] += 1
    assert counts.sum() == 200 * 10 * 2
    expected = np.where(np.arange(8) == 0, 0, 1 / 7) * 2000
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())
