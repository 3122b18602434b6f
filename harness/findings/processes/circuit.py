"""What circuits of processes are found on and judged on, and what their loss costs there.

A circuit that costs only the relations it was found on serves these questions. One that costs the
target cell in relations that had no part in the search, and spares the other cells, serves what
the relations share.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from harness.activations.swept import SweepResult
from harness.findings.effects import effects_on_all, effects_on_correct, means
from harness.findings.processes.kinds import CELLS, Process, cell_of
from harness.findings.processes.materials import (
    asked_first,
    design_gates,
    order_gate,
    relations_of,
)
from harness.findings.sweeps import swept
from harness.interventions.interventions import MEAN, Intervention, Method
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

LEAST_JUDGED = 6  # relations with a right answer in every cell
# Of a cell that are answered right, to search on and to judge on. Where 24 stay right, fewer than
# the margin of 0.10 are lost, by an interval.
LEAST_ITEMS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRule:
    """How circuits of processes are found, and when one serves its process.

    Attributes:
        doses: Sizes that a circuit may have, as shares of the components of its kind.
        target: Share of what ablating all components of the kind costs the target, at least.
        margin: Share of its logit difference that another cell may lose, at most.
        alpha: Rank among random and same-process circuits.
        draws: Random sets, and as many same-process circuits.
    """

    doses: tuple[float, ...]
    target: float
    margin: float
    alpha: float
    draws: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The prompts of a process's circuit: relations and entities are divided alike.

    Attributes:
        selection: Discovery entities of every other relation.
        judging: Evaluation entities of the other relations.
        compared: Of these, the first story of each relation: where other circuits are ablated too.
    """

    selection: PromptSet
    judging: PromptSet
    compared: PromptSet

    @classmethod
    def of(cls, study: Study) -> "Parts":
        """Relations in alphabetical order, in turn to search on and to judge on."""
        prompts, relations = study.prompts, relations_of(study.prompts, CELLS)
        searched, judged = set(relations[::2]), set(relations[1::2])

        def part(split: str, wanted: set[str]) -> PromptSet:
            def kept(item: Item) -> bool:
                there = item.split == split and item.relation in wanted
                return there and cell_of(item) in CELLS

            return prompts.where(kept)

        judging = part(EVALUATION, judged)
        return cls(part(DISCOVERY, searched), judging, first_stories(judging))


def first_stories(prompts: PromptSet) -> PromptSet:
    """The items of each relation's first story."""
    first = {item.relation: item.pair for item in reversed(prompts.items)}
    return prompts.where(lambda item: item.pair == first[item.relation])


def searchable(study: Study, process: Process, gate: float) -> tuple[tuple[Gate, ...], Parts]:
    """The gates of all claims on circuits of processes, and the prompts; nothing is searched yet.

    Args:
        study: The model, on prompts with one question each.
        process: That is asked for; composing, where both are.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates = require(*order_gate(study.prompts, process), *design_gates(study.prompts, CELLS))
    gates += require(*asked_first(study, CELLS, gate))
    parts = Parts.of(study)
    return gates + require(*_items_gates(study, parts)), parts


def _items_gates(study: Study, parts: Parts) -> tuple[Gate, ...]:
    """Enough items of every cell are answered right, in both parts."""
    gates = []
    for name, prompts in (("to search on", parts.selection), ("to judge on", parts.judging)):
        correct = study.subject.answers(prompts).correct
        asked = np.array([cell_of(item) for item in prompts.items])
        right = Counter(asked[correct == 1].tolist())
        few = {cell: right[cell] for cell in CELLS if right[cell] < LEAST_ITEMS}
        listed = " and ".join(f"{n} {cell}" for cell, n in few.items())
        unmet = (
            f"{listed} items {name} are answered right, {LEAST_ITEMS} are needed: use more items"
        )
        gates.append(Gate.of(f"items {name}", not few, unmet=unmet))
    return tuple(gates)


def rows_of_cells(prompts: PromptSet, target: str) -> list[np.ndarray]:
    """Rows of the target cell, and of each other cell."""
    asked = np.array([cell_of(item) for item in prompts.items])
    return [asked == cell for cell in target_first(target)]


def target_first(target: str) -> tuple[str, ...]:
    """The cells, one of them before the others."""
    return (target, *(cell for cell in CELLS if cell != target))


class Sited(Protocol):
    """What can be ablated as a whole: a circuit, or a part of one."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where its components are."""


@dataclass(frozen=True, slots=True)
class Ablated:
    """What each set of components costs each cell in the relations it is judged on.

    Attributes:
        costs: By cell; the share of the cell's intact logit difference, mean over stories. Of the
            answers that are right: no other one can be lost.
        on_all: The same of all answers. Noise that happened to favour right ones is in `costs`.
        answers: By cell; the share of right answers that become wrong. A mean of differences can
            stay where some gain what others lose.
        right: By cell; how many answers are right in each relation.
        heights: By cell; the mean intact logit difference of the right answers, nats.
        relations: Of the rows.
    """

    costs: Mapping[str, Float[np.ndarray, "relation set"]]
    on_all: Mapping[str, Float[np.ndarray, "relation set"]]
    answers: Mapping[str, Float[np.ndarray, "relation set"]]
    right: Mapping[str, Int[np.ndarray, " relation"]]
    heights: Mapping[str, float]
    relations: tuple[str, ...]

    def answered(self) -> "Ablated":
        """The relations with an answer that can be lost in every cell.

        Raises:
            Inconclusive: If these are fewer than `LEAST_JUDGED`.
        """
        known = np.all([np.isfinite(costs).all(1) for costs in self.costs.values()], axis=0)
        *most, last = self.costs
        reason = (
            f"of {len(known)} relations that circuits are judged on, {int(known.sum())} have a "
            f"right answer in each of {', '.join(most)} and {last}; {LEAST_JUDGED} are needed"
        )
        require(Gate("relations judged", int(known.sum()) >= LEAST_JUDGED, reason))
        costs, on_all, answers, right = (
            {cell: values[known] for cell, values in of.items()}
            for of in (self.costs, self.on_all, self.answers, self.right)
        )
        relations = tuple(np.array(self.relations)[known].tolist())
        return Ablated(costs, on_all, answers, right, self.heights, relations)

    def mean(self, cell: str) -> Float[np.ndarray, " set"]:
        """Over relations."""
        return np.asarray(np.nanmean(self.costs[cell], axis=0))

    def wrong(self, cell: str) -> Float[np.ndarray, " set"]:
        """Share of right answers that become wrong, over relations."""
        return np.asarray(np.nanmean(self.answers[cell], axis=0))

    def selectivity(self, target: str) -> Float[np.ndarray, " set"]:
        """What the target loses beyond the cell that loses most of the others."""
        cells = target_first(target)
        return beyond_most([self.mean(cell) for cell in cells], [self.heights[c] for c in cells])


def beyond_most(
    lost: Sequence[Float[np.ndarray, "*any"]], heights: Sequence[float]
) -> Float[np.ndarray, "*any"]:
    """What the target loses beyond the cell that loses most of the others.

    A share is larger in the cell that stands lower, and a loss in nats in the one that stands
    higher. What takes the same of either in all cells serves none of them, so the larger of both
    counts. And another cell's gain is no loss of the target.

    Args:
        lost: By cell, the target first; shares of its intact logit difference.
        heights: By cell; that difference, nats.
    """
    most = np.zeros(np.shape(lost[0]))
    for other, height in zip(lost[1:], heights[1:], strict=True):
        most = np.maximum(most, other * max(1.0, height / heights[0]))
    return np.asarray(lost[0] - most)


def ablate(
    study: Study,
    prompts: PromptSet,
    circuits: Sequence[Sited],
    *,
    means_over: PromptSet,
    otherwise: Sequence[Method] = (),
) -> Ablated:
    """Every circuit ablated: its components take their mean over other prompts.

    After these sets comes the first circuit again, ablated in each of the other ways.
    """
    each = [Intervention(circuit.sites, MEAN) for circuit in circuits]
    each += [Intervention(circuits[0].sites, method) for method in otherwise]
    return costs_of(swept(study.subject, prompts, each, means_over=means_over), prompts)


def costs_of(result: SweepResult, prompts: PromptSet) -> Ablated:
    """What each edit of a sweep costs each cell, by relation."""
    relation = {item.pair: item.relation for item in prompts.items}
    names = tuple(sorted(set(relation.values())))
    each = {cell: effects_on_correct(result, prompts, cell) for cell in CELLS}
    every = {cell: effects_on_all(result, prompts, cell) for cell in CELLS}
    costs, on_all, answers = (
        {
            cell: _by_relation(getattr(effects, what), effects.pairs, relation, names)
            for cell, effects in of.items()
        }
        for of, what in ((each, "costs"), (every, "costs"), (each, "lost"))
    )
    of = np.array([item.relation for item in prompts.items])
    task = np.array([item.task for item in prompts.items])
    right = {
        cell: np.array([(result.answered & (task == cell) & (of == name)).sum() for name in names])
        for cell in CELLS
    }
    heights = {cell: effects.scale for cell, effects in each.items()}
    return Ablated(costs, on_all, answers, right, heights, names)


def _by_relation(
    values: Float[np.ndarray, "set pair"],
    pairs: np.ndarray,
    relation: Mapping[str, str],
    names: Sequence[str],
) -> Float[np.ndarray, "relation set"]:
    of = np.array([relation[str(pair)] for pair in pairs])
    return np.array([means(values[:, of == name]) for name in names])
