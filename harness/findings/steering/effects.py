"""Effects on both tasks at once: the contrast between them, in shares of what was intact."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.effects import TaskEffects, change_test
from harness.study.plan import Plan

SHARE = "shares of the intact logit difference"


@dataclass(frozen=True, slots=True)
class BothTasks:
    """What arms did to the first and to the second task; pairs in the same order."""

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
    def contrasts(self) -> Float[np.ndarray, " arm"]:
        """Change of the second task minus that of the first, each as a share of its intact one."""
        return np.asarray(self.second.share - self.first.share)

    def contrast_with_interval(self, arm: int, plan: Plan) -> tuple[float, float, float]:
        """The contrast of one arm, and its 95 % interval over pairs; a pair may lack one task."""
        estimate = stats.bootstrap_of_means(
            self._cells(arm), _contrast_of_means, resamples=plan.resamples, seed=plan.seed
        )
        return float(estimate.value), float(estimate.low), float(estimate.high)

    def pair_contrasts(self, arm: int) -> Float[np.ndarray, " pair"]:
        """The share of every pair in the contrast of an arm, see `stats.pseudo_values`."""
        return stats.pseudo_values(self._cells(arm), _contrast_of_means)

    def _cells(self, arm: int) -> Float[np.ndarray, "pair cell"]:
        """Change and intact logit difference of the first task, then of the second."""
        cells = [array for task in self for array in (task.logit_difference[arm], task.intact)]
        return np.stack(cells, axis=1)


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


def accuracy_change(task: TaskEffects, arm: int) -> AccuracyChange:
    """Of one task under one arm."""
    before, after = task.before[task.scored], task.after[arm, task.scored]
    return AccuracyChange(float(before.mean()), float(after.mean()), change_test(before, after))


def accuracy_lost(task: TaskEffects, arm: int) -> float:
    """Below 0 if accuracy is gained."""
    return float((task.before - task.after[arm])[task.scored].mean())
