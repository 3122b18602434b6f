"""Both tasks on evaluation items without each task's circuit, and without random sets like it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, CircuitKind, Matched, matched_sets
from harness.findings.circuits.rules import RandomSets, Selection
from harness.findings.circuits.selection import (
    SelectedCircuit,
    rank_by_specialisation,
    select_circuits,
    selection_prompts,
    shape,
)
from harness.findings.effects import TaskEffects, measured_effects, part
from harness.interventions.donors import have_donors
from harness.interventions.interventions import ABLATIONS, MEAN, RESAMPLE, Intervention
from harness.materials.items import EVALUATION
from harness.study.study import Study


@dataclass(frozen=True)
class AblatedCircuits:
    """What both tasks lose without each task's circuit.

    Attributes:
        selection: How the circuits were selected.
        selected: Each task's circuit.
        effects: On each task; the rows are named by `row`.
        row: By task whose circuit it is, and dose, method or `specialised`.
        both: Row of the two circuits together.
    """

    study: Study
    kind: CircuitKind
    selection: Selection
    selected: Mapping[str, SelectedCircuit]
    effects: Mapping[str, TaskEffects]
    row: Mapping[tuple[str, int | str], int] = field(repr=False)
    both: int

    @property
    def tasks(self) -> tuple[str, str]:
        """The contrast."""
        return self.study.prompts.tasks

    def at(self, task: str, how: int | str = MEAN.name) -> int | None:
        """Row of a circuit's ablation; None if it was not made (no other answer to resample)."""
        return self.row.get((task, how))

    def doses(self, task: str) -> list[int]:
        """Rows of a circuit's doses, rising."""
        return [self.row[task, size] for size in self.selected[task].doses]

    def measure(
        self, circuits: Sequence[Circuit], tasks: Sequence[str], limit: int | None = None
    ) -> dict[str, TaskEffects]:
        """Effects of mean-ablating each circuit on evaluation items.

        Args:
            circuits: Each is ablated alone.
            tasks: Whose items.
            limit: So many of each task's pairs that the intact model answers correctly, at most.
                Pairs that it answers correctly in all of these tasks come first, so that the tasks
                share their pairs.
        """
        prompts = part(self.study.prompts, EVALUATION, tasks)
        if limit is not None:
            correct = {t: [str(pair) for pair in self.effects[t].pairs] for t in tasks}
            shared = set.intersection(*map(set, correct.values()))
            kept = {
                (t, pair)
                for t, pairs in correct.items()
                for pair in sorted(pairs, key=lambda pair: pair not in shared)[:limit]
            }
            prompts = prompts.where(lambda i: (i.task, i.pair) in kept)
        each = [Intervention(c.sites, MEAN) for c in circuits]
        means_over = selection_prompts(self.study, self.selection.pairs)
        return measured_effects(self.study, prompts, each, means_over)

    def matched(self, task: str, size: int, draws: int, alpha: float) -> Matched:
        """Random sets for a dose of a circuit."""
        circuit = self.selected[task].ranking.top(size)
        least = min(draws, round(1 / alpha) - 1)  # fewer cannot reach alpha
        layers, width = shape(self.study, self.kind)
        return matched_sets(circuit, layers, width, draws, least, self.study.plan.seed)


def ablate_circuits(study: Study, kind: CircuitKind, selection: Selection) -> AblatedCircuits:
    """Select both circuits and ablate them, in one sweep over the evaluation items."""
    selected = select_circuits(study, kind, selection)
    prompts = part(study.prompts, EVALUATION, study.prompts.tasks)
    each: dict[tuple[str, int | str], Intervention] = {}
    for task, circuit in selected.items():
        for size in circuit.doses:
            each[task, size] = Intervention(circuit.ranking.top(size).sites, MEAN)
        for method in ABLATIONS:
            if method != MEAN and (method != RESAMPLE or have_donors(prompts.items)):
                each[task, method.name] = Intervention(circuit.circuit.sites, method)
        specialised = rank_by_specialisation(study, kind, task)
        if specialised is not None:
            each[task, "specialised"] = Intervention(specialised.top(circuit.size).sites, MEAN)
    first, second = (c.circuit for c in selected.values())
    every = [*each.values(), Intervention(first.union(second).sites, MEAN)]
    means_over = selection_prompts(study, selection.pairs)
    effects = measured_effects(study, prompts, every, means_over)
    row = {name: i for i, name in enumerate(each)}
    # The selected size under mean ablation is one of the doses.
    row |= {(task, MEAN.name): row[task, c.size] for task, c in selected.items()}
    return AblatedCircuits(study, kind, selection, selected, effects, row, both=len(each))


def ablate_random_sets(
    circuits: AblatedCircuits, target: str, count: int, pairs: int, alpha: float
) -> tuple[dict[str, TaskEffects], Matched]:
    """Both tasks without random sets that match a task's circuit, and last without the circuit."""
    selected = circuits.selected[target]
    matched = circuits.matched(target, selected.size, count, alpha)
    every = (*matched.circuits, selected.circuit)
    return circuits.measure(every, circuits.tasks, pairs), matched


def random_losses_of_other_sizes(
    circuits: AblatedCircuits, target: str, sets: RandomSets, alpha: float
) -> dict[int, Float[np.ndarray, " set"]]:
    """Share of the target lost without random sets of every dose that was not selected."""
    losses = {}
    for size in circuits.selected[target].doses:
        if size != circuits.selected[target].size:
            drawn = circuits.matched(target, size, sets.count, alpha).circuits
            losses[size] = (
                circuits.measure(drawn, (target,), sets.pairs)[target].share_lost
                if drawn
                else np.array([np.nan])  # the circuit is the only set of this size
            )
    return losses
