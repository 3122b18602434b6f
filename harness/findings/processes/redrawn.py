"""The second finding of h4 on processes: are the same components found with other entities."""

from dataclasses import dataclass, replace

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.processes.finding import grade_note
from harness.findings.processes.kinds import Process
from harness.findings.processes.measured import Measured, contrasts_of, measure_model
from harness.findings.processes.rule import Decisions, ProcessRule
from harness.findings.twins import (
    TwinResult,
    missing_twins,
    on_twins,
    twin_controls,
    worth_controls,
)
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


@dataclass(frozen=True, slots=True)
class Again:
    """Components surely found with one draw of the entities, with the other draw; both ways summed.

    A component near the bar is often found with one draw alone although nothing about it differs.
    So those count whose whole interval lies beyond the bar with one draw, and one of these is lost
    only if its whole interval lies below the bar with the other.

    Attributes:
        sure: Components surely found with the first draw, and with the second: one is in both.
        found: Of these, those that the other draw finds too, surely or not: at the same place, in
            the same direction.
        possible: Of these, those that are not surely lost with the other draw.
    """

    sure: int
    found: int
    possible: int

    @classmethod
    def of(cls, rule: ProcessRule, one: Decisions, other: Decisions, metrics: int) -> "Again":
        """Count them; a component has `metrics` places."""

        def components(here: Decisions, there: Decisions) -> tuple[int, int, int]:
            sure = rule.sure(here)
            found = sure & there.holds & (there.direction == here.direction)
            possible = sure & rule.may(there, here.direction)
            sets = (places.reshape(-1, metrics).any(1) for places in (sure, found, possible))
            sure_count, found_count, possible_count = (int(each.sum()) for each in sets)
            return sure_count, found_count, possible_count

        ways = (components(one, other), components(other, one))
        return cls(*(sum(counts) for counts in zip(*ways, strict=True)))

    @property
    def agreement(self) -> tuple[float, float]:
        """The Jaccard index by what is found again, and by what may be; 0 where nothing is sure.

        Of two lists of which each has a share s in the other, it is s / (2 - s). Asked of the
        lists' union instead, components in both would have two chances to be sure, others one.
        """
        if not self.sure:
            return 0.0, 0.0
        low, high = (n / self.sure for n in (self.found, self.possible))
        return low / (2 - low), high / (2 - high)


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
    """The agreement of the components that are surely found with two draws of the entities.

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
    counted = _counted(draws, first.decisions, again.decisions)
    gates += require(_same_relations(draws), _found_gate(draws, counted))
    agreement = _agreement(draws, counted, jaccard)
    worth = worth_controls(study, [agreement])
    return Finding(
        (agreement, _lists(draws)),
        _twins(draws, jaccard) if worth else (),
        (*first.gates, *gates),
        notes=(grade_note(first.study), *missing_twins(study, met=worth)),
    )


def _redraw_gate(study: Study) -> Gate:
    name = study.prompts.name
    unmet = f"{name} cannot be drawn again with other entities: take the set cells"
    return Gate.of("redraw", "@" in name and parse(name) is not None, unmet=unmet)


def drawn_again(study: Study) -> Study:
    """The same set of cells, as large, drawn with the next seed."""
    prompts, seed = study.prompts, study.plan.seed + 1
    asked = prompts.count()[prompts.tasks[0]]
    items = asked // 2 if prompts.crossed else asked  # a crossed story asks each question twice
    redraw = draw_cells(prompts.name, items, seed)
    return replace(study, prompts=study.plan.labelled(redraw, seed))


def _same_relations(draws: Draws) -> Gate:
    one, other = (m.contrasts.relations for m in draws.both)
    unmet = "the materials drawn again ask in other relations: use more items"
    return Gate.of("the same relations", one == other, unmet=unmet)


def _counted(draws: Draws, one: Decisions, other: Decisions) -> Again:
    return Again.of(draws.first.rule, one, other, len(draws.first.contrasts.cells.metrics))


def _found_gate(draws: Draws, counted: Again) -> Gate:
    kind, process = draws.first.model.kind, draws.first.process
    unmet = f"no {kind} surely serves {process.name} with either draw of the entities"
    return Gate.of("something to find", counted.sure > 0, unmet=unmet)


def _agreement(draws: Draws, counted: Again, least: float) -> Evidence:
    return Evidence(
        f"agreement of the {draws.first.model.kind}s surely found with two draws of the entities",
        Effect(
            "Jaccard",
            counted.agreement[0],
            counted.agreement,
            method=f"of {counted.sure:,} surely found, both draws together, the other draw finds "
            f"{counted.found:,}, up to {counted.possible:,} by their intervals over relations",
        ),
        threshold=least,
        relation=">",
        n=len(draws.first.contrasts.relations),
        key="agreement",
    )


def _lists(draws: Draws) -> Evidence:
    """Secondary: the whole lists, with the components near the bar."""
    one, other = (m.model for m in draws.both)
    shared = int((one.passed & other.passed).sum())
    return Evidence(
        f"agreement of all {one.kind}s found with the two draws",
        Effect(
            "Jaccard",
            stats.jaccard(one.passed, other.passed),
            method=f"{shared:,} of {one.count:,} and {other.count:,} are the same; those near the "
            "bar differ by chance",
        ),
        key="lists",
    )


def _twins(draws: Draws, least: float) -> tuple[Control, ...]:
    """A twin must not find the same components twice; if none finds any, none is asked again."""
    one = _decided_in_twins(draws.first)
    if not any(decisions.holds.any() for decisions in one.values()):
        none = {name: TwinResult(0.0, "none found with the first draw") for name in one}
        return twin_controls(none, meets=lambda value: value > least)
    other = _decided_in_twins(draws.again)
    counted = {name: _counted(draws, one[name], other[name]) for name in one}
    results = {
        name: TwinResult(
            twin.agreement[0],
            f"{twin.found:,} of {twin.sure:,} found again; must not agree beyond {least:g}",
        )
        for name, twin in counted.items()
    }
    return twin_controls(results, meets=lambda value: value > least)


def _decided_in_twins(measured: Measured) -> dict[str, Decisions]:
    """What the rule decides in each untrained twin."""

    def decide(activations: Activations) -> Decisions:
        c = contrasts_of(measured.model.kind, measured.study, activations, measured.process)
        return measured.rule.decide(c.discovery, c.evaluation)

    return on_twins(measured.study, decide)
