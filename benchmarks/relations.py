"""Error rates and power of the test over relations, by simulation; prints tables.

    python -m benchmarks.relations [--draws 1000]

A thousand draws take about three minutes of one idle core. Error rates are the share of draws
without any effect in which some component is found; with 1,000 draws the 95% interval of a rate of
.05 is .037 to .065.
"""

import argparse
import itertools
from collections.abc import Callable

import numpy as np

from harness.stats import bootstrap_over_relations, moderated_max, sign_flip_max
from harness.stats.permutation import sign_patterns
from tests.support.simulated_relations import World

PERMUTATIONS = 512
# Sixteen relations of which four share nations and five share animals, as prompts/relations/ has.
SHARED = (0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8)

Drawn = Callable[[np.random.Generator], np.ndarray]


def rates(draw: Drawn, draws: int, blocks: tuple[int, ...] | None = None) -> str:
    """Share of draws with a finding, at .05 and at .01."""
    generator = np.random.default_rng(0)
    least = np.array(
        [
            moderated_max(
                draw(generator), permutations=PERMUTATIONS, seed=seed, blocks=blocks
            ).p_adjusted.min()
            for seed in range(draws)
        ]
    )
    return f"{np.mean(least <= 0.05):.3f}  {np.mean(least <= 0.01):.3f}"


def independent_relations(draws: int) -> None:
    print("\nrelations of their own entities, 60 components")
    print(" relations  tails   icc  own   .05    .01")
    for relations in (8, 12, 16):
        for heavy in (False, True):
            for icc, own in ((0.1, 0.0), (0.2, 0.5), (0.3, 1.0)):
                world = World(relations, 60, icc=icc, own=own, heavy=heavy)
                tails = "t3" if heavy else "normal"
                print(f" {relations:9d}  {tails:6s}  {icc}  {own}  {rates(world.draw, draws)}")


def shared_entities(draws: int) -> None:
    print("\n16 relations that share entities, icc .3\n own   unit       .05    .01")
    for own in (0.0, 0.3, 0.5, 1.0):
        world = World(16, 60, icc=0.3, own=own, pools=SHARED)
        print(f" {own}   relation   {rates(world.draw, draws)}")
        print(f" {own}   block      {rates(world.draw, draws, SHARED)}")


def skewed(relations: int, sigma: float) -> Drawn:
    """Contrasts of mean zero, log-normal to either side, components uneven in scale."""

    def draw(generator: np.random.Generator) -> np.ndarray:
        shape = (relations, 60)
        values = np.exp(sigma * generator.standard_normal(shape)) - np.exp(sigma**2 / 2)
        return values * generator.choice([-1, 1], 60) * np.exp(generator.standard_normal(60) / 2)

    return draw


def skewed_contrasts(draws: int) -> None:
    print("\nskewed contrasts of mean zero\n relations  skew   .05    .01")
    for relations in (8, 16):
        for sigma in (0.25, 0.5):
            square = np.exp(sigma**2)
            skew = (square + 2) * np.sqrt(square - 1)
            print(f" {relations:9d}  {skew:.2f}   {rates(skewed(relations, sigma), draws)}")


def mean_max(contrasts: np.ndarray) -> np.ndarray:
    """Family-wise p of the plain mean over relations."""
    sums = np.abs(sign_patterns(len(contrasts), PERMUTATIONS, 0) @ contrasts)
    return (sums.max(axis=1)[:, None] >= sums[0] - 1e-4).mean(axis=0)


def power() -> None:
    print(
        "\ncomponents found of those that hold, at .05 / .01; uneven is the SD of log scale"
        "\n relations components uneven effect  moderated      plain t        mean         false"
    )
    for components, holding, draws in ((270, 13, 40), (46_080, 460, 3)):
        for relations, uneven, effect in itertools.product((8, 12), (0.2, 0.5), (1.0, 1.5)):
            world = World(relations, components, uneven=uneven)
            generator, hits = np.random.default_rng(1), np.zeros((4, 2))
            real = np.arange(components) < holding
            for _ in range(draws):
                hits += found_by_each(world.draw(generator) + np.where(real, effect, 0), real)
            cells = "  ".join(f"{one / draws:6.1f}/{two / draws:6.1f}" for one, two in hits)
            row = f" {relations:9d} {components:10d} {uneven:6.1f} {effect:6.1f}"
            print(f"{row}  {cells} of {holding}")


def found_by_each(contrasts: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Found at .05 and .01: by the moderated t, the plain t and the mean; falsely by the first."""
    moderated = moderated_max(contrasts, permutations=PERMUTATIONS).p_adjusted
    plain = sign_flip_max(contrasts, permutations=PERMUTATIONS).p_adjusted
    tests = (moderated[real], plain[real], mean_max(contrasts)[real], moderated[~real])
    return np.array([[(p <= alpha).sum() for alpha in (0.05, 0.01)] for p in tests])


def coverage(draws: int) -> None:
    print("\ncoverage of 95% intervals where nothing holds: moderated, over all components")
    for components in (4, 16, 270):
        for relations in (8, 16):
            world, generator = World(relations, components, uneven=0.5), np.random.default_rng(2)
            found = [moderated_max(world.draw(generator), permutations=1) for _ in range(draws)]
            covered = np.mean([(one.low <= 0) & (one.high >= 0) for one in found])
            print(f" {components:10d} components, {relations:2d} relations  {covered:.3f}")


def bootstrap_coverage(draws: int) -> None:
    print("\nbootstrap over relations and entities, shared as above, icc .3")
    for own in (0.0, 0.5, 1.0):
        world, generator = World(16, 30, icc=0.3, own=own, pools=SHARED), np.random.default_rng(3)
        covered = []
        for seed in range(max(draws // 10, 10)):
            values, relation, entity = world.draw_items(generator)
            found = bootstrap_over_relations(values, relation, entity, resamples=500, seed=seed)
            covered.append((found.low <= 0) & (found.high >= 0))
        print(f" own {own}  {np.mean(covered):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000, help="simulations of each kind")
    draws = parser.parse_args().draws
    independent_relations(draws)
    shared_entities(draws)
    skewed_contrasts(draws)
    power()
    coverage(max(draws // 5, 10))
    bootstrap_coverage(draws)


if __name__ == "__main__":
    main()
