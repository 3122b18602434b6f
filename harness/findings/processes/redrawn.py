"""The second finding of h4 on processes: are the same components found with other entities."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.processes.finding import grade_note
from harness.findings.processes.kinds import Process
from harness.findings.processes.measured import Measured, measure_model, selected_of, twins_of
from harness.findings.processes.rule import ProcessRule
from harness.findings.processes.selected import share_interval
from harness.findings.twins import TwinResult, missing_twins, twin_controls, worth_controls
from harness.materials.cell_sets import draw_cells, parse
from harness.study.study import Study
from harness.verdicts.components import ComponentKind
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require


@dataclass(frozen=True, slots=True)
class Draws:
    """A process measured on the materials, and on the same materials drawn again."""

    first: Measured
    again: Measured

    @property
    def both(self) -> tuple[Measured, Measured]:
        """In order."""
        return self.first, self.again


def redrawn_entities_finding(
    study: Study,
    kind: ComponentKind,
    process: Process,
    rule: ProcessRule,
    *,
    needed: tuple[int, int],
    jaccard: float,
    gate: float,
) -> Finding:
    """The agreement of the components found with two draws of the entities.

    Args:
        study: The model and the materials.
        kind: Of component.
        process: Retrieval or composing.
        rule: When a component serves it.
        needed: A count and the number of components it was asked of, in the published model.
        jaccard: What the agreement must exceed.
        gate: Least accuracy in each cell, in both draws.
    """
    first = measure_model(study, kind, process, rule, needed=needed, gate=gate)
    gates = require(_redraw_gate(first.study))
    again = measure_model(drawn_again(first.study), kind, process, rule, needed=needed, gate=gate)
    draws = Draws(first, again)
    gates += require(_same_relations(draws), _found_gate(draws))
    agreement = _agreement(draws, jaccard)
    worth = worth_controls(study, [agreement])
    return Finding(
        (agreement,),
        _twins(draws, jaccard) if worth else (),
        (*first.gates, *gates),
        notes=(grade_note(first.study), *missing_twins(study, met=worth)),
    )


def _redraw_gate(study: Study) -> Gate:
    name = study.prompts.name
    reason = f"{name} cannot be drawn again with other entities: take the set cells"
    return Gate("redraw", "@" in name and parse(name) is not None, reason)


def drawn_again(study: Study) -> Study:
    """The same set of cells, as large, drawn with the next seed."""
    prompts, seed = study.prompts, study.plan.seed + 1
    asked = prompts.count()[prompts.tasks[0]]
    items = asked // 2 if prompts.crossed else asked  # a crossed story asks each question twice
    redraw = draw_cells(prompts.name, items, seed)
    return replace(study, prompts=study.plan.labelled(redraw, seed))


def _same_relations(draws: Draws) -> Gate:
    one, other = (m.contrasts.relations for m in draws.both)
    reason = "the materials drawn again ask in other relations: use more items"
    return Gate("the same relations", one == other, reason)


def _found_gate(draws: Draws) -> Gate:
    kind, process = draws.first.model.kind, draws.first.process
    reason = f"no {kind} serves {process.name} in either draw of the entities"
    return Gate("something to find", any(m.model.count for m in draws.both), reason)


def _agreement(draws: Draws, least: float) -> Evidence:
    """The Jaccard index of what holds, with an interval over relations."""
    one, other = (m.model for m in draws.both)
    resampled = [selected_of(m) for m in draws.both]

    def statistic(weights: Float[np.ndarray, " relation"]) -> float:
        return stats.jaccard(*(s.holding(weights) for s in resampled))

    value, relations = stats.jaccard(one.passed, other.passed), draws.first.contrasts.relations
    between = share_interval(value, statistic, relations, draws.first.study.plan)
    shared = int((one.passed & other.passed).sum())
    return Evidence(
        f"agreement of the {one.kind}s found with two draws of the entities",
        Effect(
            "Jaccard",
            value,
            between,
            method=f"{shared:,} of {one.count:,} and {other.count:,} are the same; bootstrap of "
            "relations, of those selected on discovery",
        ),
        threshold=least,
        relation=">",
        n=len(relations),
        key="agreement",
    )


def _twins(draws: Draws, least: float) -> tuple[Control, ...]:
    """A twin must not find the same components twice; if none finds any, none is asked again."""
    one = twins_of(draws.first)
    if not any(table.count for table in one.values()):
        none = {name: TwinResult(0.0, "none found in the first draw") for name in one}
        return twin_controls(none, meets=lambda value: value > least)
    other = twins_of(draws.again)
    results = {
        name: TwinResult(
            stats.jaccard(one[name].passed, other[name].passed),
            f"{one[name].count:,} and {other[name].count:,} found; must not agree beyond {least:g}",
        )
        for name in one
    }
    return twin_controls(results, meets=lambda value: value > least)
