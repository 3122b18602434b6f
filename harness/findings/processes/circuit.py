"""The circuit of a process: found on some relations, ablated on other ones.

A circuit that costs only the relations it was found on serves these questions. One that costs the
target cell in relations that had no part in the search, and spares the other cells, serves what
the relations share.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.activations.swept import SweepResult
from harness.findings.circuits.circuits import (
    Circuit,
    CircuitKind,
    Member,
    matched_sets,
    ranked,
    shape,
    sizes,
)
from harness.findings.circuits.neuron_scores import neuron_scores
from harness.findings.effects import TaskEffects, effects_on_correct, means, swept
from harness.findings.processes.kinds import Process, cell_of
from harness.findings.processes.materials import (
    asked_first,
    design_gates,
    order_gate,
    relations_of,
)
from harness.interventions.interventions import INTACT, MEAN, Intervention, Method
from harness.interventions.sites import Site, joined
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import require

CELLS = ("recall", "lookup", "reasoning")
LEAST_JUDGED = 6  # relations with a right answer in every cell
LEAST_ITEMS = 20  # of a cell that are answered right, to search on and to judge on


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


@dataclass(frozen=True, slots=True)
class Found:
    """A circuit and how it was found, all on the selection prompts.

    Attributes:
        ranking: Every component, best first.
        size: The smallest dose within a standard error of the best.
        score: Share of its logit difference that the target loses, minus the most of the others.
        share: Of what ablating all components of the kind costs the target.
        serves: The target loses enough, and no other cell too much.
        sparing: Components that cost another cell more than the margin were ranked last.
        named: The claim named its components; they were not searched for.
        without: The component that was ablated when the others were ranked once more.
    """

    ranking: Circuit
    size: int
    score: float
    share: float
    serves: bool
    sparing: bool = False
    named: bool = False
    without: Circuit | None = None

    @property
    def circuit(self) -> Circuit:
        """The selected components."""
        return self.ranking.top(self.size)


class Search:
    """The search for circuits on the selection prompts: every component is measured once.

    A circuit may be asked for by any division of the items into a target and others, so the same
    search serves the claim and its same-process circuits.
    """

    def __init__(
        self, study: Study, kind: CircuitKind, prompts: PromptSet, rule: CircuitRule
    ) -> None:
        self.study, self.kind, self.prompts, self.rule = study, kind, prompts, rule
        self.layers, self.width = shape(study, kind)
        self.costs = self._neuron_costs() if kind == "neuron" else self._head_costs()
        self.intact = swept(study.subject, prompts, [INTACT]).clean_logit_difference

    def circuit(self, groups: Sequence[np.ndarray]) -> Found:
        """The components that cost the first group most and the others least.

        Where the first order gives no circuit that serves the group and spares the others, two more
        are tried. Parts that all groups share may cost the group most: those that cost another one
        more than the margin are ranked last. And a head may stand in for another one, so that
        neither costs much alone: heads are ranked once more with the best one ablated.

        Args:
            groups: Rows of the selection prompts; the first is the target.
        """
        first = self.scores(groups)
        found = self._at_best_dose(ranked(self.kind, first), groups)
        if found.serves:
            return found
        spared = self._at_best_dose(self.ranking(groups, sparing=True), groups)
        tried = [found, replace(spared, sparing=True)]
        # Neurons are scored on the way to the ablation of all of them: none hides another one.
        if self.kind == "head" and found.share < self.rule.target:
            best = found.ranking.top(1)
            alone = self.lost([Intervention(best.sites, MEAN)])[0]
            after = self._order(self._head_costs(best) - alone[:, None, None], groups)
            again = self._at_best_dose(ranked(self.kind, np.maximum(first, after)), groups)
            tried.append(replace(again, without=best))
        return max(tried, key=lambda each: (each.serves, each.score))

    def named(self, members: Sequence[Member], groups: Sequence[np.ndarray]) -> Found:
        """A circuit that nobody searched for: the components named, before all others by rank.

        Args:
            members: (layer, number) of each.
            groups: As in `circuit`.
        """
        own = dict.fromkeys(members)
        each = [*own, *(m for m in self.ranking(groups).members if m not in own)]
        layer, index = np.array(each, dtype=int).T
        found = self._at_best_dose(Circuit(self.kind, layer, index), groups, (len(own),))
        return replace(found, named=True)

    def ranking(self, groups: Sequence[np.ndarray], *, sparing: bool = False) -> Circuit:
        """Every component, those first that cost the first group most and the others least.

        Args:
            groups: As in `circuit`.
            sparing: Those that cost another group more than the margin come last.
        """
        return ranked(self.kind, self._order(self.costs, groups, sparing=sparing))

    def scores(self, groups: Sequence[np.ndarray]) -> Float[np.ndarray, "layer component"]:
        """What each component costs the first group beyond the worst of the others."""
        return self._order(self.costs, groups)

    def mean_cost(self, rows: np.ndarray) -> Float[np.ndarray, "layer component"]:
        """What the loss of each component costs some items on average.

        As a share of their own mean intact logit difference, over those answered right.

        Args:
            rows: Of the selection prompts, as booleans.
        """
        return self._mean_cost(self.costs, rows)

    def lost(self, interventions: Sequence[Intervention]) -> Float[np.ndarray, "set item"]:
        """What each costs each item's logit difference, nats; nan where the answer was wrong.

        Every site takes its mean over the selection prompts.
        """
        found = swept(self.study.subject, self.prompts, interventions, means_over=self.prompts)
        return np.where(found.answered, found.lost, np.nan)

    def _head_costs(self, beside: Circuit | None = None) -> Float[np.ndarray, "item layer head"]:
        """What the loss of each head takes, together with what is ablated beside it."""
        sites = beside.sites if beside else ()
        each = [
            Intervention(joined(list({*sites, Site("head", layer, head)})), MEAN)
            for layer in range(self.layers)
            for head in range(self.width)
        ]
        return self.lost(each).T.reshape(-1, self.layers, self.width)

    def _neuron_costs(self) -> Float[np.ndarray, "item layer neuron"]:
        scored = neuron_scores(self.study.subject, self.prompts)
        wrong = np.isnan(self.lost([INTACT])[0]) | ~scored.scorable
        return np.asarray(np.where(wrong[:, None, None], np.nan, scored.scores))

    def _order(
        self,
        costs: Float[np.ndarray, "item layer component"],
        groups: Sequence[np.ndarray],
        *,
        sparing: bool = False,
    ) -> Float[np.ndarray, "layer component"]:
        own, *others = (self._mean_cost(costs, rows) for rows in groups)
        worst = np.max(others, axis=0)
        beyond = np.asarray(own - worst)
        last = beyond - np.nanmax(beyond) + np.nanmin(beyond) - 1.0
        return np.where(worst > self.rule.margin, last, beyond) if sparing else beyond

    def _mean_cost(
        self, costs: Float[np.ndarray, "item layer component"], rows: np.ndarray
    ) -> Float[np.ndarray, "layer component"]:
        """As a share of the group's own mean intact logit difference."""
        correct = rows & ~np.isnan(costs[:, 0, 0])
        return np.asarray(costs[correct].mean(0) / self.intact[correct].mean())

    def _at_best_dose(
        self, ranking: Circuit, groups: Sequence[np.ndarray], doses: Sequence[int] = ()
    ) -> Found:
        doses = doses or sizes(self.rule.doses, self.layers * self.width)
        each = [Intervention(c.sites, MEAN) for c in (*map(ranking.top, doses), ranking)]
        lost = self.lost(each)
        shares = [lost[:, rows] / self.intact[rows & ~np.isnan(lost[0])].mean() for rows in groups]
        own, *others = (means(values[:-1]) for values in shares)
        worst = np.max(others, axis=0)
        score = own - worst
        at = _smallest_as_good(score, shares[0][:-1])
        everything = float(means(shares[0][-1:])[0])
        of_all = float(own[at]) / everything if everything > 0 else 0.0
        serves = of_all >= self.rule.target and float(worst[at]) <= self.rule.margin
        return Found(ranking, doses[at], float(score[at]), of_all, serves)


def _smallest_as_good(
    score: Float[np.ndarray, " dose"], target: Float[np.ndarray, "dose item"]
) -> int:
    """The first dose within one standard error of the best."""
    best = int(np.nanargmax(score))
    spread = np.sqrt(np.nanvar(target[best]) / np.count_nonzero(~np.isnan(target[best])))
    return int(np.argmax(score >= score[best] - spread))


def searchable(study: Study, process: Process, gate: float) -> tuple[tuple[Gate, ...], Parts]:
    """The gates of all claims on circuits of processes, and the prompts; nothing is searched yet.

    Args:
        study: The model, on prompts with one question each.
        process: That is asked for; composing, where both are.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates = require(*order_gate(study.prompts, process), *design_gates(study, CELLS))
    gates += require(*asked_first(study, CELLS, gate))
    parts = Parts.of(study)
    return gates + require(*_items_gates(study, parts)), parts


def searched(
    study: Study, kind: CircuitKind, process: Process, rule: CircuitRule, gate: float
) -> tuple[tuple[Gate, ...], Parts, Search]:
    """The gates as in `searchable`, then the search.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        process: That is asked for; composing, where both are.
        rule: How circuits are found.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    gates, parts = searchable(study, process, gate)
    return gates, parts, Search(study, kind, parts.selection, rule)


def _items_gates(study: Study, parts: Parts) -> tuple[Gate, ...]:
    """Enough items of every cell are answered right, in both parts."""
    gates = []
    for name, prompts in (("to search on", parts.selection), ("to judge on", parts.judging)):
        correct = study.subject.answers(prompts).correct
        asked = np.array([cell_of(item) for item in prompts.items])
        right = Counter(asked[correct == 1].tolist())
        few = {cell: right[cell] for cell in CELLS if right[cell] < LEAST_ITEMS}
        listed = " and ".join(f"{n} {cell}" for cell, n in few.items())
        reason = (
            f"{listed} items {name} are answered right, {LEAST_ITEMS} are needed: use more items"
        )
        gates.append(Gate(f"items {name}", not few, reason))
    return tuple(gates)


def rows_of_cells(prompts: PromptSet, target: str) -> list[np.ndarray]:
    """Rows of the target cell, and of each other cell."""
    asked = np.array([cell_of(item) for item in prompts.items])
    return [asked == cell for cell in (target, *(c for c in CELLS if c != target))]


def same_process_rows(
    prompts: PromptSet, cell: str, draws: int, seed: int
) -> list[list[np.ndarray]]:
    """Rows of one cell in random halves of its relations: a difference of questions alone."""
    generator = np.random.default_rng(seed)
    asked = np.array([cell_of(item) == cell for item in prompts.items])
    relation = np.array([item.relation for item in prompts.items])
    names = np.unique(relation[asked])
    found = []
    for _ in range(draws):
        half = set(generator.permutation(names)[: len(names) // 2].tolist())
        inside = np.isin(relation, list(half))
        found.append([asked & inside, asked & ~inside])
    return found


class Sited(Protocol):
    """What can be ablated as a whole: a circuit, or a part of one."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where its components are."""


@dataclass(frozen=True, slots=True)
class Ablated:
    """What each set of components costs each cell in the relations it is judged on.

    Attributes:
        costs: By cell; the share of the cell's intact logit difference, mean over stories.
        relations: Of the rows.
    """

    costs: Mapping[str, Float[np.ndarray, "relation set"]]
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
        costs = {cell: values[known] for cell, values in self.costs.items()}
        return Ablated(costs, tuple(np.array(self.relations)[known].tolist()))

    def mean(self, cell: str) -> Float[np.ndarray, " set"]:
        """Over relations."""
        return np.asarray(np.nanmean(self.costs[cell], axis=0))

    def selectivity(self, target: str) -> Float[np.ndarray, " set"]:
        """What the target loses beyond the cell that loses most of the others."""
        others = [self.mean(cell) for cell in self.costs if cell != target]
        return np.asarray(self.mean(target) - np.max(others, axis=0))


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
    costs = {}
    for cell in CELLS:
        effects = effects_on_correct(result, prompts, cell)
        costs[cell] = _by_relation(effects, relation, names)
    return Ablated(costs, names)


def _by_relation(
    effects: TaskEffects, relation: Mapping[str, str], names: Sequence[str]
) -> Float[np.ndarray, "relation set"]:
    of = np.array([relation[str(pair)] for pair in effects.pairs])
    return np.array([means(effects.costs[:, of == name]) for name in names])


def beyond_others(
    name: str,
    value: float,
    random: Float[np.ndarray, " draw"],
    same: Float[np.ndarray, " draw"],
    *,
    what: tuple[str, str],
    alpha: float,
    key: str,
    unit: str = "share of the logit difference",
) -> Evidence:
    """The requirement that a value lie beyond those of other circuits, by rank among all of them.

    Args:
        name: Of the evidence.
        value: Of the judged one.
        random: Of random sets; there may be none.
        same: Of circuits that the same search finds between questions of one process.
        what: Both, in words that follow their number.
        alpha: Of the rank.
        key: Of the evidence.
        unit: Of the values.
    """
    null = np.concatenate([random, same])
    test = stats.exceedance(value, null)
    said = (
        f"{len(draws)} {words} (at most {draws.max():.2f})" if len(draws) else f"0 {words}"
        for draws, words in zip((random, same), what, strict=True)
    )
    return Evidence(
        name,
        Effect(
            unit,
            value,
            method=f"95th percentile of {' and '.join(said)}",
        ),
        threshold=float(test.quantile),
        relation=">",
        p_adjusted=float(test.p),
        alpha=alpha,
        floor=float(test.floor),
        n=len(null),
        key=key,
    )


def random_circuits(search: Search, circuit: Circuit, draws: int, seed: int) -> list[Circuit]:
    """Sets outside the circuit with as many components in each layer."""
    matched = matched_sets(circuit, search.layers, search.width, draws, draws, seed)
    return list(matched.circuits)


def other_circuits(
    search: Search, circuit: Circuit, cell: str, draws: int, seed: int
) -> tuple[list[Circuit], list[Circuit]]:
    """What a circuit is compared with: random sets and same-process circuits, all of its size.

    A same-process circuit costs some questions and spares others. Without that a search between
    halves that hardly differ would find what both need: the circuit of the process itself.

    Args:
        search: That found it.
        circuit: The judged one.
        cell: Its target: the others are found between questions of this cell.
        draws: Of each sort, at most.
        seed: Of both.
    """
    same = [
        search.ranking(rows, sparing=True).top(len(circuit))
        for rows in same_process_rows(search.prompts, cell, draws, seed)
    ]
    return random_circuits(search, circuit, draws, seed), same
