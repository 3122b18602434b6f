"""What the causal claims (h5, h6, h8) share: when nothing can be said, intervals, and notes."""

from collections.abc import Mapping

from harness.findings.circuits.selection import CausalRule, Chosen, discovery_prompts
from harness.findings.effects import TaskEffects, measured_effects
from harness.findings.gates import causal_gates
from harness.interventions.interventions import INTACT
from harness.study.study import Study
from harness.verdicts.evidence import Component, Gate

LEAST_ITEMS = 20  # facts answered right on evaluation items, without which no drop can be judged
LEAST_DISCOVERY = 10  # the same on discovery items, without which no circuit can be chosen


def selection_gates(study: Study, rule: CausalRule) -> tuple[Gate, ...]:
    """Right answers there must be on discovery facts: from fewer, a circuit is chosen blindly."""
    prompts = discovery_prompts(study, rule)
    intact = measured_effects(study, prompts, [INTACT])
    return tuple(
        Gate(
            f"{task} items to choose on",
            intact[task].n >= LEAST_DISCOVERY,
            f"{intact[task].n} {task} facts of the discovery half are answered right, "
            f"{LEAST_DISCOVERY} are needed: use more items",
        )
        for task in study.prompts.tasks
    )


def circuit_gates(study: Study, rule: CausalRule, gate: float) -> tuple[Gate, ...]:
    """Those of every causal claim, and where they are met those of choosing a circuit."""
    gates = causal_gates(study, gate)
    return (*gates, *selection_gates(study, rule)) if all(g.met for g in gates) else gates


def enough(n: int, task: str) -> Gate:
    """Facts that must be answered right on evaluation items."""
    return Gate(
        f"{task} items",
        n >= LEAST_ITEMS,
        f"{n} {task} items of the evaluation half are answered right, {LEAST_ITEMS} are "
        "needed: use more items",
    )


def left_out(drops: Mapping[str, TaskEffects]) -> tuple[str, ...]:
    """Say how many items could not be lost: the intact model misses them, or none can tell."""
    reasons = {
        "missed": "the intact model misses them",
        "unscored": "no distractor differs from the answer in its first token",
    }
    return tuple(
        f"{getattr(d, count)} {task} items are left out: {reason}"
        for count, reason in reasons.items()
        for task, d in drops.items()
        if getattr(d, count)
    )


def circuit_components(chosen: Chosen) -> tuple[Component, ...]:
    """A circuit as the record lists it, each part with its effect on discovery facts."""
    circuit, effects = chosen.circuit, chosen.effects
    return tuple(
        Component(circuit.kind, n, i, float(effects[n, i]), None, chosen.target)
        for n, i in circuit.places
    )
