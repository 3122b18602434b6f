"""Secondary evidence of the held-out direction: shown, never decisive.

Its size, its stability, domains left out of the fit, lookup as a third ability, and the rank
correlation with a graded score where the materials carry one.
"""

import numpy as np

from harness import stats
from harness.findings.direction import vectors
from harness.findings.direction.measured import HeldOutDirection, SelectedLayer
from harness.findings.direction.search import DirectionRule
from harness.findings.direction.separation import Labelled, Separation
from harness.interventions.directions import Directions
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence

_HALVES = 20  # random halves of the discovery prompts
READING = {
    "lookup": "high: it is reading the context that it marks",
    "reasoning": "near 0.5: it does not tell reasoning from reading the context",
}
LEAST_SCORED = 3  # prompts with a graded score that a rank correlation needs


def held_out_secondary(measured: HeldOutDirection, rule: DirectionRule) -> list[Evidence]:
    """Every row that the materials allow."""
    selected = measured.selected
    rows = selected.labelled.within(EVALUATION)
    scores, labelled = selected.scores[rows], selected.labelled.rows(rows)
    return [
        _size(measured),
        _stability(selected, rule),
        *_other_domains(selected, rule),
        *_lookup(selected, measured.fitted.only(selected.layer)),
        *graded(selected.study, labelled, scores, "evaluation prompts"),
    ]


def auc_evidence(name: str, separation: Separation, n: int, method: str) -> Evidence:
    """An AUC that is shown."""
    return Evidence(name, Effect("AUC", separation.auc, separation.interval, method=method), n=n)


def _size(measured: HeldOutDirection) -> Evidence:
    size = measured.size
    interval = float(size.low), float(size.high)
    method = "difference of mean projections / pooled SD, evaluation prompts"
    effect = Effect("d'", float(size.value), interval, method=method)
    n = int(measured.selected.labelled.within(EVALUATION).sum())
    return Evidence("size of the separation", effect, n=n)


def _stability(selected: SelectedLayer, rule: DirectionRule) -> Evidence:
    rows = selected.labelled.within(DISCOVERY)
    labelled = selected.labelled.rows(rows)
    halves = labelled.halves(_HALVES, selected.study.plan.seed)
    cosine = vectors.split_half_cosine(selected.x[rows], labelled.side, halves)
    method = f"mean of {_HALVES} halvings of the discovery prompts; stable from {rule.cosine:g}"
    effect = Effect("cosine", cosine, method=method)
    n = len(np.unique(labelled.unit))
    return Evidence("direction of one half against the other", effect, rule.cosine, n=n)


def _other_domains(selected: SelectedLayer, rule: DirectionRule) -> list[Evidence]:
    """Evaluation prompts along directions of discovery prompts of other domains."""
    labelled, seed = selected.labelled, selected.study.plan.seed
    discovery, evaluation = (labelled.within(s) for s in (DISCOVERY, EVALUATION))
    domains = len(np.unique(labelled.domain[labelled.side != 0]))
    if domains < 2:
        return []
    count = min(rule.folds, len(np.unique(labelled.domain)))
    folds = [
        (train[discovery[train]], test[evaluation[test]])
        for train, test in stats.grouped_folds(labelled.domain.tolist(), count, seed)
    ]
    if any(len(set(labelled.side[train])) < 2 for train, _ in folds):
        return []
    x = selected.x[:, None]
    scores = vectors.held_out_scores(x, labelled.side[None], folds)[0, evaluation, 0]
    if np.isnan(scores).any():
        return []
    separation = selected.separation_of(scores, labelled.rows(evaluation))
    method = f"{domains} domains in {len(folds)} folds; neither the prompt nor its domain was seen"
    return [auc_evidence("domains left out", separation, len(scores), method)]


def _lookup(selected: SelectedLayer, fitted: Directions) -> list[Evidence]:
    """Lookup against each task: does the direction mark reasoning, or reading from the context?"""
    evidence = []
    for control in selected.study.lookup_controls():
        first, second = control.prompts.tasks
        labelled = Labelled.of(control.prompts)
        resid = control.activations.resid[:, selected.layer : selected.layer + 1]
        discovery, evaluation = (labelled.within(s) for s in (DISCOVERY, EVALUATION))
        judged, n = labelled.rows(evaluation), len(np.unique(labelled.unit[evaluation]))
        folds = [(np.flatnonzero(discovery), np.flatnonzero(evaluation))]
        refitted = vectors.held_out_scores(resid, labelled.side[None], folds)[0, evaluation, 0]
        carried = vectors.project(resid[evaluation], fitted)[:, 0]
        lies = f"probability that {second} lies further along than {first}"
        for which, scores, reading in (
            ("a direction of their own", refitted, "the same layer"),
            ("along this direction", carried, READING[second]),
        ):
            if not np.isnan(scores).any():
                separation = selected.separation_of(scores, judged)
                name = f"{first} against {second}, {which}"
                evidence.append(auc_evidence(name, separation, n, f"{lies}; {reading}"))
    return evidence


def graded(
    study: Study,
    labelled: Labelled,
    scores: np.ndarray,
    whose: str,
    what: str = "projection",
) -> list[Evidence]:
    """Rank correlation of one number a prompt with the graded score, overall and within each task.

    Args:
        study: The study.
        labelled: The labels of the prompts, with their scores.
        scores: What is correlated, one number a prompt.
        whose: Of which prompts, for the method.
        what: What is correlated, in words.
    """
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
    # Where the labels were made from the score, the overall value repeats the separation.
    overall = correlate(known)
    method = "; ".join([f"Spearman's, {whose}", *within])
    effect = Effect("rho", overall.rho, (overall.low, overall.high), method=method)
    name = f"{what} against the graded score"
    return [Evidence(name, effect, p=overall.p, floor=overall.floor, n=int(known.sum()))]
