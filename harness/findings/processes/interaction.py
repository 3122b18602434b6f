"""h8 on processes: the circuits of retrieval and of composing, ablated alone and together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import Circuit, CircuitKind, relocated
from harness.findings.processes.circuit import (
    CELLS,
    Ablated,
    CircuitRule,
    Parts,
    Search,
    ablate,
    beyond_others,
    rows_of_cells,
    same_process_rows,
    searched,
)
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.selected import interval_over_relations
from harness.findings.twins import left_out, worth_controls
from harness.materials.items import PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require

PROCESSES = (RETRIEVAL, COMPOSING)
OWN = tuple(process.cells[0] for process in PROCESSES)  # the cell of each process
IN_CELLS = [CELLS.index(cell) for cell in OWN]
BOTH = 2  # column of both circuits; those of each alone are 0 and 1
OTHER_PAIRS = "other pairs of sets"
TIE = 1e-9  # shares of the logit difference: closer values are equal

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


@dataclass(frozen=True)
class Compared:
    """Both circuits and other pairs ablated on fewer stories, alone and together.

    Attributes:
        costs: Mean over relations; the circuits first, then random pairs of sets, then pairs of
            circuits between questions of one process.
        random: How many of these are random.
        alpha: Of the rank.
    """

    costs: Float[np.ndarray, "pair cell three"]
    random: int
    alpha: float


def measure_two(study: Study, kind: CircuitKind, rule: PairRule, *, gate: float) -> TwoCircuits:
    """Find both circuits on some relations and ablate them on the others.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates, parts, search = searched(study, kind, COMPOSING, rule.search, gate)
    found = [search.circuit(rows_of_cells(parts.selection, cell)) for cell in OWN]
    pair = (found[0].circuit, found[1].circuit)
    judged = _ablated(study, parts.judging, [pair], parts.selection).answered()
    costs = np.stack([judged.costs[cell] for cell in CELLS], axis=1)
    return TwoCircuits(study, kind, rule, gates, parts, search, pair, judged.relations, costs)


def measure_others(two: TwoCircuits) -> Compared:
    """Ablate random pairs of sets and pairs of circuits between questions of one process."""
    search, seed = two.search, two.study.plan.seed
    random = relocated(two.pair, search.width, search.rule.draws, seed)
    pairs = [two.pair, *random, *_between_questions(search, two.pair, seed)]
    ablated = _ablated(two.study, two.parts.compared, pairs, two.parts.selection)
    costs = np.stack([ablated.mean(cell).reshape(len(pairs), 3) for cell in CELLS], axis=1)
    return Compared(costs, len(random), search.rule.alpha)


def _between_questions(search: Search, pair: Pair, seed: int) -> list[Pair]:
    """Circuits that the same search finds between halves of the relations of one cell."""
    prompts, draws = search.prompts, search.rule.draws
    both = [
        [search.ranking(rows).top(len(circuit.layer)) for rows in drawn]
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


def separable_finding(study: Study, kind: CircuitKind, rule: PairRule, *, gate: float) -> Finding:
    """Whether each circuit's main effect is larger on its own cell than on every other one.

    Lookup is one of these: without it a circuit that reads the text would pass for composing.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        rule: When they are separable.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    two = measure_two(study, kind, rule, gate=gate)
    own = [_on_own(two, at) for at in range(len(PROCESSES))]
    met = worth_controls(study, own)
    samples = {
        evidence.name: dict(
            zip(two.relations, _own_minus_most(two.costs, at).tolist(), strict=True)
        )
        for at, evidence in enumerate(own)
    }
    return Finding(
        (*own, *(_separable_beyond_others(measure_others(two)) if met else ())),
        gates=two.gates,
        notes=(_sizes(two), *left_out(OTHER_PAIRS, met=met)),
        samples=samples,
    )


def _separable_beyond_others(compared: Compared) -> list[Evidence]:
    return [
        _beyond_others(
            compared,
            f"{process.name} circuit, against other pairs of sets",
            _own_minus_most(compared.costs, at),
            key=f"beyond.{process.name}",
        )
        for at, process in enumerate(PROCESSES)
    ]


def _on_own(two: TwoCircuits, at: int) -> Evidence:
    """The main effect of a circuit on its own cell, minus the largest on another one."""
    process, on = PROCESSES[at], main_effects(two.costs.mean(0), at)
    each = ", ".join(f"{cell} {effect:.2f}" for cell, effect in zip(CELLS, on, strict=True))

    def minus_most(weights: Float[np.ndarray, " relation"]) -> float:
        return float(_own_minus_most(np.tensordot(weights, two.costs, 1), at))

    relations = len(two.relations)
    return Evidence(
        f"{process.name} circuit, main effect on {OWN[at]} minus the largest on another cell",
        Effect(
            "share of the logit difference",
            minus_most(np.full(relations, 1 / relations)),
            interval_over_relations(minus_most, two.relations, two.study.plan),
            method=f"{each}; bootstrap of relations",
        ),
        threshold=two.rule.smallest,
        relation=">",
        n=relations,
        key=f"own.{process.name}",
    )


def interaction_finding(study: Study, kind: CircuitKind, rule: PairRule, *, gate: float) -> Finding:
    """Whether both circuits together cost a process another amount than the sum of each alone.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        rule: When they interact.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    two = measure_two(study, kind, rule, gate=gate)
    gates = require(*two.gates, _disjoint(two))
    values = interactions(two.costs)[:, IN_CELLS]
    at = int(np.abs(values.mean(0)).argmax())
    signed = np.sign(values[:, at].mean()) * values[:, at]
    largest = _largest(two, values, at, signed)
    met = worth_controls(study, [largest])
    return Finding(
        (largest, *([_interaction_beyond_others(measure_others(two), OWN[at])] if met else ())),
        gates=gates,
        notes=(_sizes(two), *left_out(OTHER_PAIRS, met=met)),
        samples={largest.name: dict(zip(two.relations, signed.tolist(), strict=True))},
    )


def _interaction_beyond_others(compared: Compared, cell: str) -> Evidence:
    return _beyond_others(
        compared,
        f"interaction on {cell}, against other pairs of sets",
        np.abs(interactions(compared.costs)[:, IN_CELLS]).max(1),  # that cell was chosen
        key="beyond",
    )


def _own_minus_most(
    costs: Float[np.ndarray, "*any cell three"], at: int
) -> Float[np.ndarray, "*any"]:
    """The main effect of a circuit on its own cell minus the largest on another one."""
    effects, own = main_effects(costs, at), IN_CELLS[at]
    return np.asarray(effects[..., own] - np.delete(effects, own, axis=-1).max(-1))


def _largest(
    two: TwoCircuits,
    values: Float[np.ndarray, "relation cell"],
    at: int,
    signed: Float[np.ndarray, " relation"],
) -> Evidence:
    """The larger of the interactions on the two cells, with a p corrected for the choice.

    Args:
        two: The circuits.
        values: Interactions on the cells of `OWN`.
        at: The cell on which the mean is larger.
        signed: Those on it, with the sign that makes their mean positive.
    """
    plan = two.study.plan
    test = stats.sign_flip_max(values, permutations=plan.permutations, seed=plan.seed)
    alone, other, both = two.costs[:, IN_CELLS[at]].mean(0)
    return Evidence(
        f"largest interaction, {OWN[at]}",
        Effect(
            "|share of the logit difference|",
            float(signed.mean()),
            interval_over_relations(signed.dot, two.relations, plan),
            method=f"retrieval circuit {alone:.2f}, composing circuit {other:.2f}, "
            f"both {both:.2f}; sign flips and bootstrap of relations",
        ),
        threshold=two.rule.smallest,
        relation=">",
        p_adjusted=float(test.p_adjusted[at]),
        alpha=two.rule.search.alpha,
        floor=float(test.floor),
        family=Family("cells", len(OWN), "max-statistic sign-flip"),
        n=len(signed),
        key="largest",
    )


def _beyond_others(
    compared: Compared, name: str, values: Float[np.ndarray, " pair"], *, key: str
) -> Evidence:
    """Beyond random pairs and pairs between questions of one process, by rank.

    A random pair may hold one of the judged circuits: in a model whose effects add up its value
    differs by the order of summation alone, so that values closer than `TIE` count against it.
    """
    value, others = float(values[0]), values[1:]
    null = np.where(np.isclose(others, value, rtol=0, atol=TIE), value, others)
    random, same = np.split(null, [compared.random])
    return beyond_others(
        name,
        value,
        random,
        same,
        what=("random pairs of sets", "pairs of circuits between questions of one process"),
        alpha=compared.alpha,
        key=key,
    )


def _disjoint(two: TwoCircuits) -> Gate:
    one, other = (set(circuit.members) for circuit in two.pair)
    return Gate(
        "disjoint sets",
        not one & other,
        f"both circuits hold {len(one & other):,} of the same {two.kind}s: together they cost less "
        "than the sum for that alone",
    )


def _sizes(two: TwoCircuits) -> str:
    one, other = (len(circuit.layer) for circuit in two.pair)
    return (
        f"{one:,} {two.kind}s of retrieval and {other:,} of composing, judged on "
        f"{len(two.relations)} relations they were not found on ({', '.join(two.relations)})"
    )
