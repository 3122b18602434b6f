"""What is shown beside a held-out direction without deciding it.

Size, stability, lookup as a third ability, domains left out, and a graded score where there is one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.direction import vectors as directions
from harness.findings.direction.search import DirectionRule
from harness.findings.direction.separation import Labelled, Separation, placements, separation
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.verdict import Effect, Evidence

HALVES = 20  # random halves of the discovery prompts
READING = {
    "lookup": "high: it is reading the context that it marks",
    "reasoning": "near 0.5: it does not tell reasoning from reading the context",
}
LEAST_SCORED = 3  # prompts with a graded score that a rank correlation needs


@dataclass(frozen=True, slots=True)
class AtLayer:
    """A study at the layer that was chosen.

    Attributes:
        x: The stream after it, kept so that whole extractions need not be.
        scores: Each prompt along a direction fitted without it.
    """

    study: Study
    labelled: Labelled
    layer: int
    x: Float[np.ndarray, "prompt d_model"]
    scores: Float[np.ndarray, " prompt"]

    @property
    def units(self) -> int:
        """Evaluation pairs, or prompts without a partner."""
        return len(np.unique(self.labelled.unit[self.labelled.within(EVALUATION)]))

    def judged_held_out(self) -> Separation:
        """Of the evaluation prompts."""
        rows = self.labelled.within(EVALUATION)
        return self.judged(self.scores[rows], self.labelled.rows(rows))

    def placements(self) -> dict[str, float]:
        """Of every evaluation pair, see `separation.placements`."""
        rows = self.labelled.within(EVALUATION)
        pairs = np.array([item.pair for item in self.study.prompts.items])[rows]
        return placements(self.scores[rows], self.labelled.side[rows], pairs)

    def size(self) -> stats.Estimate:
        """Evaluation prompts' d', `stats.cohens_d`; units resampled.

        The AUC of two directions that separate completely is the same; this is not.
        """
        rows, plan = self.labelled.within(EVALUATION), self.study.plan
        side, unit = self.labelled.side[rows], self.labelled.unit[rows]
        moments = np.full((unit.max() + 1, 2, 2), np.nan)  # [unit, task, power]
        pooled = np.array([(side == at).sum() for at in (-1, 1)]) / (len(side) - 2)
        # Centred first: the squares of far away numbers have no room for their differences.
        centred = self.scores[rows] - self.scores[rows].mean()
        for task, at in enumerate((-1, 1)):
            held = np.bincount(unit[side == at], minlength=len(moments))
            for power in (1, 2):
                of_task = centred[side == at] ** power
                summed = np.bincount(unit[side == at], of_task, minlength=len(moments))
                np.divide(summed, held, out=moments[:, task, power - 1], where=held > 0)

        def d_prime(means: Float[np.ndarray, "row task power"]) -> Float[np.ndarray, " row"]:
            variance = (means[..., 1] - np.square(means[..., 0])) @ pooled
            return np.asarray((means[:, 1, 0] - means[:, 0, 0]) / np.sqrt(variance))

        return stats.bootstrap_of_means(moments, d_prime, resamples=plan.resamples, seed=plan.seed)

    def judged(
        self, scores: np.ndarray, labelled: Labelled, strata: np.ndarray | None = None
    ) -> Separation:
        """AUC of these prompts with the interval of the plan."""
        plan = self.study.plan
        return separation(scores, labelled, resamples=plan.resamples, seed=plan.seed, strata=strata)


def beside(
    at: AtLayer, size: stats.Estimate, fitted: directions.Directions, rule: DirectionRule
) -> list[Evidence]:
    """All that applies; `fitted` is the direction of the discovery prompts, as layer 0."""
    rows = at.labelled.within(EVALUATION)
    return [
        _size(at, size),
        _stability(at, rule),
        *_other_domains(at, rule),
        *_lookup(at, fitted),
        *graded(at.study, at.labelled.rows(rows), at.scores[rows], "evaluation prompts"),
    ]


def auc_evidence(name: str, found: Separation, n: int, method: str) -> Evidence:
    """A row that is shown."""
    return Evidence(name, Effect("AUC", found.auc, found.interval, method=method), n=n)


def _size(at: AtLayer, found: stats.Estimate) -> Evidence:
    interval = float(found.low), float(found.high)
    method = "difference of mean projections / pooled SD, evaluation prompts"
    effect = Effect("d'", float(found.value), interval, method=method)
    n = int(at.labelled.within(EVALUATION).sum())
    return Evidence("size of the separation", effect, n=n)


def _stability(at: AtLayer, rule: DirectionRule) -> Evidence:
    rows = at.labelled.within(DISCOVERY)
    labelled = at.labelled.rows(rows)
    x = at.x[rows]
    cosine = directions.split_half_cosine(
        x, labelled.side, labelled.halves(HALVES, at.study.plan.seed)
    )
    method = f"mean of {HALVES} halvings of the discovery prompts; stable from {rule.cosine:g}"
    effect = Effect("cosine", cosine, method=method)
    n = len(np.unique(labelled.unit))
    return Evidence("direction of one half against the other", effect, rule.cosine, n=n)


def _other_domains(at: AtLayer, rule: DirectionRule) -> list[Evidence]:
    """Evaluation prompts along directions of discovery prompts of other domains."""
    labelled, plan = at.labelled, at.study.plan
    discovery, evaluation = (labelled.within(s) for s in (DISCOVERY, EVALUATION))
    domains = len(np.unique(labelled.domain[labelled.side != 0]))
    if domains < 2:
        return []
    folds = []
    for train, test in stats.grouped_folds(
        labelled.domain.tolist(), min(rule.folds, len(np.unique(labelled.domain))), plan.seed
    ):
        folds.append((train[discovery[train]], test[evaluation[test]]))
    if any(len(set(labelled.side[train])) < 2 for train, _ in folds):
        return []
    scores = directions.held_out_scores(at.x[:, None], labelled.side[None], folds)[0, evaluation, 0]
    if np.isnan(scores).any():
        return []
    found = at.judged(scores, labelled.rows(evaluation))
    method = f"{domains} domains in {len(folds)} folds; neither the prompt nor its domain was seen"
    return [auc_evidence("domains left out", found, len(scores), method)]


def _lookup(at: AtLayer, fitted: directions.Directions) -> list[Evidence]:
    """Lookup reads an answer from the context in one step: is it that, or reasoning?"""
    rows = []
    for control in at.study.lookup_controls():
        first, second = control.prompts.tasks
        labelled = Labelled.of(control.prompts)
        resid = control.activations.resid[:, at.layer : at.layer + 1]
        discovery, evaluation = (labelled.within(s) for s in (DISCOVERY, EVALUATION))
        judged, n = labelled.rows(evaluation), len(np.unique(labelled.unit[evaluation]))
        own = [(np.flatnonzero(discovery), np.flatnonzero(evaluation))]
        refitted = directions.held_out_scores(resid, labelled.side[None], own)[0, evaluation, 0]
        carried = directions.project(resid[evaluation], fitted)[:, 0]
        lies = f"probability that {second} lies further along than {first}"
        for how, scores, reading in (
            ("a direction of their own", refitted, "the same layer"),
            ("along this direction", carried, READING[second]),
        ):
            if not np.isnan(scores).any():
                found = at.judged(scores, judged)
                name = f"{first} against {second}, {how}"
                rows.append(auc_evidence(name, found, n, f"{lies}; {reading}"))
    return rows


def graded(study: Study, labelled: Labelled, scores: np.ndarray, whose: str) -> list[Evidence]:
    """Rank correlation with the score that the materials carry, overall and within each task."""
    known = (labelled.side != 0) & ~np.isnan(labelled.score)
    if known.sum() < LEAST_SCORED:
        return []
    permutations = study.plan.permutations

    def correlate(rows: np.ndarray) -> stats.RankCorrelation:
        return stats.rank_correlation(
            scores[rows], labelled.score[rows], permutations=permutations, seed=study.plan.seed
        )

    within = []
    for task, side in zip(study.prompts.tasks, (-1, 1), strict=True):
        rows = known & (labelled.side == side)
        if rows.sum() >= LEAST_SCORED and np.ptp(labelled.score[rows]):
            within.append(f"within {task} {correlate(rows).rho:.2f}")
    found = correlate(known)
    # Where labels are cut from the score, the overall figure repeats the separation.
    method = "; ".join([f"Spearman's, {whose}", *within])
    effect = Effect("rho", found.rho, (found.low, found.high), method=method)
    name = "projection against the graded score"
    return [Evidence(name, effect, p=found.p, floor=found.floor, n=int(known.sum()))]
