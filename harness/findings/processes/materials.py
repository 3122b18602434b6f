"""Which prompts show a process: crossed ones where the model follows a label, else plain ones."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.gates import competence_gates, first_pairs
from harness.findings.processes.kinds import COLUMNS, COMPOSING, Process, cell_of
from harness.materials.cell_sets import CONTRASTS, draw_cells, whole_cells
from harness.materials.difficulty import SHUFFLED, TOLD
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.materials.surface import surface_features
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

SURFACE_MARGIN = 0.1  # around a half: all of the interval of the surface's AUC must lie within
LEAST_RELATIONS = 8  # fewer cannot reach alpha .01: the floor is 2 / 2^relations


def shown_by(study: Study, process: Process, gate: float) -> Study:
    """The study on prompts that contrast the process's cells.

    Of the plain set of all cells, the crossed set of the two cells if the model clearly answers it
    on the first discovery items: there words, lengths and places are the same in both (grade A).
    Otherwise those relations of the plain set that ask for both cells in the same words.
    """
    whole = whole_cells(study.prompts.name)
    if whole is None or whole[0].tasks:
        return study
    wanted, difficulty = whole
    pair = process.cells if process.cells in CONTRASTS else process.cells[::-1]
    name = replace(wanted, tasks=pair, crossed=True).named(difficulty)
    plan = study.plan
    crossed = replace(study, prompts=plan.labelled(draw_cells(name, plan.items, plan.seed)))
    few = replace(crossed, prompts=first_pairs(_of_discovery(crossed.prompts, process.cells)))
    answered = all(g.met for g in competence_gates(few, gate))
    return crossed if answered else _asked_alike(study, process)


def _asked_alike(study: Study, process: Process) -> Study:
    """The relations whose questions in both cells differ in the name asked about and no other word.

    Composing in other ones cannot be told from reading other words ("the teacher of", an article).
    """
    words: dict[str, set[str]] = {}
    for item in study.prompts.items:
        if cell_of(item) in process.cells and item.subject is not None:
            name = re.escape(item.prompt[slice(*item.subject)])
            words.setdefault(item.relation, set()).add(re.sub(rf"\b{name}\b", "", item.question))
    other = {relation for relation, frames in words.items() if len(frames) > 1}
    if not other:
        return study
    return replace(study, prompts=study.prompts.where(lambda item: item.relation not in other))


def contrasted(study: Study, process: Process) -> Study:
    """The study with the process's cells as its two tasks: first without it, then with it.

    The other cells remain as further tasks. The crossed counterpart is that of the two cells.
    """
    without, own = process.cells[::-1]
    prompts, whole = study.prompts, whole_cells(study.prompts.name)
    items, name = tuple(replace(i, task=cell_of(i) or i.task) for i in prompts.items), prompts.name
    if whole is not None:
        wanted, difficulty = whole
        pair = (without, own) if (without, own) in CONTRASTS else (own, without)
        name = replace(wanted, tasks=pair).named(difficulty)
    changed = replace(prompts, name=name, items=items, tasks=(without, own))
    return replace(study, prompts=changed)


def asked_first(study: Study, cells: tuple[str, ...], gate: float) -> tuple[Gate, ...]:
    """Competence in these cells on discovery items, before anything else is measured.

    A few are enough where they show it; where they do not, all are asked.
    """
    prompts = _of_discovery(study.prompts, cells)
    return competence_gates(replace(study, prompts=prompts), gate, early=True)


def _of_discovery(prompts: PromptSet, cells: tuple[str, ...]) -> PromptSet:
    """The discovery items of the cells; two cells are the two tasks of what is left."""
    kept = prompts.where(
        lambda item: item.split == DISCOVERY and cell_of(item) in cells,
        f"{prompts.name}, discovery items",
    )
    if len(left := [*kept.count()]) == 2:
        return replace(kept, tasks=(left[0], left[1]))
    return kept


def gates_of(study: Study, process: Process, gate: float) -> tuple[Gate, ...]:
    """All that must be met before anything is extracted, the cheap ones before the others.

    Raises:
        Inconclusive: If one is unmet.
    """
    gates = require(
        *design_gates(study.prompts, process.cells), *order_gate(study.prompts, process)
    )
    gates += require(*asked_first(study, process.cells, gate))
    return gates + require(*surface_gate(study, process))


def order_gate(prompts: PromptSet, process: Process) -> tuple[Gate, ...]:
    """Whether two steps are needed for the right answer, in cells of the suite's own making.

    In a story that is told in order, the next answer word after the name that is asked about is
    right whether that takes one step or two: copying needs no composing.
    """
    whole = whole_cells(prompts.name)
    if process is not COMPOSING or whole is None:
        return ()
    unmet = (
        f"the stories of {prompts.name} are told in order: the next answer after the name asked "
        "about is right in one step and in two, so that copying it needs no composing; take "
        f"--order {SHUFFLED}, if the model answers it"
    )
    return (Gate.of("order", whole[1].order != TOLD, unmet=unmet),)


def design_gates(prompts: PromptSet, cells: tuple[str, ...]) -> tuple[Gate, ...]:
    """Whether a set contrasts the cells, in relations enough: known without a model."""
    *most, last = cells
    asked = f"{', '.join(most)} and {last}"
    there = {cell_of(item) for item in prompts.items}
    if missing := [f"{cell} ({COLUMNS[cell]})" for cell in cells if cell not in there]:
        unmet = f"has no prompts of {' and '.join(missing)}: add some"
        if not any(item.relation and cell_of(item) for item in prompts.items):
            columns = "columns source, steps and relation"
            unmet = f"does not say that it asks for {asked}: give the {columns}"
        return (Gate("cells", False, f"{prompts.name} {unmet}, or take the set cells"),)
    found = len(relations_of(prompts, cells))
    return (
        Gate.of("cells", True),
        Gate.of(
            "relations",
            found >= LEAST_RELATIONS,
            f"{prompts.name} asks for {asked} over the same stories in {found} "
            f"relations; {LEAST_RELATIONS} are needed to tell a process from a question",
            unmet=": use more items, or a file with more relations (columns relation and pair)",
        ),
    )


def relations_of(prompts: PromptSet, cells: tuple[str, ...]) -> tuple[str, ...]:
    """Relations of which stories of both splits ask in all of the cells."""
    asked: dict[tuple[str, str, str], set[str]] = {}
    for item in prompts.items:
        if item.relation:
            asked.setdefault((item.relation, item.split, item.pair), set()).add(cell_of(item))
    found = {(relation, split) for (relation, split, _), in_ in asked.items() if in_ >= {*cells}}
    both = {relation for relation, _ in found}
    return tuple(r for r in sorted(both) if {(r, DISCOVERY), (r, EVALUATION)} <= found)


def surface_gate(study: Study, process: Process) -> tuple[Gate, ...]:
    """Whether the surface of plain prompts gives the cell away in relations it was not learnt on.

    Crossed prompts need no such test: their surface is the same.
    """
    if study.prompts.crossed:
        return ()
    kept = [i for i, item in enumerate(study.prompts.items) if cell_of(item) in process.cells]
    items = [study.prompts.items[i] for i in kept]
    ids = study.subject.token_ids(study.prompts)
    features = surface_features(items, [ids[i] for i in kept])
    found = stats.transfer_auc(
        _within_blocks(features, [item.pair for item in items]),
        np.array([cell_of(item) == process.target for item in items]),
        [item.relation for item in items],
        np.array([item.split == DISCOVERY for item in items]),
    )
    auc = (
        f"AUC {found.auc:.2f} [{found.low:.2f}, {found.high:.2f}], needed within "
        f"{0.5 - SURFACE_MARGIN:g} and {0.5 + SURFACE_MARGIN:g}"
    )
    unmet = (
        f"the tokens of {study.prompts.name} may tell {' and '.join(process.cells)} apart in "
        f"relations they were not learnt from ({auc}): crossed prompts could show this, but the "
        "model does not answer them"
    )
    met = abs(0.5 - found.low) < SURFACE_MARGIN and abs(found.high - 0.5) < SURFACE_MARGIN
    return (Gate("surface", met, f"of the tokens, in other relations: {auc}" if met else unmet),)


def _within_blocks(
    features: Float[np.ndarray, "prompt feature"], block: Sequence[str]
) -> Float[np.ndarray, "prompt feature"]:
    """Features less their mean over prompts of the same stories: what the contrasts see."""
    number = np.unique(block, return_inverse=True)[1]
    sums = np.zeros((number.max() + 1, features.shape[1]))
    np.add.at(sums, number, features)
    return np.asarray(features - (sums / np.bincount(number)[:, None])[number])
