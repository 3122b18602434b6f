"""The finding of h9: do the same components cost a process in every relation?

What a component's loss costs is measured once, item by item (the search of h5). In each relation
its cost to the process's cell minus its cost to the cell without the process is the component's
effect there. Two relations agree as far as they put the components in the same order.
"""

import numpy as np

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.agreement import (
    Contrasts,
    between,
    costs_in_cells,
    effects_of,
    families_of,
    serving_of,
    strongest,
)
from harness.findings.processes.circuit_search import Search, searched
from harness.findings.processes.generality_rule import (
    LEAST_RELATIONS,
    GeneralityRule,
    families_known,
    requirements,
)
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, Process
from harness.findings.processes.measured_again import Asked, on_other_stories
from harness.findings.processes.pseudo_processes import beyond, same_process
from harness.findings.processes.same_process import places_note
from harness.findings.twins import left_out, worth_controls
from harness.study.study import Study
from harness.verdicts.components import COSTS, Components
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import Finding, require

NOT_AGAIN = (
    "other stories of the same relations were not measured (--full does): each costs as much as "
    "the first"
)


def generality_finding(
    study: Study, kind: CircuitKind, process: Process, rule: GeneralityRule, *, gate: float
) -> Finding:
    """Whether relations agree on the components of a process, and not on any process alike.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        process: Retrieval or composing.
        rule: When they agree.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates, _, search = searched(study, kind, process, rule.search, gate)
    costs = costs_in_cells(search)
    names = costs.names
    gates += require(_enough(names))
    other = COMPOSING if process == RETRIEVAL else RETRIEVAL
    contrasts = Contrasts(
        names,
        families_of(search.prompts.items, names),
        effects_of(process, costs),
        serving_of(process, costs),
        effects_of(other, costs),
    )
    required = tuple(requirements(contrasts, rule, study.plan, process, other))
    met = worth_controls(study, required)
    both = (process, other)
    same = same_process(search, contrasts, costs, both, rule, study.plan) if met else None
    asked = Asked(study, kind, process, contrasts, rule, gate)
    again, not_asked = on_other_stories(asked) if study.plan.full else ((), (NOT_AGAIN,))
    agreeing = np.nanmean(between(contrasts.effects, contrasts.effects), axis=1)
    return Finding(
        (
            *required,
            *([beyond(required[0], same)] if same else ()),
            *again,
        ),
        gates=gates,
        notes=(
            *_families_note(contrasts),
            *left_out("contrasts of one process", met=met),
            *(places_note(int(same.alike.sum()), process.cells) if same else ()),
            *not_asked,
        ),
        samples={required[0].name: dict(zip(names, agreeing.tolist(), strict=True))},
        tables={COSTS: _table(search, contrasts, rule, process)},
        severity=same.severity if same else None,
    )


def _enough(relations: tuple[str, ...]) -> Gate:
    found = (
        f"{len(relations)} relations have answers in every cell that can be lost, "
        f"{LEAST_RELATIONS} are needed to tell agreement from chance"
    )
    enough = len(relations) >= LEAST_RELATIONS
    return Gate.of("relations to compare", enough, found, unmet=": use more items")


def _families_note(contrasts: Contrasts) -> tuple[str, ...]:
    families = sorted({name for of in contrasts.families for name in of})
    if families_known(contrasts):
        return (f"relations of {len(families)} families: {', '.join(families)}",)
    why = "all ask about one family" if all(contrasts.families) else "not all say their domain"
    return (f"agreement between families of relations was not asked for: {why}",)


def _table(
    search: Search, contrasts: Contrasts, rule: GeneralityRule, process: Process
) -> Components:
    """Every component's mean effect over relations: runs and models can be compared by it."""
    effect = contrasts.effects.mean(0, dtype=float)
    layer, index = np.divmod(np.arange(len(effect)), search.width)
    unknown = np.full(len(effect), np.nan)
    return Components(
        kind=search.kind,
        layer=layer,
        index=index,
        metrics=("cost",),
        metric=np.zeros(len(effect), dtype=int),
        effect=effect,
        effect_discovery=unknown,
        q=unknown,
        passed=strongest(effect[None], rule.top)[0],
        type=np.full(len(effect), process.target),
        cells_d=effect[:, None],
        contrast=process.cells,
    )
