"""The second finding of h5: does each task lose more without its own circuit than the other's."""

from dataclasses import dataclass

import numpy as np

from harness import stats
from harness.findings.circuits.ablated import AblatedCircuits, ablate_circuits
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.circuits.gates import circuit_gates, items_gates
from harness.findings.circuits.plots import component_plots
from harness.findings.circuits.rules import DissociationRule
from harness.findings.circuits.secondary import left_out
from harness.findings.circuits.selection import selection_prompts
from harness.findings.circuits.tables import causal_tables, circuit_components
from harness.findings.effects import change_test
from harness.findings.requirements import interval, no_headroom
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot


@dataclass(frozen=True)
class BothCircuits:
    """Both circuits ablated on both tasks, and the numbers that they are judged by."""

    circuits: AblatedCircuits
    rule: DissociationRule
    gates: tuple[Gate, ...]


def double_finding(
    study: Study, kind: CircuitKind, rule: DissociationRule, *, gate: float
) -> Finding:
    """Whether each task loses more without its own circuit than without the other's."""
    measured = _measure(study, kind, rule, gate)
    circuits = measured.circuits
    effects = {t: s.effects for t, s in circuits.selected.items()}
    members = {t: s.circuit for t, s in circuits.selected.items()}
    return Finding(
        evidence=(*_requirements(measured), _shared(measured)),
        gates=measured.gates,
        components=tuple(c for s in circuits.selected.values() for c in circuit_components(s)),
        notes=left_out(circuits.effects),
        tables=causal_tables(kind, effects, members),
        plots=_plots(measured),
    )


def _measure(study: Study, kind: CircuitKind, rule: DissociationRule, gate: float) -> BothCircuits:
    gates = require(*circuit_gates(study, rule.selection.pairs, gate))
    circuits = ablate_circuits(study, kind, rule.selection)
    gates = require(*gates, *items_gates(circuits.effects, circuits.tasks))
    return BothCircuits(circuits, rule, gates)


def _requirements(measured: BothCircuits) -> list[Evidence]:
    """For each task the difference, tested with Holm's correction."""
    circuits = measured.circuits
    own_and_other = list(zip(circuits.tasks, circuits.tasks[::-1], strict=True))
    tests = []
    for task, other in own_and_other:
        after = circuits.effects[task].after
        tests.append(change_test(*(after[circuits.row[c, "mean"]] for c in (other, task))))
    adjusted = stats.holm(np.array([t.p_lost for t in tests]))
    evidence = []
    for (task, other), test, p in zip(own_and_other, tests, adjusted, strict=True):
        evidence.append(_difference(measured, task, other, test, float(p)))
    return evidence


def _difference(
    measured: BothCircuits, task: str, other: str, test: stats.PairedTest, p_adjusted: float
) -> Evidence:
    circuits, effects = measured.circuits, measured.circuits.effects[task]
    own, others = circuits.row[task, "mean"], circuits.row[other, "mean"]
    difference = effects.lost[own] - effects.lost[others]
    sizes = {t: len(s.circuit) for t, s in circuits.selected.items()}
    effect = Effect(
        "difference of accuracy drops",
        float(difference.mean()),
        interval(difference, circuits.study),
        method=f"{effects.share_lost[own]:.2f} - {effects.share_lost[others]:.2f}; "
        f"{sizes[task]:,} and {sizes[other]:,} {circuits.kind}s; paired bootstrap; McNemar between "
        "the two, one-sided",
    )
    return Evidence(
        f"{task}: lost without its own {circuits.kind}s minus without the other's",
        effect,
        threshold=0,
        relation=">",
        p=float(test.p_lost),
        p_adjusted=p_adjusted,
        alpha=measured.rule.alpha,
        family=Family("tasks", 2, "Holm"),
        n=effects.n,
        headroom=no_headroom(task, effects, own, circuits.study, measured.rule.margin),
    )


def _shared(measured: BothCircuits) -> Evidence:
    """Secondary: how many components the two circuits share."""
    members = (set(s.circuit.members) for s in measured.circuits.selected.values())
    count = len(set.intersection(*members))
    return Evidence(f"{measured.circuits.kind}s in both circuits", Effect("count", count))


def _plots(measured: BothCircuits) -> tuple[Plot, ...]:
    """Every component's effect on both tasks, scored on discovery items, correct or not."""
    circuits, study = measured.circuits, measured.circuits.study
    asked = [item.task for item in selection_prompts(study, measured.rule.selection.pairs).items]
    return component_plots(
        {t: s.effects for t, s in circuits.selected.items()},
        {t: s.circuit for t, s in circuits.selected.items()},
        circuits.tasks,
        circuits.kind,
        n=min(asked.count(task) for task in circuits.tasks),
    )
