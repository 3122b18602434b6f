"""h8 on processes: the circuits of retrieval and of composing, ablated alone and together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import Circuit, CircuitKind, relocated
from harness.findings.processes.circuit import (
    CircuitRule,
    Search,
    ablate,
    beyond_others,
    rows_of_cells,
    same_process_rows,
    searched,
)
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.materials.items import PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require

PROCESSES = (RETRIEVAL, COMPOSING)
OWN = tuple(process.cells[0] for process in PROCESSES)  # the cell of each process
BOTH = 2  # column of both circuits; those of each alone are 0 and 1
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
        costs: Share of the cell's logit difference; the cells are recall and reasoning.
        compared: The same on fewer stories, mean over relations; the circuits first, then random
            pairs of sets, then pairs of circuits between questions of one process.
        random: How many of these are random.
    """

    study: Study
    kind: CircuitKind
    rule: PairRule
    gates: tuple[Gate, ...]
    pair: Pair
    relations: tuple[str, ...]
    costs: Float[np.ndarray, "relation cell three"]
    compared: Float[np.ndarray, "pair cell three"]
    random: int


def measure_two(study: Study, kind: CircuitKind, rule: PairRule, *, gate: float) -> TwoCircuits:
    """Find both circuits on some relations and ablate them on the others.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates, parts, search = searched(study, kind, rule.search, gate)
    found = [search.circuit(rows_of_cells(parts.selection, cell)) for cell in OWN]
    pair = (found[0].circuit, found[1].circuit)
    random = relocated(pair, search.width, rule.search.draws, study.plan.seed)
    pairs = [pair, *random, *_between_questions(search, pair, study.plan.seed)]
    relations, costs = _costs(study, parts.judging, [pair], parts.selection)
    _, compared = _costs(study, parts.compared, pairs, parts.selection)
    means = np.nanmean(compared, axis=0)
    return TwoCircuits(study, kind, rule, gates, pair, relations, costs[:, 0], means, len(random))


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


def _costs(
    study: Study, prompts: PromptSet, pairs: Sequence[Pair], means_over: PromptSet
) -> tuple[tuple[str, ...], Float[np.ndarray, "relation pair cell three"]]:
    circuits = [c for one, two in pairs for c in (one, two, one.union(two))]
    ablated = ablate(study, prompts, circuits, means_over=means_over)
    by_cell = [ablated.costs[cell].reshape(len(ablated.relations), len(pairs), 3) for cell in OWN]
    return ablated.relations, np.stack(by_cell, axis=2)


def main_effects(costs: Float[np.ndarray, "*any three"], own: int) -> Float[np.ndarray, "*any"]:
    """Of a circuit: the mean of what it costs alone and what it adds to the other one's cost."""
    return np.asarray((costs[..., own] + costs[..., BOTH] - costs[..., 1 - own]) / 2)


def interactions(costs: Float[np.ndarray, "*any three"]) -> Float[np.ndarray, "*any"]:
    """What both circuits cost together minus the sum of what each costs alone."""
    return np.asarray(costs[..., BOTH] - costs[..., 0] - costs[..., 1])


def separable_finding(study: Study, kind: CircuitKind, rule: PairRule, *, gate: float) -> Finding:
    """Whether each circuit's main effect is larger on its own process than on the other's.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        rule: When they are separable.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    two = measure_two(study, kind, rule, gate=gate)
    effects = [_own_minus_other(two.costs, own) for own in (0, 1)]
    evidence = []
    for own, process in enumerate(PROCESSES):
        values = effects[own]
        estimate = stats.bootstrap_mean(
            values, resamples=study.plan.resamples, seed=study.plan.seed
        )
        on = np.nanmean(main_effects(two.costs, own), axis=0)
        evidence += [
            Evidence(
                f"{process.name} circuit, main effect on {OWN[own]} minus on {OWN[1 - own]}",
                Effect(
                    "share of the logit difference",
                    float(np.mean(values)),
                    (float(estimate.low), float(estimate.high)),
                    method=f"{OWN[0]} {on[0]:.2f}, {OWN[1]} {on[1]:.2f}; bootstrap of relations",
                ),
                threshold=rule.smallest,
                relation=">",
                n=len(values),
                key=f"own.{process.name}",
            ),
            _beyond_others(
                two,
                f"{process.name} circuit, against other pairs of sets",
                _own_minus_other(two.compared, own),
                key=f"beyond.{process.name}",
            ),
        ]
    samples = {
        evidence[2 * own].name: dict(zip(two.relations, effects[own].tolist(), strict=True))
        for own in (0, 1)
    }
    return Finding(tuple(evidence), gates=two.gates, notes=(_sizes(two),), samples=samples)


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
    values = interactions(two.costs)
    at = int(np.abs(values.mean(0)).argmax())
    signed = np.sign(values[:, at].mean()) * values[:, at]
    largest = _largest(two, values, at, signed)
    beyond = _beyond_others(
        two,
        f"interaction on {OWN[at]}, against other pairs of sets",
        np.abs(interactions(two.compared)[:, at]),
        key="beyond",
    )
    return Finding(
        (largest, beyond),
        gates=gates,
        notes=(_sizes(two),),
        samples={largest.name: dict(zip(two.relations, signed.tolist(), strict=True))},
    )


def _own_minus_other(
    costs: Float[np.ndarray, "row cell three"], own: int
) -> Float[np.ndarray, " row"]:
    effects = main_effects(costs, own)
    return np.asarray(effects[:, own] - effects[:, 1 - own])


def _largest(
    two: TwoCircuits,
    values: Float[np.ndarray, "relation cell"],
    at: int,
    signed: Float[np.ndarray, " relation"],
) -> Evidence:
    """The larger of the interactions on the two cells, with a p corrected for the choice.

    Args:
        two: The circuits.
        values: Interactions.
        at: The cell on which the mean is larger.
        signed: Those on it, with the sign that makes their mean positive.
    """
    plan = two.study.plan
    test = stats.sign_flip_max(values, permutations=plan.permutations, seed=plan.seed)
    estimate = stats.bootstrap_mean(signed, resamples=plan.resamples, seed=plan.seed)
    alone, other, both = np.nanmean(two.costs[:, at], axis=0)
    return Evidence(
        f"largest interaction, {OWN[at]}",
        Effect(
            "|share of the logit difference|",
            float(signed.mean()),
            (float(estimate.low), float(estimate.high)),
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
    two: TwoCircuits, name: str, values: Float[np.ndarray, " pair"], *, key: str
) -> Evidence:
    """Beyond random pairs and pairs between questions of one process, by rank.

    A random pair may hold one of the judged circuits: in a model whose effects add up its value
    differs by the order of summation alone, so that values closer than `TIE` count against it.
    """
    value, others = float(values[0]), values[1:]
    null = np.where(np.isclose(others, value, rtol=0, atol=TIE), value, others)
    random, same = np.split(null, [two.random])
    return beyond_others(
        name,
        value,
        random,
        same,
        what=("random pairs of sets", "pairs of circuits between questions of one process"),
        alpha=two.rule.search.alpha,
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
