"""The published statements of h5 and h6, on the prompts that they were found on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.activations.extracted import Activations
from harness.findings.circuits.circuits import Circuit, CircuitKind, Matched, matched_sets, shape
from harness.findings.effects import TaskEffects, measured_effects
from harness.findings.gates import causal_answers
from harness.findings.requirements import interval
from harness.findings.specialisation.cells import published_cells
from harness.findings.specialisation.rules import PublishedRule
from harness.findings.twins import TwinResult, on_twins, twin_controls
from harness.interventions.interventions import ZERO, Intervention
from harness.study.study import Study
from harness.verdicts.components import Components
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

SETS = 20  # random sets, which are shown


@dataclass(frozen=True)
class Zeroed:
    """Both tasks while the components specialised in one are zeroed.

    Attributes:
        circuits: By task, the components specialised in it.
        components: Of the model, of this kind.
        effects: By task; row `row(task)` is its circuit.
        sets: By task, random sets like its circuit.
        random: Share of the task's answers that is lost without each of them.
        gates: All of them met.
    """

    study: Study
    kind: CircuitKind
    circuits: Mapping[str, Circuit]
    components: int
    effects: Mapping[str, TaskEffects]
    sets: Mapping[str, Matched]
    random: Mapping[str, np.ndarray]
    gates: tuple[Gate, ...]

    def row(self, task: str) -> int:
        """Row of a task's circuit."""
        return self.study.prompts.tasks.index(task)


def published_drop_finding(
    study: Study, kind: CircuitKind, rule: PublishedRule, *, unchanged: float, gate: float
) -> Finding:
    """Zero what is specialised in a task: that task falls, and the other stays as it is."""
    zeroed = _measure(study, kind, rule, gate)
    tasks = study.prompts.tasks
    about = [(of, task) for task in tasks for of in sorted(tasks, key=lambda of: of != task)]
    return Finding(
        evidence=tuple(_lost(zeroed, of, task, unchanged) for of, task in about),
        controls=tuple(c for task in tasks for c in _random_control(zeroed, task)),
        gates=zeroed.gates,
        notes=left_out(zeroed.effects),
    )


def _measure(study: Study, kind: CircuitKind, rule: PublishedRule, gate: float) -> Zeroed:
    """Zero each task's specialised components, and random sets like them.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates, tasks = require(*causal_answers(study, gate)), study.prompts.tasks
    table = rule(published_cells(kind, study.activations), study.prompts)
    circuits = {t: _of_type(table, t, kind) for t in tasks}
    gates = require(*gates, *(_circuit_gate(t, circuits[t]) for t in tasks))
    layers, width = shape(study, kind)
    sets = {t: matched_sets(circuits[t], layers, width, SETS, 1, study.plan.seed) for t in tasks}
    every = [circuits[t] for t in tasks] + [c for t in tasks for c in sets[t].circuits]
    each = [Intervention(c.sites, ZERO) for c in every]
    effects = measured_effects(study, study.prompts, each)
    gates = require(*gates, *(_items_gate(t, effects[t].n) for t in tasks))
    ends = np.cumsum([len(tasks), *(len(sets[t].circuits) for t in tasks)])
    random = {
        t: effects[t].share_lost[start:end]
        for t, start, end in zip(tasks, ends, ends[1:], strict=False)
    }
    return Zeroed(study, kind, circuits, len(table), effects, sets, random, gates)


def _of_type(table: Components, task: str, kind: CircuitKind) -> Circuit:
    at = np.flatnonzero(table.passed & (table.type == task))
    return Circuit(kind, table.layer[at], table.index[at])


def _circuit_gate(task: str, circuit: Circuit) -> Gate:
    unmet = f"no {circuit.kind} is specialised in {task} by the published rule: nothing to ablate"
    return Gate.of(f"{task} circuit", len(circuit) > 0, unmet=unmet)


def _items_gate(task: str, n: int) -> Gate:
    return Gate(f"{task} items", n > 1, f"{n} {task} items are answered right, 2 are needed")


def _lost(zeroed: Zeroed, about: str, task: str, unchanged: float) -> Evidence:
    """Accuracy of a task without a task's components: lost if it is the same, else unchanged."""
    effects, row, own = zeroed.effects[about], zeroed.row(task), about == task
    return Evidence(
        f"{about} without the {task} {zeroed.kind}s",
        Effect(
            "accuracy drop",
            float(effects.share_lost[row]),
            interval(effects.lost[row], zeroed.study),
            method=f"{len(zeroed.circuits[task]):,} of {zeroed.components:,} {zeroed.kind}s "
            "zeroed; of answers that were right",
        ),
        threshold=0 if own else unchanged,
        relation=">" if own else "<=",
        decided_by="estimate",
        n=effects.n,
        published=("up to 15 %" if own else "intact") + " (abstract)",
    )


def _random_control(zeroed: Zeroed, task: str) -> tuple[Control, ...]:
    """What zeroing random sets costs the task, shown; none if there is no other set."""
    lost = zeroed.random[task]
    if not len(lost):
        return ()
    return (
        Control(
            f"{task} without random {zeroed.kind}s, mean of {len(lost)} sets",
            float(lost.mean()),
            None,
            (float(lost.min()), float(lost.max())),
            f"as many, matched by {zeroed.sets[task].match}; range of the sets",
        ),
    )


def published_depth_finding(study: Study, rule: PublishedRule, *, published: str) -> Finding:
    """The order of the layers that the published rule calls specialised."""
    first, second = study.prompts.tasks
    table = rule(published_cells("layer", study.activations), study.prompts)
    counts = {t: table.count_of(t) for t in (first, second)}
    found = f"{counts[first]} {first}"
    effect = Effect(
        "layers",
        observed_order(table, study.prompts.tasks),
        method=f"{found}, {counts[second]} {second} layers",
    )
    evidence = Evidence(
        f"mean layer of {second} minus mean layer of {first}",
        effect,
        threshold=0,
        relation=">",
        decided_by="estimate",
        n=len(study.prompts),
        published=published,
    )
    both = Gate.of(
        "both types",
        all(counts.values()),
        f"the published rule finds {found} and {counts[second]} {second} layers",
        unmet=": there is no order to compare",
    )
    return Finding((evidence,), _order_in_twins(study, rule), (both,))


def _order_in_twins(study: Study, rule: PublishedRule) -> tuple[Control, ...]:
    def order(activations: Activations) -> TwinResult:
        table = rule(published_cells("layer", activations), study.prompts)
        value = observed_order(table, study.prompts.tasks)
        return TwinResult(value, "layers; undefined if one type is missing")

    return twin_controls(on_twins(study, order), meets=None)


def observed_order(table: Components, tasks: Sequence[str]) -> float:
    """Mean layer of the second task's type minus the first's; nan if a type has no layer."""
    of = [table.layer[table.passed & (table.type == t)] for t in tasks]
    if not all(map(len, of)):
        return float("nan")
    return float(of[1].mean() - of[0].mean())


def left_out(effects: Mapping[str, TaskEffects]) -> tuple[str, ...]:
    """Notes on the items that have no part in the effects, and why."""
    missed = "the intact model misses them"
    unscored = "no distractor differs from the answer in its first token"
    counts = [(task, e.missed, missed) for task, e in effects.items()]
    counts += [(task, e.unscored, unscored) for task, e in effects.items()]
    return tuple(
        f"{count} {task} items are left out: {reason}" for task, count, reason in counts if count
    )
