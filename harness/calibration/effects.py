"""What the loss of each component costs each question, measured once; sets by their sum.

What a set costs is taken for the sum of what its components cost alone, but for the set of all of
a kind, which is measured. Labels may be any: effects of questions do not depend on them.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from harness.activations.swept import SweepResult
from harness.calibration.claims import claim_module
from harness.findings.circuits.circuits import CircuitKind, ranked
from harness.findings.processes.circuit import (
    Ablated,
    CircuitRule,
    Parts,
    Sited,
    costs_of,
    first_stories,
    rows_of_cells,
    searchable,
)
from harness.findings.processes.circuit_search import Found, Search
from harness.findings.processes.kinds import COMPOSING
from harness.findings.sweeps import swept
from harness.interventions.interventions import INTACT, MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import PromptSet
from harness.study.study import Study

KINDS: tuple[CircuitKind, ...] = ("head", "neuron")


@dataclass(frozen=True)
class Every:
    """What each component of a kind costs some prompts, and what all of them cost together."""

    search: Search
    together: Float[np.ndarray, " item"]

    @classmethod
    def of(cls, study: Study, kind: CircuitKind, prompts: PromptSet, rule: CircuitRule) -> "Every":
        """Measured, or from the store."""
        search = Search(study, kind, prompts, rule)
        everything = ranked(kind, np.zeros((search.layers, search.width)))
        return cls(search, search.lost([Intervention(everything.sites, MEAN)])[0])

    def rows(self, prompts: PromptSet) -> list[int]:
        """Where some of the prompts are, whatever their labels."""
        at = {item.id: row for row, item in enumerate(self.search.prompts.items)}
        return [at[item.id] for item in prompts.items]


class Summed(Search):
    """The search of h5 that takes what a set costs for the sum of its components.

    Args:
        every: Of a kind, on some prompts.
        prompts: Of these, under other labels; or some of them.
    """

    def __init__(self, every: Every, prompts: PromptSet) -> None:
        search, rows = every.search, every.rows(prompts)
        self.study, self.kind, self.rule = search.study, search.kind, search.rule
        self.layers, self.width, self.prompts = search.layers, search.width, prompts
        self.costs, self.intact = search.costs[rows], search.intact[rows]
        self.together = every.together[rows]

    def under(self, rule: CircuitRule) -> "Summed":
        """The same with as many draws as another claim asks for."""
        again = copy(self)
        again.rule = rule
        return again

    def lost(
        self, interventions: Sequence[Intervention], rows: np.ndarray | None = None
    ) -> Float[np.ndarray, "set item"]:
        """What the components of this kind in each set cost each item, nats."""
        lost = np.array([self._of(each.sites) for each in interventions])
        return lost if rows is None else np.where(rows, lost, np.nan)

    def _of(self, sites: Sequence[Site]) -> Float[np.ndarray, " item"]:
        members = [
            (site.layer, index)
            for site in sites
            if site.kind == self.kind
            for index in np.atleast_1d(np.array(site.index)).tolist()
        ]
        if len(members) == self.layers * self.width:
            return self.together
        layer, index = np.array(members, dtype=int).reshape(-1, 2).T
        return np.where(np.isnan(self.together), np.nan, self.costs[:, layer, index].sum(1))


@dataclass(frozen=True)
class Effects:
    """Every component measured on the prompts to search on and on those to judge on.

    Attributes:
        study: The model on its materials.
        parts: The prompts.
        searching, judging: By kind of component.
        intact: The answers to the prompts to judge on.
    """

    study: Study
    parts: Parts
    searching: Mapping[CircuitKind, Every]
    judging: Mapping[CircuitKind, Every]
    intact: SweepResult

    @classmethod
    def of(cls, study: Study) -> "Effects":
        """Measured, or from the store.

        Raises:
            Inconclusive: If a gate of the claims on circuits is unmet.
        """
        claim = claim_module("h5")
        _, parts = searchable(study, COMPOSING, claim.GATE)
        searching, judging = (
            {kind: Every.of(study, kind, prompts, claim.rule) for kind in KINDS}
            for prompts in (parts.selection, parts.judging)
        )
        intact = swept(study.subject, parts.judging, [INTACT])
        return cls(study, parts, searching, judging, intact)

    def labelled(self, selection: PromptSet, judging: PromptSet) -> "Labelled":
        """The same effects on questions with other labels."""
        return Labelled(self, Parts(selection, judging, first_stories(judging)))


@dataclass(frozen=True)
class Labelled:
    """Effects of components on questions under some labels."""

    effects: Effects
    parts: Parts

    @cached_property
    def searching(self) -> Mapping[CircuitKind, Summed]:
        """By kind of component."""
        return {k: Summed(each, self.parts.selection) for k, each in self.effects.searching.items()}

    @cached_property
    def judging(self) -> Mapping[CircuitKind, Summed]:
        """By kind of component."""
        return {k: Summed(each, self.parts.judging) for k, each in self.effects.judging.items()}

    def circuit(self, kind: CircuitKind, cell: str) -> Found:
        """What the search finds."""
        return self.searching[kind].circuit(rows_of_cells(self.parts.selection, cell))

    def ablated(self, circuits: Sequence[Sited]) -> Ablated:
        """What each circuit costs, on relations with a right answer in every cell.

        Raises:
            Inconclusive: If these are too few.
        """
        prompts = self.parts.judging
        rows = self.effects.judging["head"].rows(prompts)
        arrays = {name: a[..., rows] for name, a in self.effects.intact.arrays().items()}
        several = {n: np.repeat(a, len(circuits), 0) for n, a in arrays.items() if a.ndim == 2}
        sets = [Intervention(circuit.sites, MEAN) for circuit in circuits]
        lost = np.sum([np.nan_to_num(each.lost(sets)) for each in self.judging.values()], 0)
        several["logit_difference"] = arrays["clean_logit_difference"] - lost
        return costs_of(SweepResult(**{**arrays, **several}), prompts).answered()
