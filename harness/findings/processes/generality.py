"""The finding of h9: do the same components cost a process in every relation?

What a component's loss costs is measured once, item by item (the search of h5). In each relation
its cost to the process's cell minus its cost to the cell without the process is the component's
effect there. Two relations agree as far as they put the components in the same order.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.circuit import CircuitRule, Search, searched
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, Process, cell_of
from harness.findings.processes.selected import interval_over_relations
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralityRule:
    """When a process is said to use the same components in every relation.

    Attributes:
        search: How items are chosen, and components measured.
        least: Mean rank correlation between two relations, at least.
        top: Share of the components whose overlap is shown.
        alpha: Of the sign flips.
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
    other = COMPOSING if process == RETRIEVAL else RETRIEVAL
    relations, effects = effects_by_relation(search, process, other)
    gates += require(_enough(relations))
    within = rank_correlations(effects[:, 0], effects[:, 0])
    between = rank_correlations(effects[:, 0], effects[:, 1])
    agree = _agree(study, relations, within, rule, process)
    overlap = _overlap(effects[:, 0], rule)
    evidence = (agree, _more(study, relations, within, between, other), overlap)
    samples = {agree.name: dict(zip(relations, _each(within).tolist(), strict=True))}
    return Finding(evidence, gates=gates, samples=samples)


def effects_by_relation(
    search: Search, *processes: Process
) -> tuple[tuple[str, ...], Float[np.ndarray, "relation process component"]]:
    """What each component costs with each process minus without it, relation by relation.

    Shares of a cell's mean intact logit difference. Relations that lack an answer that can be lost
    in one of the cells are left out.
    """
    items = search.prompts.items
    asked = np.array([cell_of(item) for item in items])
    relation = np.array([item.relation for item in items])
    known = ~np.isnan(search.costs[:, 0, 0])
    found, names = [], []
    for name in np.unique(relation[known]).tolist():
        rows = {c: known & (relation == name) & (asked == c) for p in processes for c in p.cells}
        if not all(of.any() for of in rows.values()):
            continue
        cost = {c: search.costs[of].mean(0) / search.intact[of].mean() for c, of in rows.items()}
        found.append([(cost[p.cells[0]] - cost[p.cells[1]]).ravel() for p in processes])
        names.append(name)
    return tuple(names), np.array(found)


def rank_correlations(
    one: Float[np.ndarray, "relation component"], other: Float[np.ndarray, "relation component"]
) -> Float[np.ndarray, "relation relation"]:
    """Spearman's rho of every relation in `one` with every relation in `other`.

    The diagonal is nan: what two effects of one relation share may be its items.
    """
    standard = []
    for values in (one, other):
        ranks = stats.ranks_in_rows(values)
        ranks -= ranks.mean(1, keepdims=True)
        standard.append(ranks / np.linalg.norm(ranks, axis=1, keepdims=True))
    rho: Float[np.ndarray, "relation relation"] = standard[0] @ standard[1].T
    np.fill_diagonal(rho, np.nan)
    return rho


def flips(rho: Float[np.ndarray, "relation relation"]) -> Float[np.ndarray, " flip"]:
    """The mean of rho with the two cells exchanged in some relations, every way; first in none.

    Exchanging them turns the sign of a relation's effects, and of each rho that it is part of.
    """
    signs = np.array([(1, *rest) for rest in product((1, -1), repeat=len(rho) - 1)])
    pairs = np.nan_to_num(rho)
    count = len(rho) * (len(rho) - 1)
    return np.asarray(np.einsum("fi,ij,fj->f", signs, pairs, signs) / count)


def _enough(relations: tuple[str, ...]) -> Gate:
    reason = (
        f"{len(relations)} relations have answers in every cell that can be lost, 6 are needed to "
        "tell agreement from chance: use more items"
    )
    return Gate("relations to compare", len(relations) >= 6, reason)  # floor 1 / 2^5 = .03


def _mean(rho: Float[np.ndarray, "relation relation"], weights: np.ndarray | None = None) -> float:
    """Over pairs of relations, each as often as both are there."""
    n = len(rho)
    weights = np.full(n, 1 / n) if weights is None else weights
    pairs = np.outer(weights, weights) * ~np.isnan(rho)
    return float((pairs * np.nan_to_num(rho)).sum() / pairs.sum()) if pairs.any() else np.nan


def _each(rho: Float[np.ndarray, "relation relation"]) -> Float[np.ndarray, " relation"]:
    """How each relation agrees with the others."""
    return np.asarray(np.nanmean(rho, axis=1))


def _agree(
    study: Study,
    relations: tuple[str, ...],
    within: Float[np.ndarray, "relation relation"],
    rule: GeneralityRule,
    process: Process,
) -> Evidence:
    null = flips(within)
    p = float((null >= null[0] - 1e-12).mean())
    interval = interval_over_relations(lambda w: _mean(within, w), relations, study.plan)
    return Evidence(
        f"relations agree on what serves {process.name}",
        Effect(
            "rank correlation",
            float(_mean(within)),
            interval,
            method="mean over pairs of relations; bootstrap of relations; p of all exchanges of "
            "the two cells within relations",
        ),
        threshold=rule.least,
        relation=">=",
        p_adjusted=p,
        alpha=rule.alpha,
        floor=1 / len(null),
        n=len(relations),
        key="agree",
    )


def _more(
    study: Study,
    relations: tuple[str, ...],
    within: Float[np.ndarray, "relation relation"],
    between: Float[np.ndarray, "relation relation"],
    other: Process,
) -> Evidence:
    """Beyond how they agree with the other process: some components serve any harder question."""

    def difference(weights: np.ndarray | None = None) -> float:
        return _mean(within, weights) - _mean(between, weights)

    return Evidence(
        f"more than with what serves {other.name}",
        Effect(
            "difference of rank correlations",
            difference(),
            interval_over_relations(difference, relations, study.plan),
            method=f"with {other.name} in other relations {_mean(between):.2f}; bootstrap of "
            "relations",
        ),
        threshold=0.0,
        relation=">",
        n=len(relations),
        key="more",
    )


def _overlap(effects: Float[np.ndarray, "relation component"], rule: GeneralityRule) -> Evidence:
    """Secondary: the Jaccard index of the strongest components of two relations."""
    count = effects.shape[1]
    size = max(1, round(rule.top * count))
    tops = [set(np.argsort(-row, kind="stable")[:size].tolist()) for row in effects]
    pairs = [(a, b) for at, a in enumerate(tops) for b in tops[:at]]
    found = float(np.mean([len(a & b) / len(a | b) for a, b in pairs]))
    shared = size**2 / count  # expected of two random sets
    return Evidence(
        f"overlap of the strongest {size:,} of two relations",
        Effect(
            "Jaccard index", found, method=f"by chance about {shared / (2 * size - shared):.2f}"
        ),
        n=len(effects),
        key="overlap",
    )
