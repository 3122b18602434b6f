"""Two circuits, ablated alone and together; and other pairs that are treated alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, CircuitKind, relocated
from harness.findings.processes.circuit import Ablated, CircuitRule, Parts, ablate
from harness.findings.processes.circuit_search import Search, searched
from harness.findings.processes.kinds import CELLS, COMPOSING, RETRIEVAL
from harness.findings.processes.other_circuits import same_process_rows
from harness.materials.items import PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate

PROCESSES = (RETRIEVAL, COMPOSING)
OWN = tuple(process.target for process in PROCESSES)  # the cell of each process
IN_CELLS = [CELLS.index(cell) for cell in OWN]
BOTH = 2  # column of both circuits; those of each alone are 0 and 1

Pair = tuple[Circuit, Circuit]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRule:
    """When two circuits are separable, and when they interact.

    Attributes:
        search: How each is found, alpha, and how many other pairs of each sort are ablated.
        smallest: Share of the logit difference: a smaller effect or interaction is none.
    """

    search: CircuitRule
    smallest: float


@dataclass(frozen=True)
class TwoCircuits:
    """Both circuits ablated in other relations, alone and together.

    Attributes:
        pair: The circuits of retrieval and of composing.
        relations: Those judged on.
        costs: Share of the cell's logit difference, of `CELLS`.
        heights: By cell; the intact logit difference, nats.
    """

    study: Study
    kind: CircuitKind
    rule: PairRule
    gates: tuple[Gate, ...]
    parts: Parts
    search: Search
    pair: Pair
    relations: tuple[str, ...]
    costs: Float[np.ndarray, "relation cell three"]
    heights: Mapping[str, float]


@dataclass(frozen=True)
class OtherPairs:
    """Both circuits and other pairs ablated on fewer stories, alone and together.

    Attributes:
        costs: Mean over relations; the circuits first, then random pairs of sets, then pairs of
            circuits between questions of one process.
        random: How many of these are random.
        heights: By cell; the intact logit difference on these stories, nats.
    """

    costs: Float[np.ndarray, "pair cell three"]
    random: int
    heights: Mapping[str, float]


def measure_two(study: Study, kind: CircuitKind, rule: PairRule, *, gate: float) -> TwoCircuits:
    """Find both circuits on some relations and ablate them on the others.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates, parts, search = searched(study, kind, COMPOSING, rule.search, gate)
    found = [search.circuit_of(cell) for cell in OWN]
    pair = (found[0].circuit, found[1].circuit)
    judged = _ablated(study, parts.judging, [pair], parts.selection).answered()
    costs = np.stack([judged.costs[cell] for cell in CELLS], axis=1)
    relations, heights = judged.relations, judged.heights
    return TwoCircuits(study, kind, rule, gates, parts, search, pair, relations, costs, heights)


def measure_others(two: TwoCircuits) -> OtherPairs:
    """Ablate random pairs of sets and pairs of circuits between questions of one process."""
    search, seed = two.search, two.study.plan.seed
    random = relocated(two.pair, search.width, search.rule.draws, seed)
    pairs = [two.pair, *random, *_between_questions(search, two.pair, seed)]
    ablated = _ablated(two.study, two.parts.compared, pairs, two.parts.selection)
    costs = np.stack([ablated.mean(cell).reshape(len(pairs), 3) for cell in CELLS], axis=1)
    return OtherPairs(costs, len(random), ablated.heights)


def _between_questions(search: Search, pair: Pair, seed: int) -> list[Pair]:
    """Circuits that the same search finds between halves of the relations of one cell."""
    prompts, draws = search.prompts, search.rule.draws
    both = [
        [search.ranking(rows, sparing=True).top(len(circuit.layer)) for rows in drawn]
        for circuit, drawn in (
            (circuit, same_process_rows(prompts, cell, draws, seed))
            for circuit, cell in zip(pair, OWN, strict=True)
        )
    ]
    return list(zip(*both, strict=True))


def _ablated(
    study: Study, prompts: PromptSet, pairs: Sequence[Pair], means_over: PromptSet
) -> Ablated:
    """Of each pair the first circuit, the second and both."""
    circuits = [c for one, two in pairs for c in (one, two, one.union(two))]
    return ablate(study, prompts, circuits, means_over=means_over)


def main_effects(costs: Float[np.ndarray, "*any three"], own: int) -> Float[np.ndarray, "*any"]:
    """Of a circuit: the mean of what it costs alone and what it adds to the other one's cost."""
    return np.asarray((costs[..., own] + costs[..., BOTH] - costs[..., 1 - own]) / 2)


def interactions(costs: Float[np.ndarray, "*any three"]) -> Float[np.ndarray, "*any"]:
    """What both circuits cost together minus the sum of what each costs alone."""
    return np.asarray(costs[..., BOTH] - costs[..., 0] - costs[..., 1])
