"""Error rate and power of the moderated test, by simulation.

`benchmarks/relations.py` prints the same for more worlds and more draws.
"""

import numpy as np
import pytest

from harness.stats import binomial_interval, moderated_max, sign_flip_max
from harness.stats.permutation import sign_patterns
from tests.support.simulated_relations import World

# Nothing holds in these: entities explain .1 to .3 of the items' variance, tails are normal or t3,
# relations have an effect of their own or none; relations and components vary in scale.
WORLDS = [
    {"icc": icc, "heavy": heavy, "own": own}
    for icc, own in ((0.1, 0.0), (0.2, 0.5), (0.3, 1.0))
    for heavy in (False, True)
]


def least_p(world, draws, seed, **options):
    """The smallest adjusted p of each draw."""
    generator = np.random.default_rng(seed)
    found = [
        moderated_max(world.draw(generator), permutations=512, seed=draw, **options)
        for draw in range(draws)
    ]
    return np.array([one.p_adjusted.min() for one in found])


def test_the_family_wise_rate_is_at_most_half_above_nominal():
    draws = {8: 90, 12: 70, 16: 70}
    least = {
        relations: np.concatenate(
            [
                least_p(World(relations, 30, entities=4, **world), draws[relations], seed=7)
                for world in WORLDS
            ]
        )
        for relations in draws
    }
    for found in least.values():
        assert np.mean(found <= 0.05) <= 1.5 * 0.05
    assert np.mean(np.concatenate(list(least.values())) <= 0.01) <= 1.5 * 0.01


def test_relations_that_share_entities_are_found_too_often_unless_they_are_one_block():
    # The worst there is: all that two relations have in common is their entities.
    pools = (0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5)
    world = World(12, 40, icc=0.3, own=0.0, pools=pools, pool_size=8)
    alone = least_p(world, 150, seed=8)
    together = least_p(world, 150, seed=8, blocks=pools)
    assert np.mean(alone <= 0.05) > 0.1
    assert binomial_interval(int((together <= 0.05).sum()), 150)[0] <= 0.05


def mean_max(contrasts):
    """Family-wise p of the plain mean over relations, unscaled."""
    sums = np.abs(sign_patterns(len(contrasts), 512, 0) @ contrasts)
    return (sums.max(axis=1)[:, None] >= sums[0] - 1e-4).mean(axis=0)


@pytest.mark.parametrize(("components", "holding", "draws"), [(270, 13, 8), (46_080, 460, 1)])
def test_it_finds_more_than_the_plain_t_and_than_the_mean(components, holding, draws):
    generator = np.random.default_rng(9)
    real = np.arange(components) < holding
    hits = {"moderated": 0, "plain t": 0, "mean": 0}
    for _ in range(draws):
        # Standardised contrasts, as the test asks for: components are nearly alike in scale.
        contrasts = World(8, components, uneven=0.2).draw(generator)
        contrasts += np.where(real, 1.5, 0)
        for name, p in (
            ("moderated", moderated_max(contrasts, permutations=512).p_adjusted),
            ("plain t", sign_flip_max(contrasts, permutations=512).p_adjusted),
            ("mean", mean_max(contrasts)),
        ):
            hits[name] += int((p[real] <= 0.05).sum())
            assert (p[~real] <= 0.05).sum() <= 3
    assert hits["moderated"] > 1.5 * hits["plain t"]
    assert hits["moderated"] > 1.5 * hits["mean"]
