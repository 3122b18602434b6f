"""The bootstrap over relations and entities: weights by hand, coverage by simulation."""

import numpy as np
import pytest

from harness.stats import bootstrap_over_relations, bootstrap_statistic, jaccard
from harness.stats.hierarchical import relation_weights

# Two items an entity; "France" is asked about in two relations.
RELATION = np.array(["capital"] * 4 + ["currency"] * 2 + ["colour"] * 2)
ENTITY = np.array(["France", "France", "Peru", "Peru", "France", "France", "grass", "coal"])


def test_the_sample_gives_every_relation_the_same_weight():
    weights = relation_weights(RELATION, ENTITY, resamples=0)
    np.testing.assert_allclose(weights, [[1 / 12] * 4 + [1 / 6] * 4])


def test_weights_are_of_whole_entities_and_relations_drawn_a_whole_number_of_times():
    weights = relation_weights(RELATION, ENTITY, resamples=200, seed=3)[1:]
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    for name in np.unique(RELATION):
        times = 3 * weights[:, name == RELATION].sum(axis=1)
        np.testing.assert_allclose(times, np.round(times), atol=1e-12)
    assert relation_weights(RELATION, ENTITY, resamples=9, seed=3)[1:].tolist() != weights.tolist()


def test_an_entity_is_weighted_alike_in_all_its_relations():
    relation, entity = np.repeat(["capital", "currency"], 3), np.tile(["France", "Peru", "Mali"], 2)
    weights = relation_weights(relation, entity, resamples=50)[1:]
    both = weights[(weights[:, 0] > 0) & (weights[:, 3] > 0)]
    np.testing.assert_allclose(both[:, 0] / both[:, 1], both[:, 3] / both[:, 4])


def test_it_is_reproducible_and_moves_with_the_seed():
    values = np.random.default_rng(0).standard_normal((8, 3))
    one, two, other = (
        bootstrap_over_relations(values, RELATION, ENTITY, resamples=50, seed=s) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.low, two.low)
    assert (one.low != other.low).all()
    means = [values[name == RELATION].mean(axis=0) for name in np.unique(RELATION)]
    np.testing.assert_allclose(one.value, np.mean(means, axis=0))
    assert (one.low <= one.value).all()
    assert (one.value <= one.high).all()


def test_the_general_statistic_of_a_mean_is_the_mean():
    values = np.random.default_rng(1).standard_normal(8)
    mean = bootstrap_over_relations(values, RELATION, ENTITY, resamples=300)
    same = bootstrap_statistic(lambda w: w @ values, RELATION, ENTITY, resamples=300)
    for one, two in ((mean.value, same.value), (mean.low, same.low), (mean.high, same.high)):
        assert float(one) == pytest.approx(float(two))


def items(generator, relations, entities, own, shared):
    """Values with mean zero, two items an entity, and their names."""
    relation = np.repeat(np.arange(relations), 2 * entities)
    entity = np.tile(np.repeat(np.arange(entities), 2), relations)
    entity = entity if shared else entity + entities * relation
    effect = np.sqrt(0.3) * generator.standard_normal(entity.max() + 1)
    values = own * generator.standard_normal(relations)[relation] + effect[entity]
    return values + np.sqrt(0.7) * generator.standard_normal(len(values)), relation, entity


@pytest.mark.parametrize("shared", [False, True], ids=["own entities", "shared entities"])
@pytest.mark.parametrize("own", [0.0, 0.7])
def test_the_interval_covers_whether_relations_share_entities_or_not(own, shared):
    generator = np.random.default_rng(2)
    covered = []
    for seed in range(250):
        found = bootstrap_over_relations(
            *items(generator, 8, 10, own, shared), resamples=400, seed=seed
        )
        covered.append(found.low <= 0 <= found.high)
    assert np.mean(covered) >= 0.92


def test_a_share_over_entities_is_wider_than_if_items_were_independent():
    generator = np.random.default_rng(4)
    relation, entity = np.repeat(np.arange(8), 20), np.repeat(np.arange(16), 10)
    right = (generator.random(16) < 0.5)[entity].astype(float)
    found = bootstrap_over_relations(right, relation, entity)
    assert 0 <= found.low < found.value < found.high <= 1
    assert found.high - found.low > 2 * 1.96 * 0.5 / np.sqrt(160)


def test_a_jaccard_has_an_interval():
    generator = np.random.default_rng(5)
    relation, entity = np.repeat(np.arange(8), 6), np.arange(48)
    truth = np.where(np.arange(40) < 10, 2.0, 0.0)
    contrasts = truth + generator.standard_normal((2, 48, 40))

    def stability(weights):
        return jaccard(*(drawn.T @ weights > 1 for drawn in contrasts))

    stable = bootstrap_statistic(stability, relation, entity, resamples=200)
    assert stable.value == 1
    assert 0.8 < stable.low <= stable.high == 1
    contrasts += 0.9 * generator.standard_normal((2, 8, 40))[:, relation]
    contrasts[:] -= 0.5 * truth
    shaky = bootstrap_statistic(stability, relation, entity, resamples=200)
    assert shaky.low < shaky.value < 0.8
    assert shaky.high - shaky.low > 0.1


def test_resamples_without_a_value_widen_the_interval_and_many_are_refused():
    values = np.arange(8.0)

    def sometimes(weights, share):
        return weights @ values if weights[0] <= share else float("nan")

    few = bootstrap_statistic(lambda w: sometimes(w, 0.4), RELATION, ENTITY)
    assert (few.low, few.high) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="is a number in"):
        bootstrap_statistic(lambda w: sometimes(w, 0.0), RELATION, ENTITY)


@pytest.mark.parametrize(
    ("relation", "entity", "message"),
    [
        (np.zeros(4, int), np.arange(4), "there are 1 relations"),
        (np.arange(3), np.arange(4), r"shape \(3,\) for 4 items"),
    ],
)
def test_one_relation_and_missing_names_are_refused(relation, entity, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_over_relations(np.zeros(4), relation, entity)
