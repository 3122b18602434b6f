"""Power of the rule of h1 to h3 on drawn contrasts: over relations, items and strength.

No model takes part: components have a mean contrast `d` and relations of their own, prompts are
normal. So a point takes a second, and the number of relations and items that a study needs can be
read off before anything is measured. Real activations have heavier tails and depend on each other;
how the same rule does on those is measured by the parts `power` and `processes`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from harness.calibration.rates import rate
from harness.findings.processes.rule import ProcessRule

RELATIONS = (4, 8, 10, 12, 16)
ITEMS = (15, 30, 60, 100, 200, 400)  # of a cell, divided over relations and into two halves
STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0)  # d: the bar of h2 and h3 is 1
BETWEEN = 0.5  # SD of a component's contrast over relations
COMPONENTS, SERVE = 200, 20
DRAWS = 20
USUAL = (16, 200, 2.0)  # relations, items and strength where the other two vary
RULE = ProcessRule(threshold_d=1.0, alpha=0.01, permutations=1000, seed=0)


def simulated_power() -> list[dict[str, Any]]:
    """One entry a point: the share of serving components found, and of draws with any other."""
    relations, items, d = USUAL
    points = [(n, items, d) for n in RELATIONS]
    points += [(relations, n, d) for n in ITEMS]
    points += [(relations, items, size) for size in STRENGTHS]
    return [_point(*point) for point in dict.fromkeys(points)]


def _point(relations: int, items: int, d: float) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    found, errors = 0, 0
    for _ in range(DRAWS):
        holds = RULE.decide(*drawn_contrasts(relations, items, d, generator)).holds
        found += int(holds[:SERVE].sum())
        errors += bool(holds[SERVE:].any())
    return {
        "relations": relations,
        "items": items,
        "d": d,
        "found": rate(found, DRAWS * SERVE),
        "errors": rate(errors, DRAWS),
    }


def drawn_contrasts(
    relations: int, items: int, d: float, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "relation component"], Float[np.ndarray, "relation component"]]:
    """Contrasts on discovery and on evaluation entities; the first components serve the process.

    Args:
        relations: How many.
        items: Of a cell.
        d: Mean contrast of those that serve, with the sign of each its own.
        generator: Of all draws.
    """
    sign = generator.choice((-1.0, 1.0), COMPONENTS)
    mean = np.where(np.arange(COMPONENTS) < SERVE, d, 0.0) * sign
    own = mean + BETWEEN * generator.standard_normal((relations, COMPONENTS))
    each = max(items / relations / 2, 1.0)  # prompts of a cell, a relation and a half
    noise = np.sqrt(2 / each) * generator.standard_normal((2, relations, COMPONENTS))
    return own + noise[0], own + noise[1]
