"""The published finding of h7: in-sample separation along the difference in means.

Fitted and judged on the same prompts, in the stream before each layer, at the last token.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.direction import vectors as directions
from harness.findings.direction.plots import auc_by_layer_plot, projections_plot
from harness.findings.direction.search import (
    DirectionRule,
    auc_by_layer,
    in_sample,
    random_aucs,
    upper,
)
from harness.findings.direction.secondary import graded
from harness.findings.direction.separation import Labelled
from harness.findings.direction.surface_baselines import prompt_lengths
from harness.study.study import Study
from harness.verdicts.verdict import Control, Effect, Evidence, Finding, Gate, Inconclusive

FIRST = 1  # the first layer before which the stream is stored; before layer 0 is the embedding
EMBEDDING = (
    "the direction is taken before each layer; before layer 0 that is the embedding, which is not "
    "stored: where all prompts end in one token its direction is exactly zero, so it is undefined"
)


def published_direction_finding(
    study: Study, rule: DirectionRule, *, least: float, published: Mapping[str, str]
) -> Finding:
    """Best layer's in-sample AUC; `published` gives what is reported of `auc` and of `gap`."""
    labelled = Labelled.of(study.prompts)
    used: np.ndarray | slice = np.flatnonzero(labelled.side)
    if labelled.side.all():
        used = slice(None)  # a view: no copy of the activations
    labelled = labelled.rows(used)
    resid = study.activations.resid[used, :-1]
    sides = np.concatenate([labelled.side[None], labelled.shuffled(rule.shuffles, study.plan.seed)])
    aucs, *shuffled = in_sample(resid, sides)
    if np.isnan(aucs).all():
        reason = "before no layer do the tasks' means differ: there is no direction"
        raise Inconclusive(Gate("direction", False, reason))
    best = int(np.nanargmax(aucs))
    lengths = prompt_lengths(study)[used]
    length = _either_way(lengths, labelled)
    fitted = directions.difference_in_means(resid, labelled.side)
    along = directions.project(resid, fitted, centred=False)[:, best]
    twins = {
        name: in_sample(a.resid[used, :-1], labelled.side[None])[0] for name, a in study.twins()
    }
    evidence = (
        Evidence(
            "prompt length alone, without a model",
            Effect("AUC", length, method="the same prompts, either way round"),
            n=len(resid),
        ),
        Evidence(
            f"in-sample separation before layer {best + FIRST}, the best of {len(aucs)}",
            Effect("AUC", float(aucs[best]), method="fitted and judged on the same prompts"),
            threshold=least,
            relation=">=",
            n=len(resid),
            published=published["auc"],
        ),
        _gap(resid, fitted, labelled, published["gap"]),
        *_left_out(study, resid, labelled, best, rule.folds),
        *graded(study, labelled, along, "the same prompts"),
    )
    controls = _controls(resid[:, best], labelled, best, (length, shuffled, twins), rule, least)
    passing = sum(c.passed is False for c in controls if c.name.startswith("untrained"))
    notes = [EMBEDDING]
    if passing:
        notes.append(f"{passing} of {len(twins)} untrained twins pass this criterion too")
    plots = (
        auc_by_layer_plot(
            aucs,
            list(twins.items()),
            np.array(shuffled),
            length,
            how="In-sample, as published: fitted and judged on the same prompts, before each "
            "layer.",
            n=len(resid),
            first=FIRST,
        ),
        projections_plot(
            [("model", along, labelled)],
            study.prompts.tasks,
            how="The prompts the direction was fitted to, not centred, as published.",
            headline=f"AUC {aucs[best]:.2f} before layer {best + FIRST}, in-sample.",
        ),
    )
    return Finding(evidence, controls, notes=tuple(notes), plots=plots)


def _either_way(scores: np.ndarray, labelled: Labelled) -> float:
    auc = float(stats.auc(scores[labelled.side > 0], scores[labelled.side < 0]))
    return max(auc, 1 - auc)


def _gap(
    resid: Float[np.ndarray, "prompt layer d_model"],
    fitted: directions.Directions,
    labelled: Labelled,
    published: str,
) -> Evidence:
    """Largest difference of mean cosines with the direction, over layers."""
    cosines = directions.cosines_with(resid, fitted)
    gaps = cosines[labelled.side > 0].mean(0) - cosines[labelled.side < 0].mean(0)
    at = int(np.nanargmax(gaps))
    method = f"before layer {at + FIRST}, the largest of {len(gaps)}; not centred"
    effect = Effect("gap of mean cosines", float(gaps[at]), method=method)
    name = "cosine with the direction, between tasks"
    return Evidence(name, effect, n=len(resid), published=published)


def _left_out(
    study: Study,
    resid: Float[np.ndarray, "prompt layer d_model"],
    labelled: Labelled,
    best: int,
    folds: int,
) -> list[Evidence]:
    """The same layer on prompts that the direction was not fitted to."""
    units = [labelled.unit[labelled.side == s] for s in (-1, 1)]
    if min(len(np.unique(u)) for u in units) < 2 * folds:
        return []
    cut = stats.grouped_folds([str(u) for u in labelled.unit], folds, study.plan.seed)
    if any(len(np.unique(labelled.side[train])) < 2 for train, _ in cut):
        return []
    layer = resid[:, best : best + 1]
    scores = directions.held_out_scores(layer, labelled.side[None], cut)[0]
    (auc,) = auc_by_layer(scores, labelled.side)
    method = f"{folds} folds, pairs kept together, layer chosen in-sample"
    name = "the same, on prompts left out of the fit"
    return [Evidence(name, Effect("AUC", float(auc), method=method), n=len(resid))]


def _controls(
    x: Float[np.ndarray, "prompt d_model"],
    labelled: Labelled,
    best: int,
    aucs: tuple[float, list[np.ndarray], Mapping[str, np.ndarray]],
    rule: DirectionRule,
    least: float,
) -> tuple[Control, ...]:
    """Length, random directions, shuffled labels and twins under the published rule."""
    length, shuffled, twins = aucs
    drawn = upper(random_aucs(x, labelled.side, rule.random_directions, 0))
    middle = float(np.median([np.nanmax(s, initial=0.5) for s in shuffled]))
    needed = f"needed {least:g}"
    controls = [
        Control("prompt length alone", length, length < least, note=f"AUC; {needed}"),
        Control(
            "random directions, 95th percentile",
            drawn,
            drawn < least,
            note=f"AUC either way round, before layer {best + FIRST}; {needed}",
        ),
        Control(
            "shuffled labels, median",
            middle,
            middle < least,
            note=f"AUC in-sample, best layer of each of {rule.shuffles} shuffles; {needed}",
        ),
    ]
    for name, of_twin in twins.items():
        known = of_twin[~np.isnan(of_twin)]
        value = float(known.max()) if len(known) else float("nan")
        controls.append(
            Control(f"untrained {name}", value, not value >= least, note=f"AUC; {needed}")
        )
    return tuple(controls)
