"""The published rule: which components differ between two tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.specialisation.cells import Cells
from harness.materials.items import PromptSet
from harness.verdicts.components import Components

LEAST_PROMPTS = 2  # of a class: fewest that a d can be computed from


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRule:
    """Each metric votes: Mann-Whitney, corrected over the components, and |d| beyond a bar.

    Source: Fartale et al. 2025 (public notebooks).
    """

    threshold_d: float
    alpha: float
    votes: int
    correction: Literal["benjamini-hochberg", "bonferroni"]

    def __call__(self, cells: Cells, prompts: PromptSet) -> Components:
        """Apply the rule to all prompts of two tasks, as independent groups."""
        d, q = self._effects(cells, prompts)
        significant = (q <= self.alpha) & (np.abs(d) > self.threshold_d)
        votes = (np.sign(d) * significant).sum(1)
        passed = significant.sum(1) >= self.votes
        names = np.array([prompts.tasks[1], "mixed", prompts.tasks[0]])
        type_ = names[np.sign(votes).astype(int) + 1]
        # A component that passed is shown by the strongest vote of the side that won.
        winning = significant & ((votes == 0)[:, None] | (np.sign(d) == np.sign(votes)[:, None]))
        shown = np.where(passed[:, None] & ~winning, 0.0, np.abs(d))
        discovery = np.full_like(d, np.nan)
        return components_of(cells, d, discovery, q, passed, type_, shown, prompts.tasks)

    def _effects(
        self, cells: Cells, prompts: PromptSet
    ) -> tuple[Float[np.ndarray, "component metric"], Float[np.ndarray, "component metric"]]:
        """D and corrected p of every cell; d is 0 where it is undefined.

        Nothing differs from a class of fewer than two prompts: shuffled labels and folds of a very
        small set have such classes.
        """
        treated, control = (
            cells.values[[i for i, item in enumerate(prompts.items) if item.task == task]]
            for task in prompts.tasks
        )
        shape = (-1, len(cells.metrics))
        if min(len(treated), len(control)) < LEAST_PROMPTS:
            nothing = np.zeros(cells.values.shape[1]).reshape(shape)
            return nothing, nothing + 1
        p = stats.mann_whitney(treated, control).p.reshape(shape)
        correct = stats.bonferroni if self.correction == "bonferroni" else stats.benjamini_hochberg
        d = stats.cohens_d(treated, control)
        return np.where(np.isnan(d), 0.0, d).reshape(shape), correct(p, axis=0)

    def floor(self, prompts: Sequence[int], tests: int) -> float:
        """The smallest corrected p that the rule can reach on values without ties.

        Args:
            prompts: Number of prompts of each task.
            tests: Number of tests of each metric.
        """
        smallest = stats.mann_whitney_floor(*prompts)
        return min(1.0, smallest * (tests if self.correction == "bonferroni" else 1))


def components_of(
    cells: Cells,
    d: Float[np.ndarray, "component metric"],
    discovery: Float[np.ndarray, "component metric"],
    q: Float[np.ndarray, "component metric"],
    passed: Bool[np.ndarray, " component"],
    type_: np.ndarray,
    shown: Float[np.ndarray, "component metric"],
    contrast: tuple[str, str],
) -> Components:
    """The table of components, one row for each of `cells` that are consecutive.

    Args:
        cells: Where the numbers were measured.
        d: The effect of every cell.
        discovery: On discovery prompts.
        q: Corrected p of every cell.
        passed: Whether the component meets the rule.
        type_: What it is specific to, where it passed.
        shown: Largest at the metric that a component is shown by.
        contrast: The two classes whose difference d is.
    """
    strongest = shown.argmax(1)
    rows = np.arange(len(d))
    step = len(cells.metrics)
    return Components(
        kind=cells.kind,
        layer=cells.layer[::step],
        index=cells.index[::step],
        metrics=cells.metrics,
        metric=strongest,
        effect=d[rows, strongest],
        effect_discovery=discovery[rows, strongest],
        q=q[rows, strongest],
        passed=passed,
        type=np.where(passed, type_, ""),
        cells_d=d,
        contrast=contrast,
    )
