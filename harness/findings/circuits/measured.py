"""What the first finding of h5 measures: a circuit, and random sets like it, ablated."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.ablated import (
    AblatedCircuits,
    ablate_circuits,
    ablate_random_sets,
    random_losses_of_other_sizes,
)
from harness.findings.circuits.circuits import CircuitKind, Matched
from harness.findings.circuits.gates import circuit_gates, items_gates
from harness.findings.circuits.rules import DissociationRule
from harness.findings.circuits.selection import SelectedCircuit, other_task
from harness.findings.effects import TaskEffects
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require


@dataclass(frozen=True)
class SpecificCircuit:
    """A task's circuit ablated on evaluation items.

    Attributes:
        circuits: Both tasks' circuits, ablated.
        target: The task whose circuit is judged.
        rule: The numbers it is judged by.
        gates: All of them met.
    """

    circuits: AblatedCircuits
    target: str
    rule: DissociationRule
    gates: tuple[Gate, ...]

    @property
    def other(self) -> str:
        """The task that must be spared."""
        return other_task(self.circuits.study, self.target)

    @property
    def selected(self) -> SelectedCircuit:
        """The circuit that is judged."""
        return self.circuits.selected[self.target]

    @property
    def row(self) -> int:
        """Row of the circuit's mean ablation."""
        return self.circuits.row[self.target, "mean"]

    @property
    def of_target(self) -> TaskEffects:
        """On the task that must be lost."""
        return self.circuits.effects[self.target]

    @property
    def of_other(self) -> TaskEffects:
        """On the task that must be spared."""
        return self.circuits.effects[self.other]

    @property
    def lost_by_both(self) -> tuple[list[str], Float[np.ndarray, "pair task"]]:
        """Share of answers that each pair loses of the target and of the other task."""
        both = [self.of_target, self.of_other]
        pairs = np.unique(np.concatenate([e.pairs for e in both])).tolist()
        cells = np.concatenate([e.aligned(e.lost[[self.row]], pairs) for e in both], axis=1)
        return pairs, cells


@dataclass(frozen=True)
class AgainstRandomSets:
    """The circuit among random sets that match it.

    Attributes:
        lost: Share of each task's answers that is lost without each set, last without the circuit;
            rounded, so that equal losses are equal.
        n: Pairs of the target that it was measured on.
        matched: The sets.
        by_size: Share of the target lost without random sets of every dose, not rounded.
        gates: All of them met.
    """

    lost: Mapping[str, Float[np.ndarray, " set"]]
    n: int
    matched: Matched
    by_size: Mapping[int, Float[np.ndarray, " set"]]
    gates: tuple[Gate, ...]


def measure_specific(
    study: Study, kind: CircuitKind, target: str, rule: DissociationRule, gate: float
) -> SpecificCircuit:
    """Select both circuits on discovery items and ablate them on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates = require(*circuit_gates(study, rule.selection.pairs, gate))
    circuits = ablate_circuits(study, kind, rule.selection)
    tasks = (target, other_task(study, target))
    gates = require(*gates, *items_gates(circuits.effects, tasks))
    return SpecificCircuit(circuits, target, rule, gates)


def measure_random_sets(measured: SpecificCircuit, pairs: int) -> AgainstRandomSets:
    """Ablate random sets that match the circuit, on so many evaluation pairs of each task.

    Raises:
        Inconclusive: If there is no other set, or no pair.
    """
    circuits, target, rule = measured.circuits, measured.target, measured.rule
    count = rule.random_sets.count
    effects, matched = ablate_random_sets(circuits, target, count, pairs, rule.alpha)
    gates = require(*measured.gates, _sets_gate(measured, matched, effects))
    own = {measured.selected.size: effects[target].share_lost[:-1]}
    others = random_losses_of_other_sizes(circuits, target, rule.other_sizes, rule.alpha)
    return AgainstRandomSets(
        lost={task: e.share_lost.round(9) for task, e in effects.items()},
        n=effects[target].n,
        matched=matched,
        by_size=own | others,
        gates=gates,
    )


def _sets_gate(
    measured: SpecificCircuit, matched: Matched, effects: Mapping[str, TaskEffects]
) -> Gate:
    number, fewest = len(matched.circuits), min(e.n for e in effects.values())
    return Gate(
        "random sets",
        number > 0 and fewest > 0,
        f"{number} other sets of {measured.selected.size} {measured.circuits.kind}s on {fewest} "
        "items of a task that are answered right: there is nothing to compare with",
    )
