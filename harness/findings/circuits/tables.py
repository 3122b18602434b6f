"""Components and their causal effects, as the record lists them and as tables."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, CircuitKind
from harness.findings.circuits.selection import SelectedCircuit
from harness.verdicts.components import CAUSAL, Components
from harness.verdicts.evidence import Component

LOSS = "loss of logit difference"


def causal_tables(
    kind: CircuitKind,
    effects: Mapping[str, Float[np.ndarray, "layer component"]],
    circuits: Mapping[str, Circuit],
) -> dict[str, Components]:
    """A table a task, named `causal, <task>`: what the loss of each component costs that task.

    Effects are shares of the task's intact logit difference on discovery items. Single components
    are not ablated on evaluation items, so both columns of effects hold the same. `passed` marks
    the components of the task's circuit.
    """
    tables = {}
    for task, effect in effects.items():
        layers, width = effect.shape
        selected = np.zeros((layers, width), dtype=bool)
        for member in circuits[task].members:
            selected[member] = True
        flat, passed = effect.ravel(), selected.ravel()
        tables[f"{CAUSAL}{task}"] = Components(
            kind=kind,
            layer=np.repeat(np.arange(layers), width),
            index=np.tile(np.arange(width), layers),
            metrics=(LOSS,),
            metric=np.zeros(len(flat), dtype=int),
            effect=flat,
            effect_discovery=flat,
            q=np.full(len(flat), np.nan),
            passed=passed,
            type=np.where(passed, task, ""),
            cells_d=flat[:, None],
        )
    return tables


def circuit_components(selected: SelectedCircuit) -> tuple[Component, ...]:
    """The components of a circuit, each with its effect on discovery items."""
    circuit, effects = selected.circuit, selected.effects
    return tuple(
        Component(circuit.kind, n, i, float(effects[n, i]), None, selected.target)
        for n, i in circuit.members
    )
