"""What the causal claims (h5, h6, h8) share: when nothing can be said, intervals, and notes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness import stats
from harness.causal.circuits import Circuit
from harness.causal.measure import Drops
from harness.causal.selection import CausalRule, component_effects
from harness.findings import competence_gates
from harness.plots import Plot
from harness.study import Study
from harness.verdict import Component, Effect, Evidence, Finding, Gate

LEAST_ITEMS = 20  # right answers on evaluation facts, without which a drop cannot be judged


@dataclass(frozen=True, slots=True)
class Result:
    """A finding and its figures."""

    finding: Finding
    plots: tuple[Plot, ...] = field(default_factory=tuple)


def causal_gates(study: Study, gate: float) -> tuple[Gate, ...]:
    """Answers there must be, and the intact model must give them, on both tasks.

    An answer that is not given cannot be lost: so an untrained model is inconclusive.
    """
    if not study.has_answers:
        reason = f"{study.prompts.name} carries no answers that an ablation could cost"
        return (Gate("answers", False, reason),)
    gates = competence_gates(study, gate, study.prompts.tasks)
    splits = {i.split for i in study.prompts.items}
    return (
        *gates,
        Gate(
            "splits",
            len(splits) == 2,
            f"{study.prompts.name} has {' and '.join(sorted(splits))} items only: circuits are "
            "chosen on discovery items and judged on evaluation items",
        ),
    )


def stopped(gates: Sequence[Gate], effect: str) -> Finding | None:
    """An inconclusive finding if a gate is unmet: nothing further is measured."""
    if all(gate.met for gate in gates):
        return None
    nothing = Evidence(effect, Effect("not measured", float("nan")), threshold=0, relation=">")
    return Finding((nothing,), gates=tuple(gates))


def causal_answers(study: Study, gate: float) -> tuple[Gate, ...]:
    """As `causal_gates`, for a criterion that does not divide the items."""
    return tuple(g for g in causal_gates(study, gate) if g.name != "splits")


def enough(drops: Drops, task: str) -> Gate:
    """Right answers there must be on evaluation facts."""
    return Gate(
        f"{task} items",
        drops.n >= LEAST_ITEMS,
        f"{drops.n} {task} items of the evaluation half are answered right, {LEAST_ITEMS} are "
        "needed: use more items",
    )


def interval(values: np.ndarray, study: Study, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of a mean over items; not-a-number is left out."""
    known = values[~np.isnan(values)]
    found = stats.bootstrap_mean(
        known, resamples=study.plan.resamples, level=level, seed=study.plan.seed
    )
    return float(found.low), float(found.high)


def left_out(drops: Mapping[str, Drops]) -> tuple[str, ...]:
    """Say how many items could not be lost, because the intact model misses them."""
    return tuple(
        f"{d.missed} {task} items are left out: the intact model misses them"
        for task, d in drops.items()
        if d.missed
    )


def circuit_components(
    circuit: Circuit, target: str, study: Study, rule: CausalRule
) -> tuple[Component, ...]:
    """A circuit as the record lists it, each part with its effect on discovery facts."""
    effects = component_effects(study, circuit.kind, rule)[target]
    return tuple(
        Component(circuit.kind, n, i, float(effects[n, i]), None, target) for n, i in circuit.places
    )
