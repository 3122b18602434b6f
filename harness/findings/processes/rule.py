"""The rule: select on discovery entities over relations, decide on evaluation entities."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.specialisation.cells import Cells
from harness.findings.specialisation.rules import components_of
from harness.verdicts.components import Components

NULL_PERMUTATIONS = 500  # sign flips of each same-process contrast, at most: there are many


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the rule decides of every place (a metric of a component).

    Attributes:
        d_discovery, d: Mean over relations, on discovery and on evaluation entities.
        low, high: Moderated 95 % interval of `d`.
        p: Family-wise over all places, on evaluation. Relations have the same effects of their own
            in both halves, so that a smaller family after selection would be too small.
        floor: The smallest p.
        selected: On discovery.
        holds: On both.
        least: The smallest contrast of a relation on evaluation, in the direction of discovery.
    """

    d_discovery: Float[np.ndarray, " place"]
    d: Float[np.ndarray, " place"]
    low: Float[np.ndarray, " place"]
    high: Float[np.ndarray, " place"]
    p: Float[np.ndarray, " place"]
    floor: float
    selected: Bool[np.ndarray, " place"]
    holds: Bool[np.ndarray, " place"]
    least: Float[np.ndarray, " place"]

    @property
    def direction(self) -> Float[np.ndarray, " place"]:
        """Sign of every effect on discovery entities."""
        return np.asarray(np.sign(self.d_discovery))

    @property
    def strongest(self) -> int:
        """The selected place with the largest |d| on discovery; of all if none is selected."""
        size = np.abs(self.d_discovery)
        return int(np.where(self.selected, size, -1.0 if self.selected.any() else size).argmax())

    @property
    def largest(self) -> float:
        """The largest |d| of those that hold; 0 if none does."""
        return float(np.abs(self.d[self.holds]).max(initial=0.0))

    @property
    def most(self) -> float:
        """The largest |d| that any place may have, as far as its interval tells."""
        return float(np.maximum(self.high, -self.low).max(initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRule:
    """When a component serves a process: its contrast holds over relations and entities.

    A place is selected if, on discovery entities, |d| averaged over relations is beyond the bar,
    its family-wise p over sign flips of relations is at most alpha, and its sign stays with any
    one relation left out. It holds if all that is so on evaluation entities too, with the same
    sign. A component serves the process if one of its places holds: the two cells differ there, in
    either direction.

    Attributes:
        threshold_d: Least |d| that is of interest.
        alpha: Family-wise.
        permutations: Sign patterns, at most.
        seed: Of random ones.
    """

    threshold_d: float
    alpha: float
    permutations: int
    seed: int

    def on_same_process(self) -> Self:
        """The rule as it is applied to many same-process contrasts."""
        return replace(self, permutations=min(self.permutations, NULL_PERMUTATIONS))

    def decide(
        self,
        discovery: Float[np.ndarray, "unit place"],
        evaluation: Float[np.ndarray, "unit place"],
    ) -> Decisions:
        """Apply the rule.

        Args:
            discovery: Contrasts by unit on discovery entities.
            evaluation: The same on evaluation entities.
        """
        first = self._test(discovery)
        selected = self._meets(discovery, first.mean, first.p_adjusted, np.sign(first.mean))
        test, direction = self._test(evaluation), np.sign(first.mean)
        holds = selected & self._meets(evaluation, test.mean, test.p_adjusted, direction)
        return Decisions(
            d_discovery=first.mean,
            d=test.mean,
            low=test.low,
            high=test.high,
            p=test.p_adjusted,
            floor=test.floor,
            selected=selected,
            holds=holds,
            least=(evaluation * direction).min(0),
        )

    def _test(self, contrasts: Float[np.ndarray, "unit place"]) -> stats.ModeratedTest:
        return stats.moderated_max(contrasts, permutations=self.permutations, seed=self.seed)

    def _meets(
        self,
        contrasts: Float[np.ndarray, "unit place"],
        mean: Float[np.ndarray, " place"],
        p: Float[np.ndarray, " place"],
        direction: Float[np.ndarray, " place"],
    ) -> Bool[np.ndarray, " place"]:
        kept = stats.leave_one_out_sign(contrasts)
        return np.asarray((mean * direction > self.threshold_d) & (p <= self.alpha) & kept)

    def count(self, decisions: Decisions, metrics: int) -> int:
        """Components with a place that holds."""
        return int(decisions.holds.reshape(-1, metrics).any(1).sum())

    def between(self, decisions: Decisions, metrics: int) -> tuple[int, int]:
        """Components that surely hold, and those that may, as far as their intervals tell.

        One that holds is sure if all of its interval lies beyond the bar. Where the second number
        is below what is asked for, more data would not find enough.
        """
        most = np.maximum(decisions.high, -decisions.low)
        may = decisions.holds | (most > self.threshold_d)
        low, high = (int(x.reshape(-1, metrics).any(1).sum()) for x in (self.sure(decisions), may))
        return low, high

    def sure(self, decisions: Decisions) -> Bool[np.ndarray, " place"]:
        """Places that hold with all of their interval beyond the bar."""
        least = np.maximum(decisions.low, -decisions.high)
        return np.asarray(decisions.holds & (least > self.threshold_d))

    def may(
        self, decisions: Decisions, direction: Float[np.ndarray, " place"]
    ) -> Bool[np.ndarray, " place"]:
        """Places whose interval reaches beyond the bar in this direction (1 or -1)."""
        most = np.where(direction > 0, decisions.high, -decisions.low)
        return np.asarray(most > self.threshold_d)

    def table(self, cells: Cells, decisions: Decisions, names: tuple[str, str]) -> Components:
        """One row a component, its type the cell in which it is more; shown as the rule saw it."""
        shape = (-1, len(cells.metrics))
        d, holds = decisions.d.reshape(shape), decisions.holds.reshape(shape)
        discovery = decisions.d_discovery.reshape(shape)
        shown = np.where(holds.any(1, keepdims=True) & ~holds, 0.0, np.abs(discovery))
        sign = np.sign(d[np.arange(len(d)), shown.argmax(1)]).astype(int)
        type_ = np.array([names[1], "", names[0]])[sign + 1]
        q = decisions.p.reshape(shape)
        passed = np.any(holds, axis=1)
        return components_of(cells, d, discovery, q, passed, type_, shown, names)
