"""Pair contrasts: the difference between the tasks within each pair of the materials."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.specialisation.cells import Cells
from harness.materials.items import PromptSet, paired, uneven_pair

ROUNDING = 1e-4  # SD of a cell over prompts: float32 gives about 1e-6, the least claim .5


@dataclass(frozen=True, slots=True)
class Contrast:
    """The pair contrasts of a set.

    Attributes:
        values: Mean over the treated prompts of a pair minus the mean over its control prompts.
        blocks: What flips together in a permutation: the pairs of a template; None in a crossed
            set, in which each pair flips on its own.
    """

    values: Float[np.ndarray, "pair cell"]
    blocks: tuple[str, ...] | None


def contrast(cells: Cells, prompts: PromptSet) -> Contrast:
    """Pair contrasts of a set.

    Raises:
        ValueError: If no pair holds prompts of both tasks, or not the same number of each.
    """
    table = paired(prompts.items, prompts.tasks)
    if not table:
        raise ValueError(
            f"no pair of {prompts.name} holds prompts of both {prompts.tasks[0]} and "
            f"{prompts.tasks[1]}; give a `pair` column, or cross the classes with --crossed"
        )
    if uneven := uneven_pair(prompts.items, prompts.tasks):
        raise ValueError(f"{prompts.name}: {uneven}")
    first, second = prompts.tasks
    treated = np.array([row[first] for row in table.values()])
    control = np.array([row[second] for row in table.values()])
    templates = tuple(prompts.items[row].template for row in treated[:, 0])
    return Contrast(
        _beyond_rounding(stats.pair_contrast(cells.values, treated, control), cells),
        None if prompts.crossed else templates,
    )


def _beyond_rounding(
    values: Float[np.ndarray, "pair cell"], cells: Cells
) -> Float[np.ndarray, "pair cell"]:
    """Zero for a cell that differs between the tasks by rounding alone.

    A test over sign flips has no unit: it would rank rounding like any other difference.
    """
    by_rounding = np.abs(values).max(0) < ROUNDING * cells.values.std(0)
    return np.where(by_rounding, 0.0, values).astype(values.dtype)
