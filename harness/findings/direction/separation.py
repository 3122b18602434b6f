"""AUC of a score that should tell two tasks apart: its interval, its permutation p, its strata.

The unit is the pair: it is resampled, kept in one fold and relabelled as a whole. A prompt without
a partner of the other task is a pair of its own, and is relabelled within its domain.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from harness import stats
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.stats.intervals import bca, resample_weights
from harness.verdicts.samples import by_sample

CHUNK = 1 << 22  # numbers in a working array of the bootstrap


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of every prompt of a set; arrays in the order of its items.

    Attributes:
        side: +1 for the second task (reasoning), -1 for the first (recall), 0 for any other.
        unit: Number of its pair.
        split: `discovery` or `evaluation`.
        template, domain: Names, "" where the materials give none.
        score: Graded label; nan where there is none.
    """

    side: Int[np.ndarray, " prompt"]
    unit: Int[np.ndarray, " prompt"]
    split: np.ndarray
    template: np.ndarray
    domain: np.ndarray
    score: Float[np.ndarray, " prompt"]

    @classmethod
    def of(cls, prompts: PromptSet) -> Self:
        """The labels of a set."""
        items = prompts.items
        sides = {prompts.tasks[0]: -1, prompts.tasks[1]: 1}
        return cls(
            np.array([sides.get(item.task, 0) for item in items]),
            np.unique([item.pair for item in items], return_inverse=True)[1],
            np.array([item.split for item in items]),
            np.array([item.template for item in items]),
            np.array([item.domain for item in items]),
            np.array([np.nan if item.score is None else item.score for item in items]),
        )

    def rows(self, keep: np.ndarray | slice) -> Self:
        """The labels of some of the prompts."""
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def within(self, split: str) -> Bool[np.ndarray, " prompt"]:
        """Prompts of the two tasks that belong to a split."""
        return np.asarray((self.split == split) & (self.side != 0))

    @property
    def positive(self) -> Bool[np.ndarray, " prompt"]:
        """Prompts of the second task."""
        return np.asarray(self.side > 0)

    @property
    def paired(self) -> bool:
        """Whether every unit holds the same number of prompts of both tasks."""
        counts = self._counts[:, self._counts.any(0)]
        return bool(counts.size and np.ptp(counts) == 0)

    @property
    def _counts(self) -> Int[np.ndarray, "task unit"]:
        """Prompts of each task in each unit."""
        units = self.unit.max(initial=0) + 1
        return np.array([np.bincount(self.unit[self.side == s], minlength=units) for s in (-1, 1)])

    def folds(self, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds of the discovery prompts; the last fits on all of them and tests evaluation."""
        discovery = np.flatnonzero(self.within(DISCOVERY))
        inside = stats.grouped_folds([str(u) for u in self.unit[discovery]], count, seed)
        folds = [(discovery[train], discovery[test]) for train, test in inside]
        return [*folds, (discovery, np.flatnonzero(self.within(EVALUATION)))]

    def shuffled(self, count: int, seed: int) -> Int[np.ndarray, "labelling prompt"]:
        """Sides with labels exchanged at random within pairs, else within domain and split."""
        if self.paired:
            return np.asarray(self.side * stats.random_signs(self.unit, draws=count, seed=seed))
        used = np.flatnonzero(self.side)
        sides = np.repeat(self.side[None], count, axis=0)
        names = [f"{s}\n{d}" for s, d in zip(self.split[used], self.domain[used], strict=True)]
        sides[:, used] = stats.permuted_within(
            self.side[used], np.array(names), draws=count, seed=seed
        )
        return sides

    def halves(self, count: int, seed: int) -> Bool[np.ndarray, "draw prompt"]:
        """Random halves of the units, stratified by the tasks that a unit holds."""
        generator = np.random.default_rng(seed)
        kind = (self._counts > 0).T @ [1, 2]
        drawn = np.zeros((count, len(kind)), bool)
        for row in drawn:
            for of_kind in (np.flatnonzero(kind == k) for k in np.unique(kind)):
                row[generator.permutation(of_kind)[::2]] = True
        return np.asarray(drawn[:, self.unit])


@dataclass(frozen=True, slots=True)
class Separation:
    """Probability that a prompt of the second task scores higher; a tie counts as a half."""

    auc: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %."""
        return self.low, self.high


def separation(
    scores: Float[np.ndarray, " prompt"],
    labelled: Labelled,
    *,
    resamples: int,
    seed: int,
    strata: Shaped[np.ndarray, " prompt"] | None = None,
) -> Separation:
    """AUC with a 95 % BCa bootstrap interval, units resampled whole, scores held fixed.

    With `strata` only prompts of the same stratum are compared; nan if no stratum holds both
    tasks. A resample in which nothing can be compared widens the interval. Where the tasks are
    separated completely the interval has no width.

    Raises:
        ValueError: If a score is not finite; a direction that is undefined has no AUC.
    """
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.isnan(scores).sum()} scores are not finite: is a direction zero?")
    units, unit = np.unique(labelled.unit, return_inverse=True)
    weighted = _WeightedAuc(scores, labelled.positive, strata)
    value = weighted(np.ones((1, len(scores))))[0]
    step = max(1, CHUNK // len(scores))

    def over(rows: Float[np.ndarray, "row unit"]) -> Float[np.ndarray, "row 1"]:
        parts = [weighted(rows[i : i + step, unit]) for i in range(0, len(rows), step)]
        return np.concatenate(parts)[:, None]

    drawn = over(resample_weights(len(units), resamples, seed))
    low, high = bca(np.array([value]), drawn, over(1 - np.eye(len(units))), 0.95)
    return Separation(float(value), float(low[0]), float(high[0]))


def placements(
    scores: Float[np.ndarray, " prompt"],
    side: Int[np.ndarray, " prompt"],
    samples: Shaped[np.ndarray, " prompt"],
) -> dict[str, float]:
    """The share of comparisons with the other task that each sample wins, by its name.

    A tie is half a win; prompts of side 0 are left out. The mean over the prompts of one task is
    the AUC. So is the mean over samples, if every one holds as many prompts of each task.
    """
    won = np.full(len(scores), np.nan)
    for at in (-1, 1):
        own, other = side == at, np.sort(scores[side == -at])
        below, upto = (np.searchsorted(other, scores[own], s) for s in ("left", "right"))
        share = (below + upto) / (2 * len(other))
        won[own] = share if at > 0 else 1 - share
    return by_sample(samples, won)


class _WeightedAuc:
    """AUC of weighted prompts: sorted once, then a cumulative sum for each row of weights."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray, strata: np.ndarray | None) -> None:
        none = np.zeros(len(scores), int)
        stratum = none if strata is None else np.unique(strata, return_inverse=True)[1]
        self.order = np.lexsort((scores, stratum))
        block, value = stratum[self.order], scores[self.order]
        new_block = np.diff(block, prepend=-1) != 0
        new_value = new_block | (np.diff(value, prepend=np.nan) != 0)
        self.positive = positive[self.order]
        self.block_start, self.block_end = _run_bounds(new_block)
        self.tie_start, self.tie_end = _run_bounds(new_value)

    def __call__(self, weights: Float[np.ndarray, "row prompt"]) -> Float[np.ndarray, " row"]:
        weights = weights[:, self.order]
        treated = weights[:, self.positive]
        control = np.where(self.positive, 0, weights)
        up_to = np.pad(np.cumsum(control, axis=1), ((0, 0), (1, 0)))
        start = up_to[:, self.block_start[self.positive]]
        half_ties = up_to[:, self.tie_start[self.positive]] + up_to[:, self.tie_end[self.positive]]
        won = (treated * (half_ties / 2 - start)).sum(1)
        compared = (treated * (up_to[:, self.block_end[self.positive]] - start)).sum(1)
        share = np.full(len(won), np.nan)
        return np.asarray(np.divide(won, compared, out=share, where=compared > 0))


def _run_bounds(new: Bool[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """First position, and one beyond the last, of the run that each entry lies in."""
    starts = np.append(np.flatnonzero(new), len(new))
    run = np.cumsum(new) - 1
    return starts[run], starts[run + 1]


@dataclass(frozen=True, slots=True)
class PermutationP:
    """Two-sided p of an AUC, the smallest p this design can reach, and what was exchanged."""

    p: float
    floor: float
    method: str


def permutation_p(
    scores: Float[np.ndarray, " prompt"], labelled: Labelled, *, permutations: int, seed: int
) -> PermutationP:
    """Mann-Whitney U against relabellings: within pairs, else of prompts within their domain.

    Scores must not depend on these labels: fit the direction on other prompts.
    """
    if labelled.paired:
        by_unit = np.argsort(labelled.unit, kind="stable")
        sides = labelled.side[by_unit]
        units = len(np.unique(labelled.unit))
        if units < 2:
            return PermutationP(1.0, 1.0, "sign flip of pairs")
        treated, control = (by_unit[sides == s].reshape(units, -1) for s in (1, -1))
        contrast = stats.rank_contrast(scores, treated, control)
        test = stats.sign_flip_max(contrast, permutations=permutations, seed=seed)
        return PermutationP(float(test.p_adjusted), test.floor, "sign flip of pairs")
    ordered = np.sort(scores)
    ranks = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    block = np.unique(labelled.domain, return_inverse=True)[1]
    centred = ranks - (np.bincount(block, ranks) / np.bincount(block))[block]
    labels = labelled.positive.astype(np.float64)
    drawn = stats.permuted_within(labels, labelled.domain, draws=permutations, seed=seed)
    observed = abs(float(labels @ centred))
    reached = int((np.abs(drawn @ centred) >= observed * (1 - 1e-12)).sum())
    p = (1 + reached) / (1 + permutations)
    how = "prompts relabelled" + (" within their domain" if block.any() else "")
    return PermutationP(p, 1 / (1 + permutations), how)


@dataclass(frozen=True, slots=True)
class StratumAuc:
    """AUC among the prompts of one template or domain; nan if it lacks a task."""

    name: str
    auc: float
    fewer: int  # prompts of the task that has fewer


def by_stratum(
    scores: Float[np.ndarray, " prompt"], labelled: Labelled, names: np.ndarray
) -> list[StratumAuc]:
    """One entry a name, in sorted order."""
    strata = []
    for name in np.unique(names):
        two = [scores[(names == name) & (labelled.side == s)] for s in (1, -1)]
        fewer = min(map(len, two))
        auc = float(stats.auc(*two)) if fewer else float("nan")
        strata.append(StratumAuc(str(name), auc, fewer))
    return strata
