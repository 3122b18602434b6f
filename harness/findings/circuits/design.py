"""What h8 measures: both circuits ablated alone and together, and random pairs of sets like them.

A row of the design is what is ablated: the first task's circuit, the second task's, or both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.ablated import AblatedCircuits, ablate_circuits
from harness.findings.circuits.circuits import CircuitKind, relocated
from harness.findings.circuits.gates import circuit_gates
from harness.findings.circuits.rules import InteractionRule
from harness.findings.circuits.selection import shape
from harness.findings.requirements import beyond_chance
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import require

RECALL_SET, REASONING_SET, BOTH = 0, 1, 2  # rows
TIE = 1e-9  # shares of the logit difference: closer values are equal


@dataclass(frozen=True)
class Design:
    """Two circuits, ablated alone and together.

    Attributes:
        circuits: Both, ablated on evaluation items.
        rule: The numbers that they are judged by.
        costs: Loss of each pair's logit difference, as a share of the task's mean intact one; nan
            where the intact model misses the item.
        gates: All of them met.
    """

    circuits: AblatedCircuits
    rule: InteractionRule
    costs: Float[np.ndarray, "pair task row"]
    gates: tuple[Gate, ...]

    @property
    def tasks(self) -> tuple[str, str]:
        """The contrast."""
        return self.circuits.tasks

    @property
    def pairs(self) -> list[str]:
        """Pairs with an item of some task that the intact model answers correctly."""
        return pairs_of(self.circuits)

    @property
    def interactions(self) -> Float[np.ndarray, "pair task"]:
        """What both circuits cost together minus the sum of what each costs alone."""
        return interactions_of(self.costs)


def measure_design(study: Study, kind: CircuitKind, rule: InteractionRule, gate: float) -> Design:
    """Select both circuits on discovery items and ablate them on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates = require(*circuit_gates(study, rule.selection.pairs, gate))
    circuits = ablate_circuits(study, kind, rule.selection)
    rows = [*(circuits.row[t, "mean"] for t in circuits.tasks), circuits.both]
    effects, pairs = [circuits.effects[t] for t in circuits.tasks], pairs_of(circuits)
    costs = np.stack([e.aligned(e.costs[rows], pairs) for e in effects], axis=1)
    return Design(circuits, rule, costs, gates)


def measure_random_pairs(design: Design) -> Mapping[str, Float[np.ndarray, "pair row"]]:
    """What random pairs of sets cost each task alone and together, and the circuits' own last.

    As shares of the intact logit difference, all on the same items. Any two sets may cost one task
    more than the other, and less together than the sum of each alone.
    """
    circuits, sets = design.circuits, design.rule.random_pairs
    first, second = (circuits.selected[t].circuit for t in design.tasks)
    _, width = shape(circuits.study, circuits.kind)
    drawn = relocated((first, second), width, sets.count, circuits.study.plan.seed)
    each = [c for one, two in (*drawn, (first, second)) for c in (one, two, one.union(two))]
    effects = circuits.measure(each, design.tasks, sets.pairs)
    return {t: e.cost.reshape(-1, 3) for t, e in effects.items()}


def pairs_of(circuits: AblatedCircuits) -> list[str]:
    """Pairs with an item of some task that the intact model answers correctly."""
    return list(dict.fromkeys(str(p) for t in circuits.tasks for p in circuits.effects[t].pairs))


def interactions_of(costs: Float[np.ndarray, "... row"]) -> Float[np.ndarray, "..."]:
    """What both sets cost together minus the sum of what each costs alone."""
    return np.asarray(costs[..., BOTH] - costs[..., RECALL_SET] - costs[..., REASONING_SET])


def main_effects_of(costs: Float[np.ndarray, "... row"], own: int) -> Float[np.ndarray, "..."]:
    """Of a set: the mean of what it costs alone and what it adds to the other set's cost."""
    return np.asarray((costs[..., own] + costs[..., BOTH] - costs[..., 1 - own]) / 2)


def beyond_random_pairs(
    design: Design, name: str, quantity: str, values: Float[np.ndarray, " pair"]
) -> Evidence:
    """The requirement that the circuits' value, the last, exceed those of random pairs of sets."""
    null, own = _tied(values[:-1], values[-1]), Effect(quantity, float(values[-1]))
    circuits, alpha = design.circuits, design.rule.alpha
    n = min(design.rule.random_pairs.pairs, *(circuits.effects[t].n for t in design.tasks))
    if not len(null):
        nothing = replace(own, method="no other pair of sets matches")
        return Evidence(name, nothing, p_adjusted=1.0, alpha=alpha, floor=1.0, n=n)
    what = f"pairs with as many {circuits.kind}s in every layer"
    family = Family("random pairs of sets", len(null), "rank")
    return beyond_chance(name, own, null, what, alpha=alpha, n=n, family=family)


def _tied(null: Float[np.ndarray, " pair"], value: float) -> Float[np.ndarray, " pair"]:
    """Make draws that equal the value up to rounding equal to it, so that they count against it.

    A random pair may hold one of the judged circuits itself: in a model whose effects add up, its
    value differs by the order of summation alone, which depends on the processor.
    """
    return np.where(np.isclose(null, value, rtol=0, atol=TIE), value, null)
