"""The search for a circuit: what costs one group of questions most and others least."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import Circuit, CircuitKind, Member, ranked, shape, sizes
from harness.findings.circuits.neuron_scores import neuron_scores
from harness.findings.effects import means
from harness.findings.processes.circuit import (
    CircuitRule,
    Parts,
    beyond_most,
    rows_of_cells,
    searchable,
)
from harness.findings.processes.kinds import Process
from harness.findings.sweeps import swept
from harness.interventions.interventions import INTACT, MEAN, Intervention
from harness.materials.items import Item, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate

SCREENED = 4  # one in so many stories is asked of every head, one in so many heads of every story


@dataclass(frozen=True, slots=True)
class Found:
    """A circuit and how it was found, all on the selection prompts.

    Attributes:
        ranking: Every component, best first.
        size: The smallest dose within a standard error of the best.
        score: What the target loses beyond the most of the others, as a circuit is judged by it.
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

    def circuit_of(self, cell: str) -> Found:
        """The components that cost a cell most and the other cells least."""
        return self.circuit(rows_of_cells(self.prompts, cell))

    def circuit(self, groups: Sequence[np.ndarray]) -> Found:
        """The components that cost the first group most and the others least.

        Where the first order gives no circuit that serves the group and spares the others, two more
        are tried. Parts that all groups share may cost the group most: those that cost another one
        more than the margin are ranked last. And a head may stand in for another one, so that
        neither costs much alone: heads are ranked once more with the best one ablated, all of them
        on some stories, and those that cost most there on all.

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
            after = self._order(self._costs_beside(best, groups), groups)
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

    def lost(
        self, interventions: Sequence[Intervention], rows: np.ndarray | None = None
    ) -> Float[np.ndarray, "set item"]:
        """What each costs each item's logit difference, nats; nan where the answer was wrong.

        Every site takes its mean over the selection prompts.

        Args:
            interventions: Of the sets.
            rows: The items that are asked; nan for the others. By default all.
        """
        part = self.prompts
        if rows is not None and not rows.all():
            kept = {item.id for item, row in zip(part.items, rows, strict=True) if row}
            part = part.where(lambda item: item.id in kept)
        found = swept(self.study.subject, part, interventions, means_over=self.prompts)
        lost = np.full((len(interventions), len(self.prompts)), np.nan)
        lost[:, slice(None) if rows is None else rows] = np.where(
            found.answered, found.lost, np.nan
        )
        return lost

    @property
    def _heads(self) -> list[Circuit]:
        """Every head as a circuit of its own."""
        each = ranked(self.kind, np.zeros((self.layers, self.width)))
        return [
            replace(each, layer=each.layer[n : n + 1], index=each.index[n : n + 1])
            for n in range(len(each))
        ]

    def _head_costs(self) -> Float[np.ndarray, "item layer head"]:
        """What the loss of each head takes."""
        each = [Intervention(circuit.sites, MEAN) for circuit in self._heads]
        return self.lost(each).T.reshape(-1, self.layers, self.width)

    def _costs_beside(
        self, best: Circuit, groups: Sequence[np.ndarray]
    ) -> Float[np.ndarray, "item layer head"]:
        """What the loss of each head takes where the best one is ablated too.

        For the heads that cost little beside it on some stories, what it takes without.
        """
        every = [best.union(head) for head in self._heads]
        beside = [Intervention(circuit.sites, MEAN) for circuit in every]
        alone = self.lost([Intervention(best.sites, MEAN)])[0]
        shape = (-1, self.layers, self.width)
        some = self.lost(beside, self._stories(groups)) - alone
        order = np.argsort(-self._order(some.T.reshape(shape), groups).ravel(), kind="stable")
        most = order[: math.ceil(len(every) / SCREENED)]
        costs = self.costs.reshape(len(alone), -1).copy()
        costs[:, most] = (self.lost([beside[number] for number in most]) - alone).T
        return costs.reshape(shape)

    def _stories(self, groups: Sequence[np.ndarray]) -> np.ndarray:
        """Items of one story in `SCREENED`; of all where these tell nothing of a group."""
        number = {key: at for at, key in enumerate(dict.fromkeys(map(_story, self.prompts.items)))}
        rows = np.array([number[_story(item)] % SCREENED == 0 for item in self.prompts.items])
        right = ~np.isnan(self.costs[:, 0, 0])
        told = all((rows & right & group).any() for group in groups)
        return rows if told else np.ones_like(rows)

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
        right = ~np.isnan(costs[:, 0, 0])
        lost = [self._mean_cost(costs, rows) for rows in groups]
        beyond = beyond_most(lost, self._heights(groups, right))
        last = beyond - np.nanmax(beyond) + np.nanmin(beyond) - 1.0
        worst = np.max(lost[1:], axis=0)
        return np.where(worst > self.rule.margin, last, beyond) if sparing else beyond

    def _heights(self, groups: Sequence[np.ndarray], right: np.ndarray) -> list[float]:
        """Mean intact logit difference of each group's right answers, nats."""
        return [float(self.intact[rows & right].mean()) for rows in groups]

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
        heights = self._heights(groups, ~np.isnan(lost[0]))
        shares = [lost[:, rows] / height for rows, height in zip(groups, heights, strict=True)]
        own, *others = (means(values[:-1]) for values in shares)
        worst = np.max(others, axis=0)
        score = beyond_most([own, *others], heights)
        at = _smallest_as_good(score, shares[0][:-1])
        everything = float(means(shares[0][-1:])[0])
        of_all = float(own[at]) / everything if everything > 0 else 0.0
        serves = of_all >= self.rule.target and float(worst[at]) <= self.rule.margin
        return Found(ranking, doses[at], float(score[at]), of_all, serves)


def _story(item: Item) -> object:
    """What an item shares with the questions that are asked about the same story."""
    return item.premises or item.pair


def _smallest_as_good(
    score: Float[np.ndarray, " dose"], target: Float[np.ndarray, "dose item"]
) -> int:
    """The first dose within one standard error of the best."""
    best = int(np.nanargmax(score))
    spread = np.sqrt(np.nanvar(target[best]) / np.count_nonzero(~np.isnan(target[best])))
    return int(np.argmax(score >= score[best] - spread))


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
