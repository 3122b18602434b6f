"""Gates of the circuit findings: conditions without which nothing can be said."""

from collections.abc import Mapping, Sequence

from harness.findings.circuits.selection import selection_prompts
from harness.findings.effects import TaskEffects, measured_effects
from harness.findings.gates import causal_gates
from harness.interventions.interventions import INTACT
from harness.study.study import Study
from harness.verdicts.evidence import Gate

LEAST_ITEMS = 20  # evaluation pairs with a correct answer, to judge an effect
LEAST_DISCOVERY = 10  # discovery pairs with a correct answer, to select a circuit


def selection_gates(study: Study, pairs: int) -> tuple[Gate, ...]:
    """Enough discovery items of each task are answered correctly to select a circuit on."""
    intact = measured_effects(study, selection_prompts(study, pairs), [INTACT])
    return tuple(
        Gate(
            f"{task} items to select on",
            intact[task].n >= LEAST_DISCOVERY,
            f"{intact[task].n} {task} facts of the discovery half are answered right, "
            f"{LEAST_DISCOVERY} are needed: use more items",
        )
        for task in study.prompts.tasks
    )


def circuit_gates(study: Study, pairs: int, gate: float) -> tuple[Gate, ...]:
    """The causal gates and, if they are met, those of selecting a circuit."""
    gates = causal_gates(study, gate)
    return (*gates, *selection_gates(study, pairs)) if all(g.met for g in gates) else gates


def items_gate(task: str, n: int) -> Gate:
    """Enough evaluation items of a task are answered correctly."""
    return Gate(
        f"{task} items",
        n >= LEAST_ITEMS,
        f"{n} {task} items of the evaluation half are answered right, {LEAST_ITEMS} are "
        "needed: use more items",
    )


def items_gates(effects: Mapping[str, TaskEffects], tasks: Sequence[str]) -> tuple[Gate, ...]:
    """The same for several tasks."""
    return tuple(items_gate(task, effects[task].n) for task in tasks)
