"""Every component's causal effect as a table for components.parquet."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, Kind
from harness.verdicts.components import Components

LOSS = "loss of logit difference"


def causal_tables(
    kind: Kind,
    effects: Mapping[str, Float[np.ndarray, "layer component"]],
    circuits: Mapping[str, Circuit],
) -> dict[str, Components]:
    """A table a task, named `causal, <task>`: what the loss of each component costs that task.

    Effects are shares of the task's intact logit difference, on discovery facts; they are on
    evaluation facts for no component alone, so that column holds the same. `passed` are the
    components of the task's circuit.
    """
    tables = {}
    for task, effect in effects.items():
        layers, width = effect.shape
        chosen = np.zeros((layers, width), dtype=bool)
        for place in circuits[task].places:
            chosen[place] = True
        flat, passed = effect.ravel(), chosen.ravel()
        tables[f"causal, {task}"] = Components(
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
