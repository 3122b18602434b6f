"""The published and the controlled rule: which components differ between two tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.specialisation.cells import Cells
from harness.findings.specialisation.contrasts import Contrast
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.verdicts.components import Components

LEAST_PAIRS = 2  # fewest pairs that a d can be computed from
LEAST_PROMPTS = 2  # of a class, likewise


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
        return components_of(cells, d, np.full_like(d, np.nan), q, passed, type_, shown)

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


@dataclass(frozen=True, slots=True)
class CellDecisions:
    """What the controlled rule measured and decided, one entry for each cell.

    Attributes:
        d_discovery: d on discovery pairs.
        p_discovery: Max-statistic p on discovery pairs, corrected over all cells.
        selected: Whether the cell was selected, on discovery pairs alone.
        d: d on evaluation pairs.
        p: Max-statistic p on evaluation pairs, corrected over the selected cells; 1 elsewhere.
        holds: Whether the cell was selected and holds on evaluation pairs.
    """

    d_discovery: Float[np.ndarray, " cell"]
    p_discovery: Float[np.ndarray, " cell"]
    selected: Bool[np.ndarray, " cell"]
    d: Float[np.ndarray, " cell"]
    p: Float[np.ndarray, " cell"]
    holds: Bool[np.ndarray, " cell"]

    @property
    def strongest(self) -> int:
        """The selected cell with the largest |d| on discovery pairs; of all if none is selected."""
        size = np.abs(self.d_discovery)
        return int((np.where(self.selected, size, -1.0) if self.selected.any() else size).argmax())


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledRule:
    """Select on discovery pairs, decide on evaluation pairs.

    A cell is selected if its |d| is beyond the bar and its max-statistic p, over all cells of the
    kind, is at most alpha on discovery pairs. It holds if on evaluation pairs |d| is beyond the
    bar with the same sign, stays so with any one template left out, has the same sign within
    every template, and its p, corrected over the selected cells, is at most alpha. A component
    passes if one of its cells holds.
    """

    threshold_d: float
    alpha: float
    permutations: int
    seed: int

    def __call__(self, c: Contrast) -> Components:
        """Apply the rule."""
        return self.table(c, self.decide(c))

    def select(
        self, c: Contrast, pairs: np.ndarray
    ) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"], Bool[np.ndarray, " cell"]]:
        """D and adjusted p of every cell on these pairs, and whether they select it."""
        d, p = c.effect(pairs), self.p_adjusted(c, pairs)
        return d, p, (np.abs(d) > self.threshold_d) & (p <= self.alpha)

    def decide(self, c: Contrast) -> CellDecisions:
        """Select on discovery pairs and decide on evaluation pairs, for every cell."""
        d_discovery, p_discovery, selected = self.select(c, c.split == DISCOVERY)
        evaluation = c.split == EVALUATION
        d = c.effect(evaluation)
        p, holds = np.ones_like(p_discovery), np.zeros_like(selected)
        if selected.any():
            p[selected] = self.p_adjusted(c, evaluation, selected)
            sign = np.sign(d_discovery[selected])
            holds[selected] = (
                (d[selected] * sign > self.threshold_d)
                & (p[selected] <= self.alpha)
                & self.holds_in_templates(c, evaluation, sign, selected)
            )
        return CellDecisions(d_discovery, p_discovery, selected, d, p, holds)

    def table(self, c: Contrast, decisions: CellDecisions) -> Components:
        """The components, each shown by one of its cells."""
        shape = (-1, len(c.cells.metrics))
        q = np.where(decisions.selected, decisions.p, decisions.p_discovery).reshape(shape)
        d, holds = decisions.d.reshape(shape), decisions.holds.reshape(shape)
        d_discovery = decisions.d_discovery.reshape(shape)
        # A component is shown by its strongest cell that holds; if none holds, by the strongest
        # on discovery pairs, so that evaluation pairs never select what is shown.
        shown = np.where(holds.any(1, keepdims=True) & ~holds, 0.0, np.abs(d_discovery))
        sign = np.sign(d[np.arange(len(d)), shown.argmax(1)]).astype(int)
        type_ = np.array([c.tasks[1], "", c.tasks[0]])[sign + 1]
        return components_of(c.cells, d, d_discovery, q, np.any(holds, axis=1), type_, shown)

    def p_adjusted(
        self, c: Contrast, pairs: np.ndarray, cells: np.ndarray | None = None
    ) -> Float[np.ndarray, " cell"]:
        """Max-statistic sign-flip p over `cells`.

        The unit is the pair in a crossed set, the template in any other.
        """
        values = c.values[pairs] if cells is None else c.values[np.ix_(pairs, cells)]
        blocks = c.blocks(pairs)
        if blocks is not None and len(set(blocks)) < 2:
            return np.ones(values.shape[1])  # one unit: everything may be chance
        test = stats.sign_flip_max(
            values, permutations=self.permutations, seed=self.seed, blocks=blocks
        )
        return test.p_adjusted

    def floor(self, c: Contrast, parts: Sequence[np.ndarray] = ()) -> float:
        """The smallest adjusted p that can be reached on each of these sets of pairs.

        Without `parts`, on discovery and on evaluation pairs.
        """
        floors = []
        for part in parts or (c.split == DISCOVERY, c.split == EVALUATION):
            pairs = np.arange(len(c.values))[part]
            blocks = c.blocks(pairs)
            if blocks is not None and len(set(blocks)) < 2:
                return 1.0
            one_cell = np.ones((len(pairs), 1), np.float32)
            floors.append(
                stats.sign_flip_max(one_cell, permutations=self.permutations, blocks=blocks).floor
            )
        return max(floors)

    def holds_in_templates(
        self, c: Contrast, pairs: np.ndarray, sign: np.ndarray, cells: np.ndarray
    ) -> Bool[np.ndarray, " selected"]:
        """Whether the effect of these cells does not hang on a single template.

        The mean contrast must have the expected sign within every template, and d must be beyond
        the bar with any one template left out. The sign alone is not enough: if the effect is in
        one template of k, chance gives the others its sign once in 2^(k - 1).
        """
        few = replace(c, cells=replace(c.cells, values=c.cells.values[:, cells]))
        values = c.values[:, cells]
        agree = np.ones(len(sign), dtype=bool)
        for template in dict.fromkeys(c.template[pairs]):
            inside = c.template == template
            agree &= np.sign(values[pairs & inside].mean(0)) == sign
            others = pairs & ~inside
            if others.sum() >= LEAST_PAIRS:
                agree &= few.effect(others) * sign > self.threshold_d
        return agree


def components_of(
    cells: Cells,
    d: Float[np.ndarray, "component metric"],
    discovery: Float[np.ndarray, "component metric"],
    q: Float[np.ndarray, "component metric"],
    passed: Bool[np.ndarray, " component"],
    type_: np.ndarray,
    shown: Float[np.ndarray, "component metric"],
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
    )
