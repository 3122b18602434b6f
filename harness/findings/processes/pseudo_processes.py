"""h9 on contrasts that are none of process: what agreement they show, and the rule's severity.

Two kinds, as in h1 to h4. Relations of one cell against each other, put together in pairs at
random. And, within each relation of one cell, questions whose answer is told first in the story
against those whose answer is told last: these differ alike in every relation, so that relations
may well agree about them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from jaxtyping import Bool, Float

from harness.findings.processes.agreement import (
    Contrasts,
    Costs,
    between,
    costs_by_relation,
    flips,
    p_of,
    serving,
)
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.generality_rule import (
    LEAST_RELATIONS,
    GeneralityRule,
    requirements,
)
from harness.findings.processes.kinds import CELLS, Process, cell_of
from harness.findings.processes.same_process import told_places
from harness.findings.requirements import beyond_same_process
from harness.study.plan import Plan
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.severity import Severity

WHAT = "same-process contrasts"


@dataclass(frozen=True, slots=True)
class SameProcess:
    """What contrasts of questions of one process show; each is compared as the claim's is.

    Attributes:
        agreement: The mean rank correlation of each.
        supported: Which of them meet all that is asked of the claim by itself.
        alike: Which of them differ alike in every relation.
    """

    agreement: Float[np.ndarray, " contrast"]
    supported: Bool[np.ndarray, " contrast"]
    alike: Bool[np.ndarray, " contrast"]

    @property
    def severity(self) -> Severity:
        """How many of them the rule supports."""
        return Severity.of(self.supported)


def same_process(
    search: Search,
    claim: Contrasts,
    costs: Costs,
    processes: tuple[Process, Process],
    rule: GeneralityRule,
    plan: Plan,
) -> SameProcess:
    """Contrasts of the first kind, `rule.draws` of them, then those of the second.

    Args:
        search: The items, and what each component costs each of them.
        claim: The contrasts of the process.
        costs: In each of `CELLS`, that they were made of.
        processes: The one of the claim, in whose cells contrasts are drawn, and the other one.
        rule: Of the claim.
        plan: Of the run.
    """
    drawn = _drawn(claim, costs, processes[0], rule.draws, plan.seed)
    told = _told(search, claim, processes[0])
    found = [  # one in memory at a time: neurons are many
        (*_judged(of, rule, plan, processes), alike)
        for of, alike in chain(zip(drawn, repeat(False)), zip(told, repeat(True)))
    ]
    agreement, supported, alike = zip(*found, strict=True)
    return SameProcess(np.array(agreement), np.array(supported), np.array(alike))


def beyond(agree: Evidence, same: SameProcess) -> Evidence:
    """The requirement that relations agree more about the process than about such contrasts."""
    return beyond_same_process(
        f"more than in {WHAT}",
        Effect("rank correlation", agree.effect.value, agree.effect.interval),
        same.agreement,
        WHAT,
        each=same.alike,
        key="beyond",
    )


def _drawn(
    claim: Contrasts,
    costs: Costs,
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
        pairs = [(cell, *pair) for cell in at for pair in _halves(len(costs.names), generator)]
        cells, one, other = np.array(pairs).T
        shares = costs.shares[one, cells], costs.shares[other, cells]
        ratio = costs.heights[other, cells] / costs.heights[one, cells]
        yield Contrasts(
            tuple(f"{claim.names[a]} minus {claim.names[b]}, {CELLS[c]}" for c, a, b in pairs),
            tuple(claim.families[a] | claim.families[b] for _, a, b in pairs),
            shares[0] - shares[1],
            serving(*shares, ratio[:, None]),
            claim.other[one],
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
        costs = costs_by_relation(search, label, ("first", "last"))
        both = [name for name in costs.names if name in claim.names]
        if len(both) < LEAST_RELATIONS:
            continue
        here, there = ([names.index(n) for n in both] for names in (costs.names, claim.names))
        first, last = costs.shares[here].swapaxes(0, 1)
        ratio = np.divide(*costs.heights[here].T[::-1])
        yield Contrasts(
            tuple(both),
            tuple(claim.families[at] for at in there),
            first - last,
            serving(first, last, ratio[:, None]),
            claim.other[there],
        )


def _judged(
    contrasts: Contrasts, rule: GeneralityRule, plan: Plan, processes: tuple[Process, Process]
) -> tuple[float, bool]:
    """How far it agrees over relations, and whether all requirements hold.

    The cheap one first, since most contrasts fail it.
    """
    null = flips(between(contrasts.effects, contrasts.effects), plan.seed)
    if p_of(null) > rule.alpha:
        return float(null[0]), False
    required = requirements(contrasts, rule, plan, *processes)
    return float(null[0]), all(row.passed for row in required)
