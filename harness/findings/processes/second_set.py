"""Components of a process in a second set, where what else differs in the first is the same.

What is recalled is known and what is looked up is invented: the set `neutral` looks up something
new of known entities. Each of its entities is told of with the answer of another one, which small
models do not follow; then the set `known`, where none is, serves instead. In both, the story names
every entity that is asked about, as the first set does not. And steps composed in the
text may be no steps of reasoning but of reading: latent questions take two steps from the weights.
A story tells the name between two steps twice and the name before it once, so that plain prompts,
which ask about either, need this second set. A component that serves the process has the same sign
there. How much of its effect is left is shown: a model that recalls what it knows of a name
whichever question is asked keeps little, so that no size can be required.

A file of somebody's own holds its second set itself. Without one, retrieval cannot be supported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.gates import competence_gates
from harness.findings.processes.contrasts import Questions, relation_contrasts
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, Process, cell_of
from harness.findings.processes.measured import Measured
from harness.findings.processes.selected import share_interval
from harness.findings.specialisation.cells import controlled_cells
from harness.materials.cell_sets import CellSet, draw_cells, whole_cells
from harness.materials.items import SECOND_SET, PromptSet
from harness.materials.known_stories import KNOWN, NEUTRAL
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate

LEAST_RELATIONS = 5  # with fewer, the interval covers too seldom
BY_CHANCE = 0.5  # of components have the sign that is asked for
HALF = 0.5  # of an effect: of how many components so much is left is shown


@dataclass(frozen=True, slots=True)
class Second:
    """A second set, and the cells with and without the process there.

    Attributes:
        otherwise: What may tell the cells apart where it is not asked.
        needed: Whether nothing can be said of the process where the model does not answer it, on
            crossed prompts too.
    """

    kind: str
    tasks: tuple[str, str]
    cells: tuple[str, str]
    words: str
    otherwise: str = "between known and unknown names alone"
    needed: bool = True


# Of each process, hardest first: the first that the model answers is taken.
SECOND = {
    RETRIEVAL.name: (
        Second(NEUTRAL, RETRIEVAL.cells, RETRIEVAL.cells, "where every name is known"),
        Second(
            KNOWN,
            RETRIEVAL.cells,
            RETRIEVAL.cells,
            "where every name is known, and the story says nothing of those that recall asks about",
        ),
    ),
    COMPOSING.name: (
        Second(
            "cells",
            ("recall", "latent"),
            ("latent", "recall"),
            "from the weights",
            "by reading alone",
            needed=False,
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
    for second in _seconds(process, study.prompts):
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


def _seconds(process: Process, prompts: PromptSet) -> tuple[Second, ...]:
    """Second sets of the process; a file of somebody's own has one at most."""
    known = SECOND[process.name]
    if whole_cells(prompts.name) is not None:
        return known
    return (replace(known[0], words="in the second set of the file"),)


def _relations(prompts: PromptSet, cells: Sequence[str]) -> tuple[str, ...]:
    """Those that have items of each cell."""
    asked = {cell: set[str]() for cell in cells}
    for item in prompts.items:
        if cell_of(item) in asked:
            asked[cell_of(item)].add(item.relation)
    return tuple(sorted(set.intersection(*asked.values())))


def _unmet(again: Study, relations: Sequence[str], gate: float) -> list[str]:
    """Why the model cannot be asked there."""
    if len(relations) < LEAST_RELATIONS:
        few = f"{again.prompts.name} has {len(relations)} relations; {LEAST_RELATIONS} are needed"
        return [few]
    return [g.reason for g in competence_gates(again, gate) if not g.met]


def _needed(second: Second, study: Study) -> bool:
    return second.needed or not study.prompts.crossed


def _without(second: Second, study: Study) -> str:
    """Why there is no second set: the prompts are somebody's own, and none is in the file."""
    said = f"{study.prompts.name} has no second set: what is found may differ {second.otherwise}"
    remedy = f"; give prompts of the split {SECOND_SET!r}, or ask the set cells, which has one"
    return f"{said}{remedy}" if _needed(second, study) else said


def same_sign(measured: Measured, again: AskedAgain) -> tuple[Evidence, ...]:
    """The share of the components that hold which have the same sign in the second set.

    Beside it, of how many half of the effect is left, and of how many as much in the opposite
    direction, which only what else differs there can make.

    Args:
        measured: The process, of which components hold.
        again: The process in its second set; without evidence if it cannot be asked.
    """
    if again.study is None:
        return ()
    study, words, relations = again.study, again.second.words, len(again.relations)
    cells = controlled_cells(measured.model.kind, study.activations)
    questions = Questions.of(cells.values, study.prompts.items)
    contrasts = relation_contrasts(questions, again.second.cells, again.relations)

    count = measured.model.count

    def share(least: float, contrasts: Float[np.ndarray, "relation place"]) -> Effect:
        statistic = partial(_share, measured, contrasts, least)
        value = statistic(np.full(relations, 1 / relations))
        return Effect(
            "share",
            value,
            share_interval(value, statistic, again.relations, study.plan),
            method=f"of {count:,}, {' minus '.join(again.second.cells)} in "
            f"{study.prompts.name}, mean over {relations} relations; bootstrap of these",
        )

    return (
        Evidence(
            f"of these, with the same sign {words}",
            _of_coins(share(0.0, contrasts), measured),
            threshold=BY_CHANCE,
            relation=">",
            n=relations,
            key="same_sign",
        ),
        Evidence("with at least half of the effect there", share(HALF, contrasts), n=relations),
        Evidence("with as much in the opposite direction", share(HALF, -contrasts), n=relations),
    )


def _of_coins(share: Effect, measured: Measured) -> Effect:
    """The share with an interval that holds a half where as many fair coins often give as much.

    Other relations would leave the signs of other effects alone as they are, so that relations say
    nothing of how many of these components could have their sign by chance. Heads and neurons err
    by themselves, more or less. Layers share a stream, and are as one coin however many they are.
    """
    count = measured.model.count
    if measured.model.kind == "layer" or share.interval is None or np.isnan(share.interval[0]):
        return share
    low, high = stats.binomial_interval(round(share.value * count), count)
    ends = (min(share.interval[0], low), max(share.interval[1], high))
    return replace(
        share,
        interval=ends,
        method=f"{share.method}, and at least as wide as that of {count:,} coins",
    )


def _on(second: Second, study: Study) -> Study | None:
    """The study on the second set: as difficult, crossed as the first one.

    It is half as large where fewer relations or facts can be asked, which is not so of `known`.
    """
    whole = whole_cells(study.prompts.name)
    if whole is None:
        own = study.prompts
        return replace(study, prompts=_of_file(second, own)) if own.second else None
    wanted = CellSet(second.kind, second.tasks, crossed=study.prompts.crossed)
    items = study.plan.items if second.kind == KNOWN else max(study.plan.items // 2, 1)
    drawn = draw_cells(wanted.named(whole[1]), items, study.plan.seed)
    return replace(study, prompts=study.plan.labelled(drawn))


def _of_file(second: Second, prompts: PromptSet) -> PromptSet:
    """What a file asks in these cells in its second set."""
    items = tuple(
        replace(item, task=cell_of(item))
        for item in prompts.second
        if cell_of(item) in second.cells
    )
    return replace(prompts, name=f"{prompts.name}, second set", items=items, tasks=second.tasks)


def _share(
    measured: Measured,
    contrasts: Float[np.ndarray, "relation place"],
    least: float,
    weights: Float[np.ndarray, " relation"],
) -> float:
    """Of the places where a component holds, those that keep so much: the mean over components.

    A component that holds in several places keeps one of them by chance more often than not, so
    each counts by its share.
    """
    decisions, shape = measured.decisions, (-1, len(measured.contrasts.cells.metrics))
    there = (weights @ contrasts) * decisions.direction
    kept = decisions.holds & (there > least * np.abs(decisions.d))
    places = decisions.holds.reshape(shape).sum(1)
    found = places > 0
    return float(np.mean(kept.reshape(shape).sum(1)[found] / places[found]))
