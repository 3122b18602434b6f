"""The controlled finding of h7: does one direction tell the two tasks of new prompts apart.

The layer is selected and the direction fitted on discovery prompts; evaluation prompts decide.
"""

from collections.abc import Sequence

import numpy as np

from harness.findings.direction.measured import (
    HeldOutDirection,
    SelectedLayer,
    TwinDirection,
    measure_held_out,
    with_twins,
)
from harness.findings.direction.plots import held_out_plots
from harness.findings.direction.search import DirectionRule, random_sizes, upper
from harness.findings.direction.secondary import auc_evidence, held_out_secondary
from harness.findings.direction.separation import by_stratum, permutation_p
from harness.findings.direction.surface_baselines import SurfaceBaseline
from harness.findings.gates import competence_gates, gate_notes, process_gate
from harness.findings.twins import missing_twins, worth_controls
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Control, Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require

SEPARATION = "held-out separation"
LEAST_IN_STRATUM = 20  # prompts of each task; of 10 + 10 a true .75 is below .5 once in 57
STRATA_LISTED = 6


def held_out_direction_finding(study: Study, rule: DirectionRule, gate: float) -> Finding:
    """Held-out AUC of the direction, above every baseline that needs no reasoning."""
    require(process_gate(study.prompts))  # first: it asks the model nothing
    competence = competence_gates(study, gate)
    if study.has_answers:
        require(*competence)
    measured = measure_held_out(study, rule)
    required = _decisive(measured, rule)
    if worth := worth_controls(study, required):
        measured = with_twins(measured, rule)
    return Finding(
        evidence=(*required, *held_out_secondary(measured, rule)),
        controls=_controls(measured, rule),
        gates=(*competence, _room_gate(measured.baselines)),
        notes=(*_notes(measured, competence), *missing_twins(study, met=worth)),
        samples={SEPARATION: measured.selected.placements()},
        plots=held_out_plots(measured),
    )


def _decisive(measured: HeldOutDirection, rule: DirectionRule) -> list[Evidence]:
    """The separation, overall and within strata, below what prompt length alone reaches."""
    return [
        _length_evidence(measured),
        _separation_evidence(measured, rule),
        *_strata_evidence(measured.selected),
    ]


def _length_evidence(measured: HeldOutDirection) -> Evidence:
    """The first row, because on most labelled sets length explains the rest."""
    length, n = measured.baselines[0].separation, measured.selected.units
    return auc_evidence("prompt length alone, without a model", length, n, "evaluation prompts")


def _separation_evidence(measured: HeldOutDirection, rule: DirectionRule) -> Evidence:
    selected, layers = measured.selected, len(measured.search.evaluation)
    labelled, plan = selected.labelled, selected.study.plan
    rows = labelled.within(EVALUATION)
    test = permutation_p(
        selected.scores[rows],
        labelled.rows(rows),
        permutations=plan.permutations,
        seed=plan.seed,
    )
    return Evidence(
        SEPARATION,
        Effect(
            "AUC",
            measured.separation.auc,
            measured.separation.interval,
            method=f"layer {selected.layer} (of {layers}) and direction from discovery prompts; "
            f"BCa bootstrap of {'pairs' if labelled.paired else 'prompts'}, direction held fixed",
        ),
        threshold=rule.auc,
        relation=">",
        p=test.p,
        p_adjusted=test.p,
        alpha=rule.alpha,
        floor=test.floor,
        family=Family("the layer selected on discovery", 1, test.method),
        n=selected.units,
        key="separation",
    )


def _strata_evidence(selected: SelectedLayer) -> list[Evidence]:
    """AUC within each template and domain; the smallest of them must be on the same side of 0.5.

    Where no template (or domain) is large enough, the AUC pooled over all of them is judged.
    """
    rows, n = selected.labelled.within(EVALUATION), selected.units
    labelled, scores = selected.labelled.rows(rows), selected.scores[rows]
    shown: list[Evidence] = []
    judged: list[tuple[float, str]] = []
    for kind, names in (("template", labelled.template), ("domain", labelled.domain)):
        strata = by_stratum(scores, labelled, names)
        if len(strata) < 2:
            continue
        pooled = selected.separation_of(scores, labelled, names)
        method = f"only prompts of one {kind} are compared; {len(strata)} of them"
        shown.append(auc_evidence(f"within {kind}s, pooled", pooled, n, method))
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
    return [Evidence(name, effect, threshold=0.5, relation=">", n=n), *shown]


def _room_gate(baselines: Sequence[SurfaceBaseline]) -> Gate:
    """Whether a model could do better than every baseline: none separates completely."""
    complete = [b for b in baselines if b.separation.high >= 1]
    names = " and ".join(f"{b.name} (AUC {b.separation.auc:.2f})" for b in complete)
    unmet = (
        f"{names} can tell the tasks of these prompts apart completely, so no direction can be "
        "shown to do better: use prompts that are alike, or cross them with --crossed"
    )
    return Gate.of("room above the baselines", not complete, unmet=unmet)


def _controls(measured: HeldOutDirection, rule: DirectionRule) -> tuple[Control, ...]:
    crossed, bound = measured.selected.study.prompts.crossed, measured.separation.low
    return (
        *(_baseline_control(baseline, bound) for baseline in measured.baselines),
        _random_control(measured, rule),
        _shuffled_control(measured, rule),
        *(_twin_control(twin, bound, rule, crossed=crossed) for twin in measured.twins),
    )


def _baseline_control(baseline: SurfaceBaseline, bound: float) -> Control:
    """`bound` is where the interval of the direction's AUC begins."""
    return Control(
        baseline.name,
        baseline.separation.auc,
        baseline.separation.high < bound,
        baseline.separation.interval,
        note=f"{baseline.note}; must end below {bound:.2f}, where the direction's interval begins",
    )


def _random_control(measured: HeldOutDirection, rule: DirectionRule) -> Control:
    """Random directions of the same activations, by d' because many AUCs may be 1."""
    selected, size = measured.selected, measured.size
    rows = selected.labelled.within(EVALUATION)
    x, side = selected.x[rows], selected.labelled.side[rows]
    drawn = upper(random_sizes(x, side, rule.random_directions, selected.study.plan.seed))
    return Control(
        "random directions, 95th percentile",
        drawn,
        bool(drawn < size.low),
        note=f"|d'|, as many directions separate completely where one does; "
        f"{rule.random_directions} at layer {selected.layer}; must stay below {size.low:.2f}, "
        f"where the interval of the direction's {size.value:.2f} begins",
    )


def _shuffled_control(measured: HeldOutDirection, rule: DirectionRule) -> Control:
    """Directions that were searched for under shuffled labels."""
    bound = measured.separation.low
    relabelled = upper(np.array([result.auc for result in measured.shuffled]))
    within = "pairs" if measured.selected.labelled.paired else "domains"
    return Control(
        "shuffled labels, 95th percentile",
        relabelled,
        not relabelled >= bound,
        note=f"AUC; {rule.shuffles} shuffles within {within}, layer and direction found anew; "
        f"must stay below {bound:.2f}",
    )


def _twin_control(
    twin: TwinDirection, bound: float, rule: DirectionRule, *, crossed: bool
) -> Control:
    """On crossed prompts a twin must show nothing; on others, clearly less than the model."""
    reached = twin.separation.high >= bound or (crossed and twin.separation.auc >= rule.auc)
    needed = f"end below {bound:.2f}" + (f" and stay below {rule.auc:g}" if crossed else "")
    layer = twin.search.layer
    where = "no direction in any layer" if layer is None else f"layer {layer}"
    return Control(
        f"untrained {twin.name}",
        twin.separation.auc,
        not reached,
        twin.separation.interval,
        note=f"AUC; {where}; must {needed}",
    )


def _notes(measured: HeldOutDirection, competence: tuple[Gate, ...]) -> tuple[str, ...]:
    study, notes = measured.selected.study, list(gate_notes(competence))
    if not study.prompts.crossed:
        notes.append(
            "these prompts are not crossed: words and length differ between the tasks, so the "
            "direction may stand for these; only what goes beyond every baseline is counted"
        )
    if undefined := np.flatnonzero(np.isnan(measured.search.evaluation)).tolist():
        notes.append(f"no direction in layers {undefined}: the tasks' means are the same there")
    return tuple(notes)
