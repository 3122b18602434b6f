"""Effects on both tasks at once: the contrast between them, in shares of what was intact."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.effects import TaskEffects, change_test
from harness.findings.requirements import interval_within, several
from harness.study.study import Study

SHARE = "shares of the intact logit difference"


@dataclass(frozen=True, slots=True)
class BothTasks:
    """What interventions did to the first and to the second task; pairs in the same order."""

    first: TaskEffects
    second: TaskEffects

    def __iter__(self) -> Iterator[TaskEffects]:
        """The first task, then the second."""
        return iter((self.first, self.second))

    @property
    def n(self) -> int:
        """Pairs of the second task that can be scored."""
        return int(self.second.scored.sum())

    @property
    def contrasts(self) -> Float[np.ndarray, " intervention"]:
        """Change of the second task minus that of the first, each as a share of its intact one."""
        return np.asarray(self.second.share - self.first.share)

    def contrast_with_interval(self, row: int, study: Study) -> tuple[float, float, float]:
        """The contrast and its 95 % interval over relations and pairs.

        A pair may lack one of the tasks. Where no relations are stated, pairs are the unit.
        """
        cells, relations, plan = self._cells(row), self.first.relations, study.plan
        if several(relations):
            value = float(self.contrasts[row])
            return value, *interval_within(lambda w: _contrast(cells, w), relations, study)
        estimate = stats.bootstrap_of_means(
            cells, _contrast_of_means, resamples=plan.resamples, seed=plan.seed
        )
        return float(estimate.value), float(estimate.low), float(estimate.high)

    def pair_contrasts(self, row: int) -> Float[np.ndarray, " pair"]:
        """What every pair contributes to the contrast, see `stats.pseudo_values`."""
        return stats.pseudo_values(self._cells(row), _contrast_of_means)

    def _cells(self, row: int) -> Float[np.ndarray, "pair cell"]:
        """Change and intact logit difference of the first task, then of the second."""
        cells = [array for task in self for array in (task.logit_difference[row], task.intact)]
        return np.stack(cells, axis=1)


def _contrast(cells: Float[np.ndarray, "pair cell"], weights: Float[np.ndarray, " pair"]) -> float:
    """The contrast of weighted means; nan where a task has no pair left."""
    known = np.where(np.isnan(cells), 0.0, weights[:, None])
    total = known.sum(0)
    if not total.all():
        return float("nan")
    return float(_contrast_of_means(((known * np.nan_to_num(cells)).sum(0) / total)[None])[0])


def _contrast_of_means(means: Float[np.ndarray, "row cell"]) -> Float[np.ndarray, " row"]:
    return np.asarray(means[:, 2] / means[:, 3] - means[:, 0] / means[:, 1])


@dataclass(frozen=True, slots=True)
class AccuracyChange:
    """Accuracy of the intact and of the steered model, and the McNemar test over pairs."""

    before: float
    after: float
    test: stats.PairedTest

    def __str__(self) -> str:
        return f"{self.before:.2f} to {self.after:.2f}"


def accuracy_change(task: TaskEffects, row: int) -> AccuracyChange:
    """Of one task under one intervention."""
    before, after = task.before[task.scored], task.after[row, task.scored]
    return AccuracyChange(float(before.mean()), float(after.mean()), change_test(before, after))


def accuracy_lost(task: TaskEffects, row: int) -> float:
    """Below 0 if accuracy is gained."""
    return float((task.before - task.after[row])[task.scored].mean())
