"""h10: can a circuit's parameters alone be tuned so that one ability goes and the others stay."""

from dataclasses import dataclass, replace

import numpy as np

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.circuit import LEAST_JUDGED, Parts
from harness.findings.processes.circuit_finding import (
    UNIT,
    answers_spared,
    cell_spared,
    components_of,
    share_lost,
)
from harness.findings.processes.circuit_search import Found, Search, searched
from harness.findings.processes.followed import needed_elsewhere
from harness.findings.processes.kinds import Process
from harness.findings.processes.other_circuits import Compared, beyond_others, other_circuits
from harness.findings.processes.tuning import Tuned, Tuning, TuningRule, to_unlearn
from harness.findings.twins import left_out, worth_controls
from harness.materials.items import PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require


@dataclass(frozen=True)
class Measured:
    """The circuit, tuned, and what that did in relations it was neither found nor tuned on."""

    study: Study
    process: Process
    rule: TuningRule
    gates: tuple[Gate, ...]
    parts: Parts
    search: Search
    found: Found
    tuning: Tuning
    tuned: Tuned

    @property
    def relations(self) -> tuple[str, ...]:
        """That are judged on."""
        return self.tuned.costs.relations


def tuning_finding(
    study: Study, kind: CircuitKind, process: Process, rule: TuningRule, *, gate: float
) -> Finding:
    """Whether tuning a process's circuit makes the model unlearn it, and nothing else.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        process: Retrieval or composing.
        rule: How circuits are found and tuned.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    measured = _measure(study, kind, process, rule, gate)
    others, costs = process.others, measured.tuned.costs
    required = (
        _lost(measured),
        *(cell_spared(f"{cell} lost by it", cell, costs, rule.circuit, study) for cell in others),
        *(answers_spared(cell, costs, rule.circuit, study) for cell in others),
    )
    met = worth_controls(study, required)
    compared = _others(measured) if met else None
    beside = (_beyond(measured, compared), _everything(measured)) if compared else ()
    lost = measured.tuned.costs.costs[measured.process.target][:, 0].tolist()
    return Finding(
        (*required, *beside, _right(measured)),
        gates=measured.gates,
        components=components_of(measured.found.circuit, process),
        notes=(_how_tuned(measured), *left_out("other circuits", met=met)),
        samples={required[0].name: dict(zip(measured.relations, lost, strict=True))},
        severity=compared.severity if compared else None,
    )


def _measure(
    study: Study, kind: CircuitKind, process: Process, rule: TuningRule, gate: float
) -> Measured:
    gates, parts, search = searched(study, kind, process, rule.circuit, gate)
    gates += require(_tunable(study, kind))
    target = process.target
    found = search.circuit_of(target)
    gates += require(needed_elsewhere(study, kind, process, parts, found, rule.circuit))
    known = to_unlearn(study, parts.selection, target)
    gates += require(_enough(known, target))
    tuning = Tuning(study, found.circuit, known, rule.steps)
    tuned = tuning.of(found.circuit, parts.judging, rule.steps.most)
    tuned = replace(tuned, costs=tuned.costs.answered())
    return Measured(study, process, rule, gates, parts, search, found, tuning, tuned)


def _tunable(study: Study, kind: CircuitKind) -> Gate:
    why = study.subject.untunable(kind)
    return Gate.of("tunable", not why, unmet=f"the {kind}s of this model cannot be tuned: {why}")


def _enough(known: PromptSet, target: str) -> Gate:
    found = len({item.relation for item in known.items})
    reason = f"{target} can be unlearnt in {found} relations, {LEAST_JUDGED} are needed"
    return Gate("relations unlearnt", found >= LEAST_JUDGED, reason)


def _lost(measured: Measured) -> Evidence:
    what = f"{measured.process.name} {measured.found.circuit.kind}s"
    return Evidence(
        f"{measured.process.target} lost by tuning the {what}",
        share_lost(measured.process.target, measured.tuned.costs, measured.study),
        threshold=measured.rule.lost,
        relation=">=",
        n=len(measured.relations),
        key="lost",
    )


def _others(measured: Measured) -> Compared:
    """What the target loses beyond the others by tuning the circuit, and by tuning other ones.

    All have its size and are tuned by no more steps.
    """
    process, rule, found = measured.process, measured.rule, measured.found
    random, same = other_circuits(measured.search, found.circuit, process.target)
    few, most = measured.parts.compared, measured.tuned.steps
    each = [measured.tuning.of(one, few, most) for one in (found.circuit, *random, *same)]
    meets = [
        tuned.lost(process.target) >= rule.lost
        and all(
            max(tuned.lost(cell), tuned.wrong(cell)) <= rule.circuit.margin
            for cell in process.others
        )
        for tuned in each
    ]
    selective = [tuned.selectivity(process.target) for tuned in each]
    return Compared.of(np.array(selective), np.array(meets), len(random))


def _beyond(measured: Measured, others: Compared) -> Evidence:
    return beyond_others(
        f"{measured.process.target} minus the most of the others, against other circuits",
        others,
        alpha=measured.rule.circuit.alpha,
        key="selective",
    )


def _everything(measured: Measured) -> Evidence:
    """Secondary: all parameters of the model, until as little is left."""
    tuned = measured.tuning.of(None, measured.parts.judging, measured.rule.steps.most)
    beside = tuned.beside(measured.process.target)
    return Evidence(
        f"{measured.process.target} lost by tuning all parameters",
        Effect(
            UNIT,
            tuned.lost(measured.process.target),
            method=f"{tuned.steps} steps, {tuned.left:.2f} nats left; {beside}",
        ),
        n=len(tuned.costs.relations),
        key="everything",
    )


def _right(measured: Measured) -> Evidence:
    """Secondary: how many answers are still right."""
    right = measured.tuned.right
    beside = ", ".join(f"{cell} {right[cell]:.2f}" for cell in measured.process.others)
    return Evidence(
        f"{measured.process.target} still answered right",
        Effect("share", right[measured.process.target], method=f"of those right before; {beside}"),
        n=len(measured.parts.judging),
        key="right",
    )


def _how_tuned(measured: Measured) -> str:
    tuned, known = measured.tuned, measured.tuning.unlearnt
    relations = len({item.relation for item in known.items})
    kind = measured.found.circuit.kind
    return (
        f"the {measured.found.size:,} {kind}s were found by what their loss costs, and tuned in "
        f"{tuned.steps} steps on {len(known)} items of {relations} relations, of whose logit "
        f"difference {tuned.left:.2f} nats were left; judged on {len(measured.relations)} "
        f"other relations ({', '.join(measured.relations)})"
    )
