"""Components of a process in a second set, where what else differs in the first is the same.

What is recalled is known and what is looked up is invented. In the set `known` every name is known;
`neutral`, which has fewer relations, looks up something new of known entities and serves where
`known` is not answered. In both, the story names every entity that is asked about, as the first set
does not. The contrast is the same, so a component that serves the process keeps most of its effect.
The sign alone would not do: layers move together, so that anything else in which the cells differ
there gives all of them the right sign every second time.

Steps composed in the text may be no steps of reasoning but of reading: latent questions take two
steps from the weights. A story tells the name between two steps twice and the name before it once,
so that plain prompts, which ask about either, need this second set. It is another contrast, of
which only the sign is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from harness.findings.gates import competence_gates
from harness.findings.processes.contrasts import Questions, relation_contrasts
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, Process, cell_of
from harness.findings.processes.measured import Measured
from harness.findings.processes.selected import share_interval
from harness.findings.specialisation.cells import controlled_cells
from harness.materials.cell_sets import CellSet, draw_cells, whole_cells
from harness.materials.items import PromptSet
from harness.materials.known_stories import KNOWN, NEUTRAL
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate

LEAST_RELATIONS = 5  # with fewer, the interval covers too seldom
KEPT = 0.5  # of an effect at least: what else differs in the first set makes the smaller part of it
MOST = 0.5  # of the components, more than which must keep it


@dataclass(frozen=True, slots=True)
class Second:
    """A second set, and the cells with and without the process there.

    Attributes:
        otherwise: What may tell the cells apart where it is not asked.
        needed: Whether nothing can be said of the process where the model does not answer it, on
            crossed prompts too.
        kept: Share of its effect that a component keeps there at least; 0 asks for its sign.
    """

    kind: str
    tasks: tuple[str, str]
    cells: tuple[str, str]
    words: str
    otherwise: str = "between known and unknown names alone"
    needed: bool = True
    kept: float = KEPT


# Of each process, with the most relations first: the first that the model answers is taken.
SECOND = {
    RETRIEVAL.name: (
        Second(
            KNOWN,
            RETRIEVAL.cells,
            RETRIEVAL.cells,
            "where every name is known, and the story says nothing of those that recall asks about",
        ),
        Second(NEUTRAL, RETRIEVAL.cells, RETRIEVAL.cells, "where every name is known"),
    ),
    COMPOSING.name: (
        Second(
            "cells",
            ("recall", "latent"),
            ("latent", "recall"),
            "from the weights",
            "by reading alone",
            needed=False,
            kept=0.0,
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A process in its second set.

    Attributes:
        second: What is compared there.
        study: On the second set; None where it cannot be asked.
        relations: Of the second set.
        gates: Unmet where it cannot be asked, and nothing can be said without it.
        notes: Why a second set was not asked, where something can be said without it.
    """

    second: Second
    study: Study | None = None
    relations: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()


def asked_again(study: Study, process: Process, gate: float) -> AskedAgain:
    """The process in the first of its second sets that the model answers.

    Args:
        study: On the prompts that show the process.
        process: Retrieval or composing.
        gate: Least accuracy in each cell.
    """
    unanswered: tuple[str, ...] = ()
    for second in SECOND[process.name]:
        again = _on(second, study)
        if again is None:
            unanswered = (_without(second, study),)
            break
        relations = _relations(again.prompts, second.cells)
        unmet = _unmet(again, relations, gate)
        if not unmet:
            return AskedAgain(second, again, relations, notes=unanswered)
        reason = f"{process.name} {second.words} could not be asked for: {'; '.join(unmet)}"
        unanswered = (*unanswered, reason)
    if _needed(second, study):
        gates = tuple(Gate("second set", met=False, reason=reason) for reason in unanswered)
        return AskedAgain(second, gates=gates)
    return AskedAgain(second, notes=unanswered)


def _relations(prompts: PromptSet, cells: Sequence[str]) -> tuple[str, ...]:
    """Those that have items of each cell."""
    asked = {cell: set[str]() for cell in cells}
    for item in prompts.items:
        if cell_of(item) in asked:
            asked[cell_of(item)].add(item.relation)
    return tuple(sorted(set.intersection(*asked.values())))


def _unmet(again: Study, relations: Sequence[str], gate: float) -> list[str]:
    """Why the model cannot be asked there."""
    unmet = [g.reason for g in competence_gates(again, gate) if not g.met]
    if len(relations) < LEAST_RELATIONS:
        unmet.append(
            f"{again.prompts.name} has {len(relations)} relations; {LEAST_RELATIONS} are needed"
        )
    return unmet


def _needed(second: Second, study: Study) -> bool:
    return second.needed or not study.prompts.crossed


def _without(second: Second, study: Study) -> str:
    """Why a second set cannot be drawn: the prompts are not the suite's own cells."""
    said = f"{study.prompts.name} has no second set: what is found may differ {second.otherwise}"
    return f"{said}; ask the set cells, which has one" if _needed(second, study) else said


def effect_kept(measured: Measured, again: AskedAgain) -> tuple[tuple[Evidence, ...], list[Gate]]:
    """The share of the components that hold which keep their effect in the second set.

    Args:
        measured: The process, of which components hold.
        again: The process in its second set; without evidence if it cannot be asked.

    Returns:
        What is required and what is shown beside it; a gate that is unmet where what is lost may
        be lost because the model answers fewer questions there.
    """
    if again.study is None:
        return (), []
    study, second = again.study, again.second
    cells = controlled_cells(measured.model.kind, study.activations)
    questions = Questions.of(cells.values, study.prompts.items)
    contrasts = relation_contrasts(questions, second.cells, again.relations)
    relations = len(again.relations)

    def kept(least: float, contrasts: Float[np.ndarray, "relation place"]) -> Effect:
        share = partial(_share, measured, contrasts, least)
        value = share(np.full(relations, 1 / relations))
        return Effect(
            "share",
            value,
            share_interval(value, share, again.relations, study.plan),
            method=f"of {measured.model.count:,}, {' minus '.join(second.cells)} in "
            f"{study.prompts.name}, mean over {relations} relations; bootstrap of these",
        )

    asked = "at least half of the effect" if second.kept else "the same sign"
    required = Evidence(
        f"of these, with {asked} {second.words}",
        kept(second.kept, contrasts),
        threshold=MOST,
        relation=">",
        n=relations,
        key="kept",
    )
    if not second.kept:
        return (required,), []
    opposite = Evidence(
        "the same, in the opposite direction", kept(second.kept, -contrasts), n=relations
    )
    expected = expected_share(measured.study, measured.process, again)
    lenient = replace(required, effect=kept(second.kept * expected, contrasts))
    return (required, opposite), fewer_answered(required, lenient, expected)


def fewer_answered(strict: Evidence, lenient: Evidence, expected: float) -> list[Gate]:
    """An unmet gate where an effect has shrunk no more than right answers have.

    Args:
        strict: The requirement.
        lenient: The same with what is to be expected in place of the whole effect.
        expected: See `expected_share`.
    """
    if not strict.failed or lenient.failed:
        return []
    reason = (
        f"{strict.name}: {strict.effect.value:.2f}, but there are {expected:.2f} times as many "
        "right answers beyond guessing there as in the first set, so that the process may only be "
        "done in fewer questions"
    )
    return [Gate("answers of the second set", met=False, reason=reason)]


def _on(second: Second, study: Study) -> Study | None:
    """The study on the second set: as difficult, crossed as the first one.

    It is half as large where fewer relations or facts can be asked, which is not so of `known`.
    """
    whole = whole_cells(study.prompts.name)
    if whole is None:
        return None
    wanted = CellSet(second.kind, second.tasks, crossed=study.prompts.crossed)
    items = study.plan.items if second.kind == KNOWN else max(study.plan.items // 2, 1)
    drawn = draw_cells(wanted.named(whole[1]), items, study.plan.seed)
    return replace(study, prompts=study.plan.labelled(drawn))


def expected_share(study: Study, process: Process, again: AskedAgain) -> float:
    """The share of an effect that is to be expected in a second set that is answered less well.

    Where a model does the process in fewer questions, less of its effect is left, whatever else
    differs: as much less as there are fewer right answers beyond guessing. At most 1.
    """
    first = _beyond_guessing(study, process.cells)
    if again.study is None or first <= 0:  # as --competence-gate 0 lets pass
        return 1.0
    return min(1.0, max(0.0, _beyond_guessing(again.study, again.second.cells)) / first)


def _beyond_guessing(study: Study, cells: Sequence[str]) -> float:
    """Share of right answers beyond guessing, 1 if all are right: the mean over cells."""
    correct = study.subject.answers(study.prompts).correct
    asked = np.array([cell_of(item) for item in study.prompts.items])
    guessing = np.array([1 / (1 + len(item.distractors)) for item in study.prompts.items])
    means = [(correct[asked == cell].mean(), guessing[asked == cell].mean()) for cell in cells]
    return float(np.mean([(right - chance) / (1 - chance) for right, chance in means]))


def _share(
    measured: Measured,
    contrasts: Float[np.ndarray, "relation place"],
    least: float,
    weights: Float[np.ndarray, " relation"],
) -> float:
    """Of the places where a component holds, those that keep their effect: mean over components.

    A component that holds in several places keeps one of them by chance more often than not, so
    each counts by its share.
    """
    decisions, shape = measured.decisions, (-1, len(measured.contrasts.cells.metrics))
    there = (weights @ contrasts) * decisions.direction
    kept = decisions.holds & (there > least * np.abs(decisions.d))
    places = decisions.holds.reshape(shape).sum(1)
    found = places > 0
    return float(np.mean(kept.reshape(shape).sum(1)[found] / places[found]))
