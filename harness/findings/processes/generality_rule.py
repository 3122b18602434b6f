"""What h9 asks of a process whose components serve it in every relation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.processes.agreement import (
    Contrasts,
    between,
    carried_over,
    flips,
    mean,
    p_of,
    share_carried,
)
from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.kinds import Process
from harness.findings.processes.selected import interval_over_relations
from harness.study.plan import Plan
from harness.verdicts.evidence import Effect, Evidence

LEAST_RELATIONS = 6  # floor of p: 1 / 2^5 = .03


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralityRule:
    """When a process is said to use the same components in every relation.

    Attributes:
        search: How items are chosen, and components measured.
        least: Mean rank correlation between two relations, at least.
        top: Share of the components, those with the largest effects, that must serve elsewhere.
        carried: Share of what the strongest of another relation add up to there, at least.
        alpha: Of the exchanges of cells.
        draws: Same-process contrasts that the rule is tried on.
    """

    search: CircuitRule
    least: float
    top: float
    carried: float
    alpha: float
    draws: int


def requirements(
    contrasts: Contrasts, rule: GeneralityRule, plan: Plan, process: Process, other: Process
) -> Iterator[Evidence]:
    """What must hold: in all relations, between families, beyond the other process, of its own."""
    names, effects = contrasts.names, contrasts.effects
    within = between(effects, effects)
    own, without = process.cells
    agree = f"agree on what serves {own}, or {without} in its place"  # effects are signed
    yield _agree(f"relations {agree}", "agree", within, names, rule, plan)
    if families_known(contrasts):
        apart = np.where(contrasts.apart, within, np.nan)
        alike = np.where(contrasts.apart, np.nan, within)
        pairs = int(np.isfinite(alike).sum()) // 2
        beside = f"; within a family {mean(alike):.2f} ({pairs} pairs)" if pairs else ""
        name = f"relations of different families {agree}"
        yield _agree(name, "families", apart, names, rule, plan, beside)
    yield _more(names, within, between(effects, contrasts.other), other, plan)
    yield _carried(contrasts, rule, plan, process)


def families_known(contrasts: Contrasts) -> bool:
    """Whether each contrast says what it asks about, and two of them ask about different kinds."""
    return all(contrasts.families) and bool(contrasts.apart.any())


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


def _carried(contrasts: Contrasts, rule: GeneralityRule, plan: Plan, process: Process) -> Evidence:
    """That what serves the process in one relation serves it in others.

    Effects are signed, so that relations which only agree on what serves the other cell, or
    hampers it, have a rank correlation too.
    """
    names, size = contrasts.names, max(1, round(rule.top * contrasts.effects.shape[1]))
    sums, (own, without) = carried_over(contrasts.serving, rule.top), process.cells
    return Evidence(
        f"what serves {own} most in one relation serves it in others",
        Effect(
            "share of what serves it most there",
            share_carried(sums),
            interval_over_relations(lambda weights: share_carried(sums, weights), names, plan),
            method=f"the {size:,} that serve it most; mean over pairs of relations; the least of "
            f"what {own} loses, what it loses beyond {without}, and that in nats; bootstrap of "
            "relations",
        ),
        threshold=rule.carried,
        relation=">=",
        n=len(names),
        key="carried",
    )
