"""How often the interval of a requirement lies on its right side by error; prints a table.

    python -m benchmarks.coverage [--draws 2000]

Relations are drawn so that the true value is the threshold (of what is spared: just beyond it).
An exact 95 % interval errs in .025 of the draws; with 2,000 draws the 95 % interval of such a rate
is .019 to .033. It takes about 40 s of one core.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from harness.findings.processes.selected import interval_over_relations
from harness.stats import moderated_max
from harness.study.plan import Plan

PROMPTS = 8  # of each cell in a relation
RESAMPLES = 500

Draw = Callable[[np.random.Generator, int], np.ndarray]  # of so many relations
Effects = Callable[[np.random.Generator, int, float], np.ndarray]  # in SD of prompts; their size

SEPARATIONS: dict[str, Effects] = {
    "similar": lambda g, n, size: size + 0.3 * g.standard_normal(n),
    "very different": lambda g, n, size: size + 1.5 * g.standard_normal(n),
    "a quarter have no effect": lambda g, n, size: np.where(g.random(n) < 0.25, 0.0, size),
    "a fifth have the opposite effect": lambda g, n, size: np.where(g.random(n) < 0.2, -size, size),
}


def size_for(effects: Effects, auc: float) -> float:
    """The size at which the mean AUC of all relations is that."""
    low, high = -2.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        drawn = effects(np.random.default_rng(3), 50_000, middle)
        mean = ndtr(drawn / np.sqrt(2)).mean()
        low, high = (middle, high) if mean < auc else (low, middle)
    return middle


def above(effects: Effects, auc: float, relations: int, draws: int) -> float:
    """How often the interval of h7's mean AUC lies above the true one."""
    size, generator, errors = size_for(effects, auc), np.random.default_rng(5), 0
    for _ in range(draws):
        d = effects(generator, relations, size)
        with_it, without = generator.standard_normal((2, relations, PROMPTS))
        aucs = ((with_it + d[:, None])[:, :, None] > without[:, None]).mean((1, 2))
        errors += moderated_max((aucs - auc)[:, None], permutations=2, seed=0).low[0] > 0
    return errors / draws


def losses(tau: float, size: float, *, lacking: float = 0, steep: float = 0) -> Draw:
    """What a circuit and what all components cost each relation; half of it in all relations.

    Args:
        tau: SD over relations of the circuit's share.
        size: SD of the logarithm of what all components cost.
        lacking: Part of the relations to which the circuit costs nothing.
        steep: The share grows with that power of what all components cost.
    """
    whole = np.exp(size**2 * ((1 + steep) ** 2 - (1 + steep)) / 2)  # mean of cost x its power

    def draw(g: np.random.Generator, n: int) -> np.ndarray:
        everything = np.exp(size * g.standard_normal(n) - size**2 / 2)
        share = np.where(g.random(n) < lacking, 0.0, 0.5 / (1 - lacking))
        share *= everything**steep / whole
        return np.stack([(share + tau * g.standard_normal(n)) * everything, everything], 1)

    return draw


def spared(part: float) -> Draw:
    """What another cell loses: .105 on average, all of it in a part of the relations."""

    def draw(g: np.random.Generator, n: int) -> np.ndarray:
        spread = 0.1 if part == 1 else 0.02
        return np.where(g.random(n) < part, 0.105 / part, 0.0) + spread * g.standard_normal(n)

    return draw


RATIOS = {
    "similar": losses(0.1, 0.2),
    "very different": losses(0.2, 0.6),
    "a quarter do not need the circuit": losses(0.2, 1.0, lacking=0.25),
    "a larger share of larger costs": losses(0.2, 0.6, steep=0.5),
}
SPARED = {"all lose alike": 1.0, "one in four loses": 0.25, "one in eight loses": 0.125}


def intervals(draw: Draw, relations: int, draws: int) -> np.ndarray:
    """The interval of each draw's ratio of mean costs, or of its mean loss."""
    generator, names, found = np.random.default_rng(2), [str(n) for n in range(relations)], []
    for seed in range(draws):
        costs = draw(generator, relations)

        def statistic(weights: np.ndarray, costs: np.ndarray = costs) -> float:
            means = weights @ costs
            return float(means if costs.ndim == 1 else means[0] / means[1])

        plan = Plan(resamples=RESAMPLES, seed=seed)
        found.append(interval_over_relations(statistic, names, plan))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=2000)
    draws = parser.parse_args().draws
    for auc in (0.75, 0.5):
        print(f"h7, interval of the mean AUC above {auc}, which is true; relations: 8, 16")
        for name, effects in SEPARATIONS.items():
            if auc > 0.5 or "effect" not in name:
                shown([above(effects, auc, n, draws) for n in (8, 16)], name)
    print("h5, interval of the ratio above .5, which is true, then below; relations: 6, 8")
    for name, draw in RATIOS.items():
        found = [intervals(draw, n, draws) for n in (6, 8)]
        shown([(each[:, 0] > 0.5).mean() for each in found], name)
        shown([(each[:, 1] < 0.5).mean() for each in found], "")
    print("h5, interval of the loss at most at .10, where .105 is true; relations: 6, 8")
    for name, part in SPARED.items():
        shown([(intervals(spared(part), n, draws)[:, 1] <= 0.10).mean() for n in (6, 8)], name)


def shown(rates: list[float], name: str) -> None:
    print(f" {name:34s}", *(f"{rate:.3f}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
