"""Pair contrasts: the difference between the tasks within each pair of the materials."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.specialisation.cells import Cells, controlled_cells
from harness.materials.items import PromptSet, paired, uneven_pair
from harness.verdicts.components import ComponentKind

ROUNDING = 1e-4  # SD of a cell over prompts: float32 gives about 1e-6, the least claim .5


@dataclass(frozen=True, slots=True)
class Contrast:
    """The pair contrasts of a set.

    Attributes:
        values: Mean over the treated prompts of a pair minus the mean over its control prompts.
        treated, control: Positions of the prompts of each pair.
        template: Of each pair.
    """

    cells: Cells
    values: Float[np.ndarray, "pair cell"]
    treated: Int[np.ndarray, "pair k"]
    control: Int[np.ndarray, "pair k"]
    template: np.ndarray
    crossed: bool

    def blocks(self, pairs: np.ndarray) -> list[str] | None:
        """What flips together in a permutation: the pairs of a template, or None in a crossed set.

        In a crossed set each pair flips on its own.
        """
        return None if self.crossed else [str(name) for name in self.template[pairs]]

    def flipped(self, signs: np.ndarray) -> Self:
        """The same data with the labels of pairs of sign -1 exchanged."""
        swap = (signs < 0)[:, None]
        return replace(
            self,
            values=self.values * signs[:, None].astype(self.values.dtype),
            treated=np.where(swap, self.control, self.treated),
            control=np.where(swap, self.treated, self.control),
        )


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
    at = treated[:, 0]
    return Contrast(
        cells=cells,
        values=_beyond_rounding(stats.pair_contrast(cells.values, treated, control), cells),
        treated=treated,
        control=control,
        template=np.array([prompts.items[i].template for i in at]),
        crossed=prompts.crossed,
    )


def _beyond_rounding(
    values: Float[np.ndarray, "pair cell"], cells: Cells
) -> Float[np.ndarray, "pair cell"]:
    """Zero for a cell that differs between the tasks by rounding alone.

    A test over sign flips has no unit: it would rank rounding like any other difference.
    """
    by_rounding = np.abs(values).max(0) < ROUNDING * cells.values.std(0)
    return np.where(by_rounding, 0.0, values).astype(values.dtype)


def controlled_contrast(
    kind: ComponentKind, activations: Activations, prompts: PromptSet
) -> Contrast:
    """Pair contrasts of the cells that the controlled criterion looks at."""
    return contrast(controlled_cells(kind, activations), prompts)
