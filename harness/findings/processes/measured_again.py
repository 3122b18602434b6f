"""h9 on other stories: do the same components serve a process where the materials are others?

Two kinds of other stories, each of which costs as much as the search on the first: the same set
drawn with the next seed, and, for composing, stories with one step more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.agreement import (
    Contrasts,
    costs_in_cells,
    effects_of,
    jaccards,
    mean,
    rank_correlations,
    strongest,
)
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.generality_rule import LEAST_RELATIONS, GeneralityRule
from harness.findings.processes.kinds import CELLS, COMPOSING, Process, cell_of
from harness.findings.processes.materials import asked_first
from harness.findings.processes.redrawn import drawn_again
from harness.findings.processes.selected import interval_over_relations
from harness.materials.cell_sets import draw_cells, whole_cells
from harness.materials.difficulty import MOST_STEPS
from harness.materials.items import DISCOVERY, Item
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Inconclusive, require


@dataclass(frozen=True, slots=True)
class Asked:
    """What h9 has measured, on the first stories.

    Attributes:
        study: The model, on these stories.
        kind: Of component.
        process: Whose effects are compared.
        contrasts: The effects.
        gate: Least accuracy in each cell.
    """

    study: Study
    kind: CircuitKind
    process: Process
    contrasts: Contrasts
    rule: GeneralityRule
    gate: float


def on_other_stories(asked: Asked) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """Secondary: how effects agree with those on other stories; and why some were not measured."""
    rows, notes = [], []
    for what, key, study in _others(asked):
        try:
            rows.append(_alike(asked, what, key, study))
        except Inconclusive as stop:
            notes.append(f"{what} could not be asked: {stop}")
    return tuple(rows), tuple(notes)


def _others(asked: Asked) -> Iterator[tuple[str, str, Study]]:
    """(what they are, key, the study on them); none for materials that are no set of cells."""
    whole = whole_cells(asked.study.prompts.name)
    if whole is None:
        return
    yield "stories drawn again", "redrawn", drawn_again(asked.study)
    wanted, difficulty = whole
    if asked.process is COMPOSING and difficulty.steps < MOST_STEPS:
        harder = replace(difficulty, steps=difficulty.steps + 1)
        plan = asked.study.plan
        drawn = plan.labelled(draw_cells(wanted.named(harder), plan.items, plan.seed))
        what = f"stories of {harder.steps} steps"
        yield what, "steps", replace(asked.study, prompts=drawn)


def _alike(asked: Asked, what: str, key: str, study: Study) -> Evidence:
    """The mean over relations of the correlation of a relation's effects with its own there.

    Raises:
        Inconclusive: If the model does not answer these stories, or in too few of the relations.
    """
    names, first, second = _effects_in_both(asked, what, study)
    rho = rank_correlations(first, second)
    own = np.diag(rho).copy()
    np.fill_diagonal(rho, np.nan)
    tops = [strongest(effects, asked.rule.top) for effects in (first, second)]
    overlap = float(jaccards(*tops).mean())
    return Evidence(
        f"effects in {what} agree with those in the first",
        Effect(
            "rank correlation",
            float(own.mean()),
            interval_over_relations(own.dot, names, asked.study.plan),
            method=f"mean over relations, each with itself; with other relations there "
            f"{mean(rho):.2f}; Jaccard of the strongest {tops[0][0].sum():,} {overlap:.2f}; "
            "bootstrap of relations; p by sign flips",
        ),
        p=_by_flips(own, asked.study),
        n=len(names),
        key=key,
    )


def _by_flips(own: np.ndarray, study: Study) -> float:
    """Of the exchange of the two cells in some relations of one of the two measurements."""
    flipped = stats.sign_flip_max(
        own[:, None], permutations=study.plan.permutations, seed=study.plan.seed
    )
    return float(flipped.p[0])


def _effects_in_both(
    asked: Asked, what: str, study: Study
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The relations that both have, and every component's effects in them, here and there."""
    require(*asked_first(study, CELLS, asked.gate))
    wanted = {*asked.contrasts.names}

    def kept(item: Item) -> bool:
        there = item.split == DISCOVERY and item.relation in wanted
        return there and cell_of(item) in CELLS

    again = Search(study, asked.kind, study.prompts.where(kept), asked.rule.search)
    costs = costs_in_cells(again)
    names = costs.names
    at = [asked.contrasts.names.index(name) for name in names]
    reason = f"{len(names)} of the relations are answered there, {LEAST_RELATIONS} are needed"
    require(Gate(what, len(names) >= LEAST_RELATIONS, reason))
    return names, asked.contrasts.effects[at], effects_of(asked.process, costs)
