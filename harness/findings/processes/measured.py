"""A process measured on a model: the claim, its same-process contrasts and its untrained twins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.processes.contrasts import (
    Questions,
    relation_contrasts,
    relations_with,
    sd_within,
)
from harness.findings.processes.kinds import Process
from harness.findings.processes.materials import gates_of, relations_of, shown_by
from harness.findings.processes.rule import Decisions, ProcessRule
from harness.findings.processes.same_process import (
    SameProcess,
    same_process_contrasts,
    told_places,
)
from harness.findings.processes.selected import Selected
from harness.findings.specialisation.cells import Cells, controlled_cells
from harness.findings.twins import on_twins
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.components import ComponentKind, Components
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

SAME_PROCESS_DRAWS = 40  # random pairings of relations, beside the places of answers


@dataclass(frozen=True, slots=True)
class Found:
    """What the rule makes of a same-process contrast.

    Attributes:
        count: How many components hold.
        largest: The largest |d| of these.
        alike: Whether the questions differ alike in every relation, as a process does: by the place
            of the answer. Pairs of relations differ by chance, which alpha keeps rare.
    """

    count: int
    largest: float
    alike: bool


@dataclass(frozen=True, slots=True)
class ProcessContrasts:
    """The contrasts of a process by relation.

    Attributes:
        cells: The numbers, one a prompt and place.
        relations: Their names.
        discovery, evaluation: d by relation.
    """

    cells: Cells
    relations: tuple[str, ...]
    discovery: Float[np.ndarray, "relation place"]
    evaluation: Float[np.ndarray, "relation place"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A process on one kind of component.

    Attributes:
        study: On the prompts that show it.
        contrasts: Of the model.
        decisions: Of the rule on them.
        model: The components of the model.
        bar: The count that is asked for.
    """

    study: Study
    process: Process
    rule: ProcessRule
    gates: tuple[Gate, ...]
    contrasts: ProcessContrasts
    decisions: Decisions
    model: Components
    bar: int

    @property
    def questions(self) -> Questions:
        """What was asked, with every place's numbers."""
        return Questions.of(self.contrasts.cells.values, self.study.prompts.items)


def measure_model(
    study: Study,
    kind: ComponentKind,
    process: Process,
    rule: ProcessRule,
    *,
    needed: tuple[int, int],
    gate: float,
) -> Measured:
    """Gates first, the cheap ones before the others; then the model itself."""
    shown = shown_by(study, process, gate)
    gates = gates_of(shown, process, gate)
    contrasts = contrasts_of(kind, shown, shown.activations, process)
    decisions = rule.decide(contrasts.discovery, contrasts.evaluation)
    gates += require(reach_gate(decisions, rule))
    table = rule.table(contrasts.cells, decisions, process.cells)
    bar = stats.scaled_count(*needed, len(table))
    return Measured(shown, process, rule, gates, contrasts, decisions, table, bar)


def reach_gate(decisions: Decisions, rule: ProcessRule) -> Gate:
    """Whether sign flips of these relations can give a p as small as alpha."""
    return Gate.of(
        "reach",
        decisions.floor <= rule.alpha,
        f"the smallest p that these relations and permutations can reach is {decisions.floor:.2g}, "
        f"needed <= {rule.alpha:g}",
        unmet=": use more relations (--items) or --permutations",
    )


def selected_of(measured: Measured) -> Selected:
    """The places that discovery selected, on evaluation entities."""
    return Selected.of(
        measured.contrasts.evaluation,
        measured.decisions,
        measured.decisions.selected,
        metrics=len(measured.contrasts.cells.metrics),
        threshold_d=measured.rule.threshold_d,
    )


def twins_of(measured: Measured) -> dict[str, Components]:
    """The components that the rule finds in each untrained twin."""
    process, rule = measured.process, measured.rule

    def on_twin(activations: Activations) -> Components:
        c = contrasts_of(measured.model.kind, measured.study, activations, process)
        return rule.table(c.cells, rule.decide(c.discovery, c.evaluation), process.cells)

    return on_twins(measured.study, on_twin)


def contrasts_of(
    kind: ComponentKind, study: Study, activations: Activations, process: Process
) -> ProcessContrasts:
    """The contrasts of a process between the prompts of a study."""
    cells = controlled_cells(kind, activations)
    questions = Questions.of(cells.values, study.prompts.items)
    relations = relations_of(study.prompts, process.cells)
    by_split = (
        relation_contrasts(questions.rows(questions.split == split), process.cells, relations)
        for split in (DISCOVERY, EVALUATION)
    )
    return ProcessContrasts(cells, relations, *by_split)


def same_process(measured: Measured) -> tuple[Found, ...]:
    """What the rule makes of each same-process contrast of the model on the same prompts."""
    rule, metrics = measured.rule.on_same_process(), len(measured.contrasts.cells.metrics)
    found = []
    for contrasts, alike in ((pairs_of_relations, False), (places_of_answers, True)):
        for contrast in contrasts(measured):
            decisions = rule.decide(contrast.discovery, contrast.evaluation)
            found.append(Found(rule.count(decisions, metrics), decisions.largest, alike))
    return tuple(found)


def pairs_of_relations(measured: Measured) -> Iterator[SameProcess]:
    """Two relations of one cell, many pairs drawn at random, as many units as the claim has."""
    return same_process_contrasts(
        measured.questions,
        measured.process.cells,
        units=len(measured.contrasts.relations),
        draws=SAME_PROCESS_DRAWS,
        seed=measured.rule.seed,
    )


def places_of_answers(measured: Measured) -> Iterator[SameProcess]:
    """Answers told first against last, in each cell where enough relations have both."""
    questions, cells = measured.questions, measured.process.cells
    told = told_places(measured.study.prompts.items)
    for cell in cells:
        yield from _by_place(questions, told, cell, cells, len(measured.contrasts.relations))


def _by_place(
    questions: Questions, told: np.ndarray, cell: str, cells: tuple[str, str], least: int
) -> Sequence[SameProcess]:
    """Answers told first against last, in one cell; none where few relations have both.

    In units of the SD within a place of either cell: those told first and last in one cell are too
    few for a SD of their own, and of thousands of components the smallest SD makes the largest d.
    """
    ends = ("first", "last")
    asked = replace(questions, asked=np.where(questions.asked == cell, told, ""))
    splits = [asked.rows(asked.split == split) for split in (DISCOVERY, EVALUATION)]
    relations = sorted(relations_with(splits[0], ends) & relations_with(splits[1], ends))
    if len(relations) < least:
        return ()
    places = np.char.add(questions.asked, told)
    inside = np.isin(questions.asked, cells)
    scales = (
        sd_within(questions.rows(inside & there), places[inside & there])
        for there in (questions.split == split for split in (DISCOVERY, EVALUATION))
    )
    sides = (
        relation_contrasts(split, ends, relations, scale)
        for split, scale in zip(splits, scales, strict=True)
    )
    return (SameProcess(*sides),)
