"""The arms of a causal claim on evaluation facts: each task's circuit, taken away in every way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, Kind, Matched, matched_sets
from harness.findings.circuits.selection import (
    CausalRule,
    Chosen,
    choose,
    discovery_prompts,
    rank_by_specialisation,
    shape,
)
from harness.findings.effects import TaskEffects, measured_effects, part
from harness.interventions.donors import have_donors
from harness.interventions.interventions import ABLATIONS, MEAN, RESAMPLE, Intervention
from harness.materials.items import EVALUATION
from harness.study.study import Study


@dataclass(frozen=True)
class Arms:
    """What both tasks lose without each task's circuit.

    Attributes:
        chosen: Each task's circuit, chosen on discovery facts.
        drops: Of each task; their rows are named by `row`.
        row: By task whose circuit it is, and dose or method or `specialised`.
        both: Row of the two circuits together.
    """

    study: Study
    kind: Kind
    rule: CausalRule
    chosen: Mapping[str, Chosen]
    drops: Mapping[str, TaskEffects]
    row: Mapping[tuple[str, int | str], int] = field(repr=False)
    both: int

    @property
    def tasks(self) -> tuple[str, str]:
        """The contrast."""
        return self.study.prompts.tasks

    def at(self, task: str, how: int | str = "mean") -> int | None:
        """Row of a circuit's ablation, None if it was not made (no other answer to resample)."""
        return self.row.get((task, how))

    def doses(self, task: str) -> list[int]:
        """Rows of a circuit's doses, rising."""
        return [self.row[task, size] for size in self.chosen[task].doses]

    def measure(
        self, circuits: Sequence[Circuit], tasks: Sequence[str], limit: int | None = None
    ) -> dict[str, TaskEffects]:
        """Effects on evaluation items under each mean ablation.

        Args:
            circuits: Each is ablated alone.
            tasks: Whose items.
            limit: Of each task's pairs, so many that the intact model answers right. Those that
                it answers right in all of these tasks come first, so that tasks share their pairs.
        """
        prompts = part(self.study.prompts, EVALUATION, tasks)
        if limit is not None:
            right = {t: [str(pair) for pair in self.drops[t].pairs] for t in tasks}
            shared = set.intersection(*map(set, right.values()))
            kept = {
                (t, pair)
                for t, pairs in right.items()
                for pair in sorted(pairs, key=lambda pair: pair not in shared)[:limit]
            }
            prompts = prompts.where(lambda i: (i.task, i.pair) in kept)
        each = [Intervention(c.sites, MEAN) for c in circuits]
        return measured_effects(self.study, prompts, each, discovery_prompts(self.study, self.rule))

    def matched(self, task: str, size: int, draws: int) -> Matched:
        """Random sets for a dose of a circuit."""
        circuit = self.chosen[task].ranking.top(size)
        least = min(draws, round(1 / self.rule.alpha) - 1)  # fewer cannot reach alpha
        layers, width = shape(self.study, self.kind)
        return matched_sets(circuit, layers, width, draws, least, self.study.plan.seed)


def arms(study: Study, kind: Kind, rule: CausalRule) -> Arms:
    """Choose both circuits and ablate them, in one sweep over the evaluation facts."""
    chosen = choose(study, kind, rule)
    prompts = part(study.prompts, EVALUATION, study.prompts.tasks)
    each: dict[tuple[str, int | str], Intervention] = {}
    for task, c in chosen.items():
        for size in c.doses:
            each[task, size] = Intervention(c.ranking.top(size).sites, MEAN)
        for method in ABLATIONS:
            if method != MEAN and (method != RESAMPLE or have_donors(prompts.items)):
                each[task, method.name] = Intervention(c.circuit.sites, method)
        beside = rank_by_specialisation(study, kind, task)
        if beside is not None:
            each[task, "specialised"] = Intervention(beside.top(c.size).sites, MEAN)
    first, second = (c.circuit for c in chosen.values())
    every = [*each.values(), Intervention(first.union(second).sites, MEAN)]
    drops = measured_effects(study, prompts, every, discovery_prompts(study, rule))
    row = {name: i for i, name in enumerate(each)}
    # The chosen size under mean ablation is one of the doses.
    row |= {(task, "mean"): row[task, c.size] for task, c in chosen.items()}
    return Arms(study, kind, rule, chosen, drops, row, both=len(each))


def chance(arms: Arms, target: str, items: int) -> tuple[dict[str, TaskEffects], Matched]:
    """Both tasks under random sets that match a task's circuit, and last under the circuit."""
    matched = arms.matched(target, arms.chosen[target].size, arms.rule.sets)
    every = (*matched.circuits, arms.chosen[target].circuit)
    return arms.measure(every, arms.tasks, items), matched


def bands(arms: Arms, target: str) -> dict[int, Float[np.ndarray, " set"]]:
    """Share of the target lost under random sets of every dose that was not chosen."""
    found = {}
    for size in arms.chosen[target].doses:
        if size != arms.chosen[target].size:
            sets = arms.matched(target, size, arms.rule.band_sets).circuits
            found[size] = (
                arms.measure(sets, (target,), arms.rule.band_items)[target].share_lost
                if sets
                else np.array([np.nan])  # the only set of this size is the circuit
            )
    return found
