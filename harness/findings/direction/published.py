"""The published finding of h7: in-sample separation along the difference in means.

Fitted and judged on the same prompts, in the stream before each layer, at the last token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.direction import vectors
from harness.findings.direction.confounds import confound_controls, confounds, confounds_note
from harness.findings.direction.plots import auc_by_layer_plot, projections_plot
from harness.findings.direction.search import (
    DirectionRule,
    auc_by_layer,
    direction_gate,
    in_sample,
    random_aucs,
    upper,
)
from harness.findings.direction.secondary import graded
from harness.findings.direction.separation import Labelled
from harness.findings.direction.surface_baselines import prompt_lengths
from harness.findings.twins import TwinResult, on_twins, twin_controls, twins_that_pass
from harness.interventions.directions import Directions
from harness.study.study import Study
from harness.verdicts.evidence import Control, Effect, Evidence
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot

FIRST = 1  # the first layer before which the stream is stored; before layer 0 is the embedding
EMBEDDING = (
    "the direction is taken before each layer; before layer 0 that is the embedding, which is not "
    "stored: where all prompts end in one token its direction is exactly zero, so it is undefined"
)


@dataclass(frozen=True, slots=True)
class InSample:
    """Everything that the published finding measures; prompts of the two tasks only.

    Attributes:
        study: The study.
        labelled: Labels of these prompts.
        resid: The stream before each layer, from layer `FIRST` on.
        fitted: The directions of these prompts.
        aucs: Their AUC along these directions.
        best: Position of the largest AUC.
        lengths: Tokens of each prompt.
        length: AUC of prompt length alone, the larger of both signs.
        shuffled: AUCs under every shuffled labelling.
        twins: AUCs of every untrained twin, by name.
    """

    study: Study
    labelled: Labelled
    resid: Float[np.ndarray, "prompt layer d_model"]
    fitted: Directions
    aucs: Float[np.ndarray, " layer"]
    best: int
    lengths: Float[np.ndarray, " prompt"]
    length: float
    shuffled: list[Float[np.ndarray, " layer"]]
    twins: Mapping[str, Float[np.ndarray, " layer"]]

    @property
    def n(self) -> int:
        """Prompts."""
        return len(self.resid)

    @property
    def layer(self) -> int:
        """The layer before which the AUC is largest."""
        return self.best + FIRST

    def projections(self) -> Float[np.ndarray, " prompt"]:
        """Prompts along the best direction, not centred, as published."""
        return vectors.project(self.resid, self.fitted, centred=False)[:, self.best]


def published_direction_finding(
    study: Study, rule: DirectionRule, *, least: float, published: Mapping[str, str]
) -> Finding:
    """Best layer's in-sample AUC; `published` gives what is reported of `auc` and of `gap`."""
    measured = _measure(study, rule)
    twins, alone = _twin_controls(measured, least), confounds(study)
    length, *others = _controls(measured, rule, least)
    return Finding(
        evidence=(
            *_decisive(measured, least, published["auc"]),
            *_secondary(measured, rule, published["gap"]),
        ),
        controls=(length, *confound_controls(alone, least), *others, *twins),
        notes=(confounds_note(alone, measured.length), EMBEDDING, *twins_that_pass(twins)),
        plots=_plots(measured),
    )


def _measure(study: Study, rule: DirectionRule) -> InSample:
    labelled = Labelled.of(study.prompts)
    rows: np.ndarray | slice = np.flatnonzero(labelled.side)
    if labelled.side.all():
        rows = slice(None)  # a view: no copy of the activations
    labelled = labelled.rows(rows)
    resid = study.activations.resid[rows, :-1]
    sides = np.concatenate([labelled.side[None], labelled.shuffled(rule.shuffles, study.plan.seed)])

    def measure(twin: Activations) -> Float[np.ndarray, " layer"]:
        return np.asarray(in_sample(twin.resid[rows, :-1], labelled.side[None])[0])

    aucs, *shuffled = in_sample(resid, sides)
    lengths = prompt_lengths(study)[rows]
    require(direction_gate(not np.isnan(aucs).all()))
    return InSample(
        study=study,
        labelled=labelled,
        resid=resid,
        fitted=vectors.difference_in_means(resid, labelled.side),
        aucs=aucs,
        best=int(np.nanargmax(aucs)),
        lengths=lengths,
        length=_larger_auc(lengths, labelled),
        shuffled=shuffled,
        twins=on_twins(study, measure),
    )


def _larger_auc(scores: np.ndarray, labelled: Labelled) -> float:
    """AUC of the scores or of their negative, whichever is larger."""
    auc = float(stats.auc(scores[labelled.side > 0], scores[labelled.side < 0]))
    return max(auc, 1 - auc)


def _decisive(measured: InSample, least: float, published: str) -> list[Evidence]:
    """The in-sample AUC, below what prompt length alone reaches."""
    length = Effect("AUC", measured.length, method="the same prompts, either way round")
    best = float(measured.aucs[measured.best])
    separation = Effect("AUC", best, method="fitted and judged on the same prompts")
    return [
        Evidence("prompt length alone, without a model", length, n=measured.n),
        Evidence(
            f"in-sample separation before layer {measured.layer}, the best of {len(measured.aucs)}",
            separation,
            threshold=least,
            relation=">=",
            decided_by="estimate",
            n=measured.n,
            published=published,
        ),
    ]


def _secondary(measured: InSample, rule: DirectionRule, published_gap: str) -> list[Evidence]:
    along = measured.projections()
    return [
        _gap(measured, published_gap),
        *_left_out(measured, rule.folds),
        *graded(measured.study, measured.labelled, along, "the same prompts"),
        *graded(
            *(measured.study, measured.labelled, measured.lengths, "without a model"),
            what="prompt length",
        ),
    ]


def _gap(measured: InSample, published: str) -> Evidence:
    """Largest difference between the tasks' mean cosines with the direction, over layers."""
    cosines = vectors.cosines_with(measured.resid, measured.fitted)
    side = measured.labelled.side
    gaps = cosines[side > 0].mean(0) - cosines[side < 0].mean(0)
    largest = int(np.nanargmax(gaps))
    method = f"before layer {largest + FIRST}, the largest of {len(gaps)}; not centred"
    effect = Effect("gap of mean cosines", float(gaps[largest]), method=method)
    name = "cosine with the direction, between tasks"
    return Evidence(name, effect, n=measured.n, published=published)


def _left_out(measured: InSample, folds: int) -> list[Evidence]:
    """The same layer, on prompts that the direction was not fitted to."""
    labelled = measured.labelled
    units = [labelled.unit[labelled.side == s] for s in (-1, 1)]
    if min(len(np.unique(u)) for u in units) < 2 * folds:
        return []
    names = [str(u) for u in labelled.unit]
    cut = stats.grouped_folds(names, folds, measured.study.plan.seed)
    if any(len(np.unique(labelled.side[train])) < 2 for train, _ in cut):
        return []
    resid = measured.resid[:, measured.best : measured.best + 1]
    scores = vectors.held_out_scores(resid, labelled.side[None], cut)[0]
    (auc,) = auc_by_layer(scores, labelled.side)
    method = f"{folds} folds, pairs kept together, layer selected in-sample"
    name = "the same, on prompts left out of the fit"
    return [Evidence(name, Effect("AUC", float(auc), method=method), n=measured.n)]


def _controls(measured: InSample, rule: DirectionRule, least: float) -> tuple[Control, ...]:
    """Length, random directions and shuffled labels under the published rule."""
    x, side = measured.resid[:, measured.best], measured.labelled.side
    drawn = upper(random_aucs(x, side, rule.random_directions, 0))
    middle = float(np.median([np.nanmax(aucs, initial=0.5) for aucs in measured.shuffled]))
    needed = f"needed {least:g}"
    return (
        Control(
            "prompt length alone",
            measured.length,
            measured.length < least,
            note=f"AUC; {needed}",
        ),
        Control(
            "random directions, 95th percentile",
            drawn,
            drawn < least,
            note=f"AUC either way round, before layer {measured.layer}; {needed}",
        ),
        Control(
            "shuffled labels, median",
            middle,
            middle < least,
            note=f"AUC in-sample, best layer of each of {rule.shuffles} shuffles; {needed}",
        ),
    )


def _twin_controls(measured: InSample, least: float) -> tuple[Control, ...]:
    results = {}
    for name, aucs in measured.twins.items():
        defined = aucs[~np.isnan(aucs)]
        largest = float(defined.max()) if len(defined) else float("nan")
        results[name] = TwinResult(largest, f"AUC; needed {least:g}")
    return twin_controls(results, meets=lambda auc: auc >= least)


def _plots(measured: InSample) -> tuple[Plot, ...]:
    best = measured.aucs[measured.best]
    return (
        auc_by_layer_plot(
            measured.aucs,
            measured.twins,
            np.array(measured.shuffled),
            measured.length,
            how="In-sample, as published: fitted and judged on the same prompts, before each "
            "layer.",
            n=measured.n,
            first=FIRST,
        ),
        projections_plot(
            [("model", measured.projections(), measured.labelled)],
            measured.study.prompts.tasks,
            how="The prompts the direction was fitted to, not centred, as published.",
            headline=f"AUC {best:.2f} before layer {measured.layer}, in-sample.",
        ),
    )
