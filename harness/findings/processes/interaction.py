"""h8 on processes: are the circuits of retrieval and of composing separable, do they interact."""

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.circuit import beyond_most, target_first
from harness.findings.processes.kinds import CELLS
from harness.findings.processes.other_circuits import Compared, beyond_others
from harness.findings.processes.selected import interval_over_relations
from harness.findings.processes.two_circuits import (
    IN_CELLS,
    OWN,
    PROCESSES,
    OtherPairs,
    PairRule,
    TwoCircuits,
    interactions,
    main_effects,
    measure_others,
    measure_two,
)
from harness.findings.twins import left_out, worth_controls
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require

OTHER_PAIRS = "other pairs of sets"
TIE = 1e-9  # shares of the logit difference: closer values are equal


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
    own = [main_effect_on_own(two, at) for at in range(len(PROCESSES))]
    met = worth_controls(study, own)
    compared = _on_own_compared(two) if met else []
    beside = [
        _beyond_others(two, each, f"{PROCESSES[at].name} circuit", f"beyond.{PROCESSES[at].name}")
        for at, each in enumerate(compared)
    ]
    samples = {
        evidence.name: dict(
            zip(two.relations, _own_minus_most(two, two.costs, at).tolist(), strict=True)
        )
        for at, evidence in enumerate(own)
    }
    return Finding(
        (*own, *beside),
        gates=two.gates,
        notes=(_sizes(two), *left_out(OTHER_PAIRS, met=met)),
        samples=samples,
        severity=compared[0].severity if compared else None,
    )


def _on_own_compared(two: TwoCircuits) -> list[Compared]:
    """By process, the main effect on its cell minus the most on another one, of every pair.

    A pair is separable where each of its circuits has more of an effect on its own cell.
    """
    pairs = measure_others(two)
    each = [_own_minus_most(pairs, pairs.costs, at) for at in range(len(PROCESSES))]
    meets = np.logical_and(*(values > two.rule.smallest for values in each))
    return [_compared(pairs, values, meets) for values in each]


def main_effect_on_own(two: TwoCircuits, at: int) -> Evidence:
    """The requirement on the main effect of a circuit: larger on its own cell than on another.

    Args:
        two: Both circuits, ablated.
        at: Which of them, 0 for that of retrieval and 1 for that of composing.
    """
    process, on = PROCESSES[at], main_effects(two.costs.mean(0), at)
    each = ", ".join(f"{cell} {effect:.2f}" for cell, effect in zip(CELLS, on, strict=True))

    def minus_most(weights: Float[np.ndarray, " relation"]) -> float:
        return float(_own_minus_most(two, np.tensordot(weights, two.costs, 1), at))

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

    Two sets that serve every cell may do so too: each must first cost its own process more. And
    two losses that add up to more than there is to lose say nothing of an interaction below 0.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        rule: When they interact.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    two = measure_two(study, kind, rule, gate=gate)
    gates = require(*two.gates, _disjoint(two), *_own_processes(two))
    values = interactions(two.costs)[:, IN_CELLS]
    at = int(np.abs(values.mean(0)).argmax())
    gates += require(_room(two, at, below=values[:, at].mean() < 0))
    signed = np.sign(values[:, at].mean()) * values[:, at]
    largest = _largest(two, values, at, signed)
    met = worth_controls(study, [largest])
    compared = _most_compared(two) if met else None
    name = f"interaction on {OWN[at]}"
    beside = (_beyond_others(two, compared, name, "beyond"),) if compared else ()
    return Finding(
        (largest, *beside),
        gates=gates,
        notes=(_sizes(two), *left_out(OTHER_PAIRS, met=met)),
        samples={largest.name: dict(zip(two.relations, signed.tolist(), strict=True))},
        severity=compared.severity if compared else None,
    )


def _most_compared(two: TwoCircuits) -> Compared:
    """The larger interaction of every pair on the two cells: the judged one was chosen so too."""
    pairs = measure_others(two)
    most = np.asarray(np.abs(interactions(pairs.costs)[:, IN_CELLS]).max(1))
    return _compared(pairs, most, most > two.rule.smallest)


def _own_minus_most(
    of: TwoCircuits | OtherPairs, costs: Float[np.ndarray, "*any cell three"], at: int
) -> Float[np.ndarray, "*any"]:
    """The main effect of a circuit on its own cell beyond the largest on another one."""
    effects = dict(zip(CELLS, np.moveaxis(main_effects(costs, at), -1, 0), strict=True))
    cells = target_first(OWN[at])
    return beyond_most([effects[cell] for cell in cells], [of.heights[cell] for cell in cells])


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
        # In another run another cell or sign may be the larger one: that is another effect.
        key=f"largest.{OWN[at]}.{'above' if values[:, at].mean() > 0 else 'below'}",
    )


def _compared(
    pairs: OtherPairs, values: Float[np.ndarray, " pair"], meets: Bool[np.ndarray, " pair"]
) -> Compared:
    """A number of every pair, and which of them the claim's bars let pass.

    A random pair may hold one of the judged circuits: in a model whose effects add up its value
    differs by the order of summation alone, so that values closer than `TIE` count against it.
    """
    tied = np.isclose(values, values[0], rtol=0, atol=TIE)
    return Compared.of(np.where(tied, values[0], values), meets, pairs.random)


def _beyond_others(two: TwoCircuits, compared: Compared, name: str, key: str) -> Evidence:
    return beyond_others(
        f"{name}, against {OTHER_PAIRS}",
        compared,
        what=("random pairs of sets", "pairs of circuits between questions of one process"),
        alpha=two.rule.search.alpha,
        key=key,
    )


def _own_processes(two: TwoCircuits) -> list[Gate]:
    """That each circuit serves its own process more, as is required where they are separable."""
    own = [main_effect_on_own(two, at) for at in range(len(PROCESSES))]
    return [
        Gate(
            f"circuit of {process.name}",
            evidence.passed,
            ("" if evidence.passed else f"no circuit of {process.name} to interact with: ")
            + evidence.explain(),
        )
        for process, evidence in zip(PROCESSES, own, strict=True)
    ]


def _room(two: TwoCircuits, at: int, *, below: bool) -> Gate:
    """That both can cost their sum: who loses all there is to lose twice loses it once."""
    one, other, _ = two.costs[:, IN_CELLS[at]].mean(0)
    return Gate.of(
        "room for both losses",
        not below or one + other <= 1,
        f"{OWN[at]} loses {one:.2f} of its logit difference without one circuit and {other:.2f} "
        "without the other one",
        unmet=", more than all of it: together they must cost less than the sum",
    )


def _disjoint(two: TwoCircuits) -> Gate:
    one, other = (set(circuit.members) for circuit in two.pair)
    return Gate.of(
        "disjoint sets",
        not one & other,
        unmet=f"both circuits hold {len(one & other):,} of the same {two.kind}s: together they "
        "cost less than the sum for that alone",
    )


def _sizes(two: TwoCircuits) -> str:
    one, other = (len(circuit.layer) for circuit in two.pair)
    return (
        f"{one:,} {two.kind}s of retrieval and {other:,} of composing, judged on "
        f"{len(two.relations)} relations they were not found on ({', '.join(two.relations)})"
    )
