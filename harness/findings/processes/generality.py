"""The finding of h9: do the same components cost a process in every relation?

What a component's loss costs is measured once, item by item (the search of h5). In each relation
its cost to the process's cell minus its cost to the cell without the process is the component's
effect there. Two relations agree as far as they put the components in the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.agreement import (
    Contrasts,
    between,
    costs_by_relation,
    effects_of,
    families_of,
    flips,
    jaccards,
    mean,
    p_of,
    shuffled_in_layers,
    strongest,
)
from harness.findings.processes.circuit import CircuitRule, Search, searched
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, Process
from harness.findings.processes.selected import interval_over_relations
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.components import COSTS, Components
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

LEAST_RELATIONS = 6  # floor of p: 1 / 2^5 = .03
SHUFFLES = 199  # of components within their layers, for an overlap that is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralityRule:
    """When a process is said to use the same components in every relation.

    Attributes:
        search: How items are chosen, and components measured.
        least: Mean rank correlation between two relations, at least.
        top: Share of the components whose overlap is shown.
        alpha: Of the exchanges of cells.
    """

    search: CircuitRule
    least: float
    top: float
    alpha: float


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
    names, costs = costs_by_relation(search)
    gates += require(_enough(names))
    other = COMPOSING if process == RETRIEVAL else RETRIEVAL
    families = families_of(search.prompts.items, names)
    contrasts = Contrasts(names, families, effects_of(process, costs), effects_of(other, costs))
    required = tuple(requirements(contrasts, rule, study.plan, process, other))
    overlap = _overlap(contrasts, search.layers, rule, study.plan)
    agreeing = np.nanmean(between(contrasts.effects, contrasts.effects), axis=1)
    return Finding(
        (*required, overlap),
        gates=gates,
        notes=_families_note(contrasts),
        samples={required[0].name: dict(zip(names, agreeing.tolist(), strict=True))},
        tables={COSTS: _table(search, contrasts, rule, process)},
    )


def requirements(
    contrasts: Contrasts, rule: GeneralityRule, plan: Plan, process: Process, other: Process
) -> Iterator[Evidence]:
    """What must hold, one by one: in all relations, between families, beyond the other process."""
    names, effects = contrasts.names, contrasts.effects
    within = between(effects, effects)
    yield _agree(
        f"relations agree on what serves {process.name}", "agree", within, names, rule, plan
    )
    if _families_known(contrasts):
        apart = np.where(contrasts.apart, within, np.nan)
        alike = np.where(contrasts.apart, np.nan, within)
        pairs = int(np.isfinite(alike).sum()) // 2
        beside = f"; within a family {mean(alike):.2f} ({pairs} pairs)" if pairs else ""
        name = f"relations of different families agree on what serves {process.name}"
        yield _agree(name, "families", apart, names, rule, plan, beside)
    yield _more(names, within, between(effects, contrasts.other), other, plan)


def _enough(relations: tuple[str, ...]) -> Gate:
    reason = (
        f"{len(relations)} relations have answers in every cell that can be lost, "
        f"{LEAST_RELATIONS} are needed to tell agreement from chance: use more items"
    )
    return Gate("relations to compare", len(relations) >= LEAST_RELATIONS, reason)


def _families_known(contrasts: Contrasts) -> bool:
    return all(contrasts.families) and bool(contrasts.apart.any())


def _families_note(contrasts: Contrasts) -> tuple[str, ...]:
    families = sorted({name for of in contrasts.families for name in of})
    if _families_known(contrasts):
        return (f"relations of {len(families)} families: {', '.join(families)}",)
    why = "all ask about one family" if all(contrasts.families) else "not all say their domain"
    return (f"agreement between families of relations was not asked for: {why}",)


def _agree(
    name: str,
    key: str,
    rho: Float[np.ndarray, "relation relation"],
    relations: tuple[str, ...],
    rule: GeneralityRule,
    plan: Plan,
    beside: str = "",
) -> Evidence:
    null = flips(rho, plan.seed)
    return Evidence(
        name,
        Effect(
            "rank correlation",
            mean(rho),
            interval_over_relations(lambda weights: mean(rho, weights), relations, plan),
            method="mean over pairs of relations; bootstrap of relations; p of exchanges of the "
            f"two cells within relations{beside}",
        ),
        threshold=rule.least,
        relation=">=",
        p_adjusted=p_of(null),
        alpha=rule.alpha,
        floor=1 / len(null),
        n=len(relations),
        key=key,
    )


def _more(
    relations: tuple[str, ...],
    within: Float[np.ndarray, "relation relation"],
    across: Float[np.ndarray, "relation relation"],
    other: Process,
    plan: Plan,
) -> Evidence:
    """Beyond how they agree with the other process: some components serve any harder question."""

    def difference(weights: np.ndarray | None = None) -> float:
        return mean(within, weights) - mean(across, weights)

    return Evidence(
        f"more than with what serves {other.name}",
        Effect(
            "difference of rank correlations",
            difference(),
            interval_over_relations(difference, relations, plan),
            method=f"with {other.name} in other relations {mean(across):.2f}; bootstrap of "
            "relations",
        ),
        threshold=0.0,
        relation=">",
        n=len(relations),
        key="more",
    )


def _overlap(contrasts: Contrasts, layers: int, rule: GeneralityRule, plan: Plan) -> Evidence:
    """Secondary: the Jaccard index of the strongest components of two relations."""
    tops = strongest(contrasts.effects, rule.top)
    null = shuffled_in_layers(tops, layers, SHUFFLES, plan.seed)
    overlap = jaccards(tops, tops)
    np.fill_diagonal(overlap, np.nan)
    return Evidence(
        f"overlap of the strongest {tops[0].sum():,} of two relations",
        Effect(
            "Jaccard index",
            mean(overlap),
            interval_over_relations(lambda w: mean(overlap, w), contrasts.names, plan),
            method=f"by chance {null[1:].mean():.2f}, with as many in each layer; bootstrap of "
            "relations; p of components that change places within their layer",
        ),
        p=p_of(null),
        n=len(contrasts.names),
        key="overlap",
    )


def _table(
    search: Search, contrasts: Contrasts, rule: GeneralityRule, process: Process
) -> Components:
    """Every component's mean effect over relations: runs and models can be compared by it."""
    effect = contrasts.effects.mean(0)
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
        type=np.full(len(effect), process.cells[0]),
        cells_d=effect[:, None],
        contrast=process.cells,
    )
