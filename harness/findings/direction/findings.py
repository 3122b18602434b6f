"""The controlled finding of h7: does one direction tell two tasks of new prompts apart.

The layer is chosen and the direction fitted on discovery prompts; evaluation prompts decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.direction import vectors as directions
from harness.findings.direction.plots import auc_by_layer_plot, cosines_plot, projections_plot
from harness.findings.direction.search import DirectionRule, Found, random_sizes, search, upper
from harness.findings.direction.secondary import AtLayer, auc_evidence, beside
from harness.findings.direction.separation import Labelled, Separation, by_stratum, permutation_p
from harness.findings.direction.surface_baselines import Baseline, baselines
from harness.findings.gates import competence_gates, gate_notes
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.plots import Plot
from harness.verdicts.verdict import (
    Control,
    Effect,
    Evidence,
    Family,
    Finding,
    Gate,
    Inconclusive,
    require,
)

SEPARATION = "held-out separation"
LEAST_JUDGED = 2  # evaluation units of each task
LEAST_IN_STRATUM = 20  # prompts of each task; of 10 + 10 a true .75 is below .5 once in 57
STRATA_LISTED = 6


@dataclass(frozen=True, slots=True)
class Twin:
    """An untrained twin after the same search."""

    name: str
    found: Found
    judged: Separation


def held_out_direction_finding(study: Study, rule: DirectionRule, gate: float) -> Finding:
    """Held-out AUC of the direction, above every baseline that needs no reasoning."""
    labelled = Labelled.of(study.prompts)
    require(_enough(study, labelled, rule))
    resid, plan = study.activations.resid, study.plan
    sides = np.concatenate([labelled.side[None], labelled.shuffled(rule.shuffles, plan.seed)])
    found, *shuffled = search(resid, labelled, sides, rule.folds, plan.seed)
    if found.layer is None:
        reason = "the tasks' means are the same in every layer, to rounding: there is no direction"
        raise Inconclusive(Gate("direction", False, reason))
    fitted = directions.difference_in_means(
        resid, np.where(labelled.within(DISCOVERY), labelled.side, 0)
    )
    at = _at(study, labelled, resid, found.layer, found)
    model, size = at.judged_held_out(), at.size()
    without_model = baselines(study, labelled)
    twins = _twins(study, labelled, rule)
    gates = (*competence_gates(study, gate), _room(without_model))
    return Finding(
        (
            _length_evidence(at, without_model[0]),
            _separation_evidence(at, model, rule, len(found.evaluation)),
            *_strata_evidence(at),
            *beside(at, size, fitted.only(found.layer), rule),
        ),
        (
            *_baseline_controls(without_model, model),
            *_model_controls(at, model, size, shuffled, rule),
            *(_twin_control(twin, model, rule, study.prompts.crossed) for twin in twins),
        ),
        gates,
        notes=_notes(study, found, gates[:-1]),
        units={SEPARATION: at.placements()},
        plots=_plots(at, found, shuffled, twins, without_model[0], fitted),
    )


def _at(
    study: Study,
    labelled: Labelled,
    resid: Float[np.ndarray, "prompt layer d_model"],
    layer: int,
    found: Found,
) -> AtLayer:
    return AtLayer(study, labelled, layer, resid[:, layer].copy(), found.scores[:, layer])


def _enough(study: Study, labelled: Labelled, rule: DirectionRule) -> Gate:
    """Whether every fold can be fitted, and the rest judged."""
    short = []
    for split, least in ((DISCOVERY, rule.folds), (EVALUATION, LEAST_JUDGED)):
        for task, side in zip(study.prompts.tasks, (-1, 1), strict=True):
            held = labelled.unit[labelled.within(split) & (labelled.side == side)]
            if (units := len(np.unique(held))) < least:
                short.append(f"{units} {task} of {least} in {split}")
    reason = f"too few units (pairs, or prompts without a partner): {', '.join(short)}"
    return Gate("units", not short, reason)


def _room(without_model: Sequence[Baseline]) -> Gate:
    """A baseline that separates completely leaves nothing that a model could do better."""
    complete = [b for b in without_model if b.found.high >= 1]
    named = " and ".join(f"{b.name} (AUC {b.found.auc:.2f})" for b in complete)
    reason = (
        f"{named} can tell the tasks of these prompts apart completely, so no direction can be "
        "shown to do better: use prompts that are alike, or cross them with --crossed"
    )
    return Gate("room above the baselines", not complete, reason)


def _twins(study: Study, labelled: Labelled, rule: DirectionRule) -> list[Twin]:
    """Each twin's own layer and direction, found in the same way."""
    twins, plan = [], study.plan
    none = Separation(float("nan"), float("nan"), float("nan"))
    for name, activations in study.twins():
        (found,) = search(activations.resid, labelled, labelled.side[None], rule.folds, plan.seed)
        judged = none
        if found.layer is not None:
            judged = _at(study, labelled, activations.resid, found.layer, found).judged_held_out()
        twins.append(Twin(name, found, judged))
    return twins


def _length_evidence(at: AtLayer, length: Baseline) -> Evidence:
    """First of all rows, because on most labelled sets it explains the rest."""
    return auc_evidence(
        "prompt length alone, without a model", length.found, at.units, "evaluation prompts"
    )


def _separation_evidence(
    at: AtLayer, model: Separation, rule: DirectionRule, layers: int
) -> Evidence:
    rows, plan = at.labelled.within(EVALUATION), at.study.plan
    test = permutation_p(
        at.scores[rows], at.labelled.rows(rows), permutations=plan.permutations, seed=plan.seed
    )
    return Evidence(
        SEPARATION,
        Effect(
            "AUC",
            model.auc,
            model.interval,
            method=f"layer {at.layer} (of {layers}) and direction from discovery prompts; BCa "
            f"bootstrap of {'pairs' if at.labelled.paired else 'prompts'}, direction held fixed",
        ),
        threshold=rule.auc,
        relation=">",
        p=test.p,
        p_adjusted=test.p,
        alpha=rule.alpha,
        floor=test.floor,
        family=Family("the layer chosen on discovery", 1, test.method),
        n=at.units,
    )


def _strata_evidence(at: AtLayer) -> list[Evidence]:
    """Within each template and domain; the smallest AUC of them must keep its sign.

    Where none of a kind is large enough, the AUC of all of them pooled must.
    """
    rows = at.labelled.within(EVALUATION)
    labelled, scores = at.labelled.rows(rows), at.scores[rows]
    shown, judged = [], []
    for kind, names in (("template", labelled.template), ("domain", labelled.domain)):
        strata = by_stratum(scores, labelled, names)
        if len(strata) < 2:
            continue
        pooled = at.judged(scores, labelled, names)
        method = f"only prompts of one {kind} are compared; {len(strata)} of them"
        shown.append(auc_evidence(f"within {kind}s, pooled", pooled, at.units, method))
        if len(strata) <= STRATA_LISTED:
            shown += [
                Evidence(f"within {kind} {s.name}", Effect("AUC", s.auc), n=2 * s.fewer)
                for s in strata
            ]
        large = [(s.auc, f"{kind} {s.name}") for s in strata if s.fewer >= LEAST_IN_STRATUM]
        judged += large or [(pooled.auc, f"{kind}s pooled, as each is small")]
    if not judged:
        return shown
    smallest, where = min(judged)
    method = f"{where}; of {len(judged)} judged, {LEAST_IN_STRATUM} prompts of each task or more"
    effect = Effect("AUC", smallest, method=method)
    name = "smallest separation within a template or domain"
    return [Evidence(name, effect, threshold=0.5, relation=">", n=at.units), *shown]


def _baseline_controls(without_model: Sequence[Baseline], model: Separation) -> list[Control]:
    return [
        Control(
            b.name,
            b.found.auc,
            b.found.high < model.low,
            b.found.interval,
            note=f"{b.note}; must end below {model.low:.2f}, where the direction's interval begins",
        )
        for b in without_model
    ]


def _model_controls(
    at: AtLayer,
    model: Separation,
    size: stats.Estimate,
    shuffled: Sequence[Found],
    rule: DirectionRule,
) -> list[Control]:
    """Directions of the same activations that owe nothing to the labels."""
    rows = at.labelled.within(EVALUATION)
    x, side = at.x[rows], at.labelled.side[rows]
    drawn = upper(random_sizes(x, side, rule.random_directions, at.study.plan.seed))
    relabelled = upper(np.array([f.auc for f in shuffled]))
    within = "pairs" if at.labelled.paired else "domains"
    return [
        Control(
            "random directions, 95th percentile",
            drawn,
            bool(drawn < size.low),
            note=f"|d'|, as many directions separate completely where one does; "
            f"{rule.random_directions} at layer {at.layer}; must stay below {size.low:.2f}, where "
            f"the interval of the direction's {size.value:.2f} begins",
        ),
        Control(
            "shuffled labels, 95th percentile",
            relabelled,
            not relabelled >= model.low,
            note=f"AUC; {rule.shuffles} shuffles within {within}, layer and direction found anew; "
            f"must stay below {model.low:.2f}",
        ),
    ]


def _twin_control(twin: Twin, model: Separation, rule: DirectionRule, crossed: bool) -> Control:
    """On crossed prompts a twin must show nothing; on others, clearly less than the model."""
    reached = twin.judged.high >= model.low or (crossed and twin.judged.auc >= rule.auc)
    bound = f"end below {model.low:.2f}" + (f" and stay below {rule.auc:g}" if crossed else "")
    where = "no direction in any layer" if twin.found.layer is None else f"layer {twin.found.layer}"
    return Control(
        f"untrained {twin.name}",
        twin.judged.auc,
        not reached,
        twin.judged.interval,
        note=f"AUC; {where}; must {bound}",
    )


def _notes(study: Study, found: Found, gates: tuple[Gate, ...]) -> tuple[str, ...]:
    notes = list(gate_notes(gates))
    if not study.prompts.crossed:
        notes.append(
            "these prompts are not crossed: words and length differ between the tasks, and a "
            "direction may be of these; only what goes beyond every baseline is counted"
        )
    if undefined := np.flatnonzero(np.isnan(found.evaluation)).tolist():
        notes.append(f"no direction in layers {undefined}: the tasks' means are the same there")
    if not study.plan.twins:
        notes.append("no untrained twin was run (--twins 0), so that control is missing")
    return tuple(notes)


def _plots(
    at: AtLayer,
    found: Found,
    shuffled: Sequence[Found],
    twins: Sequence[Twin],
    length: Baseline,
    fitted: directions.Directions,
) -> tuple[Plot, ...]:
    rows = at.labelled.within(EVALUATION)
    labelled = at.labelled.rows(rows)
    sources = [("model", at.scores[rows], labelled)]
    sources += [
        (f"untrained {twin.name}", twin.found.scores[rows, twin.found.layer], labelled)
        for twin in twins[:1]
        if twin.found.layer is not None
    ]
    return (
        auc_by_layer_plot(
            found.evaluation,
            [(twin.name, twin.found.evaluation) for twin in twins],
            np.array([f.evaluation for f in shuffled]),
            length.found.auc,
            how="Evaluation prompts along the direction of discovery prompts; layer "
            f"{found.layer} was chosen on the latter.",
            n=at.units,
        ),
        projections_plot(
            sources,
            at.study.prompts.tasks,
            how="Evaluation prompts along the unit direction of discovery prompts; 0 is half way "
            "between the tasks. Panels have scales of their own.",
            headline=f"AUC {found.auc:.2f} at layer {found.layer}.",
        ),
        cosines_plot(directions.layer_cosines(fitted), found, at.units),
    )
