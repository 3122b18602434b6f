"""The first finding of h4 on processes: do components hold in relations they were not found in."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.processes.finding import grade_note
from harness.findings.processes.kinds import Process
from harness.findings.processes.materials import LEAST_RELATIONS, gates_of, relations_of, shown_by
from harness.findings.processes.measured import ProcessContrasts, contrasts_of, reach_gate
from harness.findings.processes.rule import ProcessRule
from harness.findings.processes.selected import Selected, share_interval
from harness.findings.twins import (
    TwinResult,
    missing_twins,
    on_twins,
    twin_controls,
    worth_controls,
)
from harness.study.study import Study
from harness.verdicts.components import ComponentKind
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require


@dataclass(frozen=True, slots=True)
class Fold:
    """The components that some of the relations find, in the relations left out.

    Attributes:
        left_out: Relations, by number.
        found: Components that hold in the others.
        selected: These, on the relations left out.
    """

    left_out: Int[np.ndarray, " left"]
    found: int
    selected: Selected

    def held(self, weights: Float[np.ndarray, " relation"]) -> int | None:
        """Of `found`, how many hold in the relations left out; None where these have no weight."""
        own = weights[self.left_out]
        if not own.any():
            return None
        return int(self.selected.holding(own / own.sum()).sum())


def held_out_relations_finding(
    study: Study,
    kind: ComponentKind,
    process: Process,
    rule: ProcessRule,
    *,
    folds: int,
    share: float,
    gate: float,
) -> Finding:
    """The share of components found in most relations that hold in the others.

    Args:
        study: The model and the materials.
        kind: Of component.
        process: Retrieval or composing.
        rule: When a component serves it.
        folds: Parts of the relations, each left out once.
        share: Of the components that must hold.
        gate: Least accuracy in each cell.
    """
    shown = shown_by(study, process, gate)
    require(_folds_gate(shown, process, folds))
    gates = gates_of(shown, process, gate)

    def measure(activations: Activations) -> list[Fold]:
        contrasts = contrasts_of(kind, shown, activations, process)
        return list(folds_of(contrasts, rule, folds))

    model, relations = measure(shown.activations), relations_of(shown.prompts, process.cells)
    gates += require(_found_gate(model, kind, process))
    held = held_evidence(shown, kind, model, relations, share)
    worth = worth_controls(study, [held])
    twins = on_twins(shown, measure) if worth else {}
    notes = (grade_note(shown), *missing_twins(study, met=worth))
    return Finding((held,), _twins(twins, relations, folds), gates, notes=notes)


def _folds_gate(study: Study, process: Process, folds: int) -> Gate:
    """Whether the relations that are left can reach the rule's alpha, with any part left out."""
    found = len(relations_of(study.prompts, process.cells))
    first, second = process.cells
    # With fewer than eight, the gate of the design says what is missing.
    enough = found < LEAST_RELATIONS or found - math.ceil(found / folds) >= LEAST_RELATIONS
    return Gate.of(
        "relations to leave out",
        enough,
        unmet=f"{study.prompts.name} asks for {first} and {second} in {found} relations: with one "
        f"of {folds} parts left out, fewer than {LEAST_RELATIONS} are left to find components in",
    )


def folds_of(contrasts: ProcessContrasts, rule: ProcessRule, folds: int) -> Iterator[Fold]:
    """What each part of the relations finds of the components found in all other parts.

    Args:
        contrasts: Of a process, by relation.
        rule: When a component serves it.
        folds: Parts of the relations, each left out once.

    Raises:
        Inconclusive: If the relations that are left cannot reach the rule's alpha.
    """
    metrics = len(contrasts.cells.metrics)
    # The relations left out had no part in the choice, so that all of their entities count.
    both = (contrasts.discovery + contrasts.evaluation) / 2
    for train, left_out in stats.grouped_folds(contrasts.relations, folds, rule.seed):
        decisions = rule.decide(contrasts.discovery[train], contrasts.evaluation[train])
        require(reach_gate(decisions, rule))
        selected = Selected.of(
            both[left_out],
            decisions,
            decisions.holds,
            metrics=metrics,
            threshold_d=rule.threshold_d,
        )
        yield Fold(left_out, rule.count(decisions, metrics), selected)


def _counts(folds: Sequence[Fold], weights: Float[np.ndarray, " relation"]) -> tuple[int, int]:
    """(held, found) over the folds whose relations have a weight."""
    pairs = [(held, f.found) for f in folds if (held := f.held(weights)) is not None]
    return sum(held for held, _ in pairs), sum(found for _, found in pairs)


def _share(folds: Sequence[Fold], weights: Float[np.ndarray, " relation"]) -> float:
    held, found = _counts(folds, weights)
    return held / found if found else float("nan")


def _found_gate(folds: Sequence[Fold], kind: ComponentKind, process: Process) -> Gate:
    unmet = f"no {kind} serves {process.name} in any {len(folds) - 1} of {len(folds)} parts of "
    found = any(f.found for f in folds)
    return Gate.of("something to find", found, unmet=unmet + "the relations")


def held_evidence(
    study: Study,
    kind: ComponentKind,
    folds: Sequence[Fold],
    relations: Sequence[str],
    share: float,
) -> Evidence:
    """The requirement on the share that holds, pooled over folds, with its interval.

    Args:
        study: For its plan.
        kind: Of component.
        folds: At least one of them found a component.
        relations: All of them, by name.
        share: That must hold, at least.
    """
    equal = np.ones(len(relations)) / len(relations)
    held, found = _counts(folds, equal)
    value = held / found
    between = share_interval(value, lambda w: _share(folds, w), relations, study.plan)
    return Evidence(
        f"{kind}s that hold in the relations left out",
        Effect(
            "share",
            value,
            between,
            method=f"{held:,} of {found:,} over {len(folds)} parts of the relations, each left "
            "out once; bootstrap of relations",
        ),
        threshold=share,
        relation=">=",
        n=len(relations),
        key="held",
    )


def _twins(
    twins: dict[str, list[Fold]], relations: Sequence[str], least: int
) -> tuple[Control, ...]:
    """A twin may not have as many as one component a fold that holds."""
    equal = np.ones(len(relations)) / len(relations)
    counts = {name: _counts(folds, equal) for name, folds in twins.items()}
    results = {
        name: TwinResult(held, f"of {found:,} found; must stay below one a part")
        for name, (held, found) in counts.items()
    }
    return twin_controls(results, meets=lambda held: held >= least)
