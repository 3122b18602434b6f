"""h9 on contrasts that are none of process: what agreement they show, and the rule's severity.

Two kinds, as in h1 to h4. Relations of one cell against each other, put together in pairs at
random. And, within each relation of one cell, questions whose answer is told first in the story
against those whose answer is told last: these differ alike in every relation, so that relations
may well agree about them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.processes.agreement import (
    Contrasts,
    between,
    costs_by_relation,
    flips,
    mean,
    p_of,
)
from harness.findings.processes.circuit import CELLS, Search
from harness.findings.processes.generality_rule import (
    LEAST_RELATIONS,
    GeneralityRule,
    requirements,
)
from harness.findings.processes.kinds import Process, cell_of
from harness.findings.processes.same_process import told_places
from harness.findings.requirements import beyond_same_process
from harness.study.plan import Plan
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.severity import Severity

WHAT = "same-process contrasts"


@dataclass(frozen=True, slots=True)
class SameProcess:
    """Contrasts of questions of one process.

    Attributes:
        contrasts: Each compared like the claim's, over as many relations or pairs of them.
        alike: Which of them differ alike in every relation.
    """

    contrasts: tuple[Contrasts, ...]
    alike: np.ndarray


def same_process(
    search: Search,
    claim: Contrasts,
    costs: Float[np.ndarray, "relation cell component"],
    process: Process,
    rule: GeneralityRule,
    plan: Plan,
) -> SameProcess:
    """Contrasts of the first kind, `rule.draws` of them, then those of the second.

    Args:
        search: The items, and what each component costs each of them.
        claim: The contrasts of the process.
        costs: In each of `CELLS`, that they were made of.
        process: Contrasts are drawn in its cells.
        rule: Of the claim.
        plan: Of the run.
    """
    drawn = tuple(_drawn(claim, costs, process, rule.draws, plan.seed))
    told = tuple(_told(search, claim, process))
    return SameProcess((*drawn, *told), np.arange(len(drawn) + len(told)) >= len(drawn))


def beyond(agree: Evidence, same: SameProcess) -> Evidence:
    """The requirement that relations agree more about the process than about such contrasts."""
    return beyond_same_process(
        f"more than in {WHAT}",
        Effect("rank correlation", agree.effect.value, agree.effect.interval),
        np.array([mean(between(of.effects, of.effects)) for of in same.contrasts]),
        WHAT,
        each=same.alike,
        key="beyond",
    )


def severity_of(
    same: SameProcess, rule: GeneralityRule, plan: Plan, process: Process, other: Process
) -> Severity:
    """How many of the contrasts meet all that is asked of the claim by itself."""
    met = [_supported(of, rule, plan, process, other) for of in same.contrasts]
    return Severity(sum(met), len(met))


def _drawn(
    claim: Contrasts,
    costs: Float[np.ndarray, "relation cell component"],
    process: Process,
    draws: int,
    seed: int,
) -> Iterator[Contrasts]:
    """Random halves of the relations against each other, in each cell of the process by itself.

    Two cells give a pair for every two relations each: about as many as the claim has relations.
    """
    generator = np.random.default_rng(seed)
    at = [CELLS.index(cell) for cell in process.cells]
    for _ in range(draws):
        pairs = [(cell, *pair) for cell in at for pair in _halves(len(costs), generator)]
        yield Contrasts(
            tuple(f"{claim.names[a]} minus {claim.names[b]}, {CELLS[c]}" for c, a, b in pairs),
            tuple(claim.families[a] | claim.families[b] for _, a, b in pairs),
            np.array([costs[a, c] - costs[b, c] for c, a, b in pairs]),
            np.array([claim.other[a] for _, a, _ in pairs]),
        )


def _halves(count: int, generator: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Members of two random halves, put together in pairs; of an odd number one is left out."""
    order, half = generator.permutation(count).tolist(), count // 2
    return zip(order[:half], order[half : 2 * half], strict=True)


def _told(search: Search, claim: Contrasts, process: Process) -> Iterator[Contrasts]:
    """The answer told first against last, in each cell where relations enough ask for both."""
    items = search.prompts.items
    places = told_places(items).tolist()
    for cell in process.cells:
        label = [p if cell_of(i) == cell else "" for i, p in zip(items, places, strict=True)]
        names, costs = costs_by_relation(search, label, ("first", "last"))
        both = [name for name in names if name in claim.names]
        if len(both) < LEAST_RELATIONS:
            continue
        here, there = [names.index(n) for n in both], [claim.names.index(n) for n in both]
        yield Contrasts(
            tuple(both),
            tuple(claim.families[at] for at in there),
            costs[here, 0] - costs[here, 1],
            claim.other[there],
        )


def _supported(
    contrasts: Contrasts, rule: GeneralityRule, plan: Plan, process: Process, other: Process
) -> bool:
    """Whether all requirements hold; the cheap one first, since most contrasts fail it."""
    if p_of(flips(between(contrasts.effects, contrasts.effects), plan.seed)) > rule.alpha:
        return False
    return all(row.passed for row in requirements(contrasts, rule, plan, process, other))
