"""The controlled findings of h1, h2 and h3: do some components serve a process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.findings.processes.agreement import families_of
from harness.findings.processes.diagonal import diagonal_evidence
from harness.findings.processes.kinds import Process
from harness.findings.processes.measured import (
    Found,
    Measured,
    measure_model,
    same_process,
    twins_of,
)
from harness.findings.processes.rule import ProcessRule
from harness.findings.processes.same_process import places_note
from harness.findings.processes.second_set import asked_again, same_sign
from harness.findings.requirements import beyond_same_process
from harness.findings.specialisation.published import (
    constant_notes,
    passed_components,
)
from harness.findings.twins import TwinResult, missing_twins, twin_controls, worth_controls
from harness.study.study import Study
from harness.verdicts import typeset
from harness.verdicts.components import ComponentKind, Components
from harness.verdicts.evidence import Control, Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding
from harness.verdicts.severity import Severity


@dataclass(frozen=True)
class Served:
    """What decides whether some components serve a process.

    Attributes:
        measured: The process on the model.
        same: What the rule makes of same-process contrasts.
        required: The evidence.
        twins: The components found in untrained twins, where these were worth measuring.
        gates: Unmet ones that were found on the way.
        notes: On what was not measured.
    """

    measured: Measured
    same: Sequence[Found]
    required: tuple[Evidence, ...]
    twins: Mapping[str, Components]
    gates: tuple[Gate, ...]
    notes: tuple[str, ...]

    @property
    def controls(self) -> tuple[Control, ...]:
        """Twins must not have the components."""
        return _twin_controls(self.measured, self.twins)


def served(measured: Measured, gate: float) -> Served:
    """Count, same-process contrasts, the second set and twins, as far as each is worth it.

    Args:
        measured: The process on the model.
        gate: Least accuracy in each cell of the second set.
    """
    same = same_process(measured)
    required = (count_evidence(measured), *_beyond_same_process(measured, same))
    # What follows can only take support away.
    gates: tuple[Gate, ...] = ()
    notes = places_note(sum(found.alike for found in same), measured.process.cells)
    if all(e.passed for e in required):
        again = asked_again(measured.study, measured.process, gate)
        required += same_sign(measured, again)
        gates, notes = again.gates, (*notes, *again.notes)
    worth = worth_controls(measured.study, required) and not gates
    twins = twins_of(measured) if worth else {}
    notes += missing_twins(measured.study, met=worth)
    return Served(measured, same, required, twins, gates, notes)


def process_finding(
    study: Study,
    kind: ComponentKind,
    process: Process,
    rule: ProcessRule,
    *,
    needed: tuple[int, int],
    gate: float,
) -> Finding:
    """Components that serve a process, more and larger than in same-process contrasts.

    Args:
        study: The model and the materials.
        kind: Of component.
        process: Retrieval or composing.
        rule: When a component serves it.
        needed: A count and the number of components it was asked of, in the published model.
        gate: Least accuracy in each cell.
    """
    measured = measure_model(study, kind, process, rule, needed=needed, gate=gate)
    strongest, decided = _strongest(measured), served(measured, gate)
    return Finding(
        (
            *decided.required,
            strongest,
            *_by_family(measured),
            *diagonal_evidence(study, kind, rule.threshold_d, needed),
        ),
        decided.controls,
        (*measured.gates, *decided.gates),
        passed_components(measured.model),
        (
            grade_note(measured.study),
            *constant_notes(measured.contrasts.cells),
            *decided.notes,
        ),
        {strongest.name: _samples(measured)},
        tables={"model": measured.model, **decided.twins},
        severity=Severity.of(np.array([found.count >= measured.bar for found in decided.same])),
    )


def count_evidence(measured: Measured) -> Evidence:
    """The components that hold; the bar must not lie between those that surely do and may."""
    table, metrics = measured.model, len(measured.contrasts.cells.metrics)
    sure, possible = measured.rule.between(measured.decisions, metrics)
    relations = len(measured.contrasts.relations)
    larger = ", ".join(f"{table.count_of(c):,} larger in {c}" for c in measured.process.cells)
    return Evidence(
        f"{table.kind}s that serve {measured.process.name}",
        Effect(
            "count",
            table.count,
            (sure, possible),
            method=f"of {len(table):,}; {larger}; in all of {relations} relations "
            f"together, on other entities; {sure:,} surely, up to {possible:,} by their intervals",
        ),
        threshold=measured.bar,
        relation=">=",
        n=relations,
        key="count",
    )


def _strongest(measured: Measured) -> Evidence:
    """Secondary: the place that is strongest on discovery, on evaluation entities.

    It says how large an effect is without the bias of having been selected for it. What decides is
    how many components hold.
    """
    decisions, cells, at = (
        measured.decisions,
        measured.contrasts.cells,
        measured.decisions.strongest,
    )
    direction = -1.0 if decisions.d_discovery[at] < 0 else 1.0
    ends = sorted((direction * decisions.low[at], direction * decisions.high[at]))
    where = f"layer {cells.layer[at]}" + (
        "" if cells.kind == "layer" else f" {cells.kind} {cells.index[at]}"
    )
    first, second = measured.process.cells
    family = Family(
        f"{cells.kind}s x metrics",
        len(decisions.d),
        "max-statistic sign flips of relations, moderated",
    )
    return Evidence(
        f"strongest effect on discovery, {where}, "
        f"{typeset.words(cells.metrics[at % len(cells.metrics)])}",
        Effect(
            "|d|",
            direction * float(decisions.d[at]),
            (float(ends[0]), float(ends[1])),
            method=f"{first} minus {second}, mean over relations, moderated t; least in a relation "
            f"{decisions.least[at]:.2f}",
        ),
        p_adjusted=float(decisions.p[at]),
        family=family,
        n=len(measured.contrasts.relations),
        key="largest",
    )


def _by_family(measured: Measured) -> tuple[Evidence, ...]:
    """Secondary: the components that hold with families of relations as the unit too.

    Relations that ask about the same kind of thing may be alike in more than the process. Nothing
    where some say no family, or sign flips of so few families cannot reach alpha.
    """
    contrasts, metrics = measured.contrasts, len(measured.contrasts.cells.metrics)
    each = families_of(measured.study.prompts.items, contrasts.relations)
    names = ["".join(family) for family in each]
    if not all(names) or not measured.model.count:
        return ()
    of_family = np.array([np.array(names) == family for family in sorted(set(names))], dtype=float)
    means = of_family / of_family.sum(1, keepdims=True)
    decisions = measured.rule.decide(means @ contrasts.discovery, means @ contrasts.evaluation)
    if decisions.floor > measured.rule.alpha:
        return ()
    hold = (decisions.holds & measured.decisions.holds).reshape(-1, metrics).any(1)
    return (
        Evidence(
            "of these, with families of relations as the unit",
            Effect(
                "count",
                int(hold.sum()),
                method=f"of {measured.model.count:,}; the contrasts of a family's relations are "
                f"averaged first; smallest possible p {decisions.floor:.2g}",
            ),
            n=len(means),
            key="families",
        ),
    )


def _beyond_same_process(measured: Measured, same: Sequence[Found]) -> tuple[Evidence, ...]:
    """More components, and larger ones, than the rule finds where the process is the same."""
    decisions, count = measured.decisions, float(measured.model.count)
    _, may = measured.rule.between(decisions, len(measured.contrasts.cells.metrics))

    def effect(quantity: str, value: float, most: float) -> Effect:
        # Where none holds and some may, more data could find more than same-process contrasts give.
        return Effect(quantity, value, None if count or not may else (0.0, most))

    what, alike = "same-process contrasts", np.array([found.alike for found in same], dtype=bool)
    return (
        beyond_same_process(
            f"more {measured.model.kind}s than in {what}",
            effect("count", count, float(may)),
            np.array([found.count for found in same], dtype=float),
            what,
            each=alike,
        ),
        beyond_same_process(
            f"larger than in {what}",
            effect("|d|", decisions.largest, decisions.most),
            np.array([found.largest for found in same]),
            what,
            each=alike,
        ),
    )


def _twin_controls(measured: Measured, twins: Mapping[str, Components]) -> tuple[Control, ...]:
    results = {
        name: TwinResult(table.count, f"must stay below {measured.bar}")
        for name, table in twins.items()
    }
    return twin_controls(results, meets=lambda count: count >= measured.bar)


def grade_note(study: Study) -> str:
    """What the contrast is worth as evidence, and why."""
    prompts = study.prompts
    why = (
        "both questions stand in every prompt and a label decides, so that their surface is equal"
        if prompts.crossed
        else "one question a prompt, of which the tokens do not tell the cell in other relations"
    )
    return f"evidence of grade {prompts.grade} on {prompts.name}: {why}"


def _samples(measured: Measured) -> dict[str, float]:
    """By relation, its contrast at the strongest place, in the direction of discovery."""
    at = measured.decisions.strongest
    direction = -1.0 if measured.decisions.d_discovery[at] < 0 else 1.0
    values = (direction * measured.contrasts.evaluation[:, at]).tolist()
    return dict(zip(measured.contrasts.relations, values, strict=True))
