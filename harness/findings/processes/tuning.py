"""Components tuned to make the model unlearn a cell, and what every cell loses by it.

The loss names that cell alone, on discovery entities of some relations. Then all cells are asked
about other entities in other relations. All choices of components are tuned alike: on the same
items, by steps of the same length.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.findings.circuits.circuits import Circuit
from harness.findings.processes.circuit import Ablated, CircuitRule, costs_of, first_stories
from harness.findings.processes.kinds import CELLS, cell_of
from harness.findings.sweeps import swept
from harness.interventions.interventions import INTACT
from harness.interventions.steps import Steps
from harness.materials.items import Item, PromptSet
from harness.study.study import Study

if TYPE_CHECKING:
    from harness.adapter import Model

VERSION = 1  # raise it when the loss or the steps change their meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRule:
    """How far a circuit is tuned, and when its parameters alone move one ability.

    Attributes:
        circuit: How circuits are found, the rank among other ones, and what other cells may lose.
        lost: Share of its own logit difference that the target loses, at least.
        steps: How far the tuning goes; sizes are shares of the circuit's parameters.
    """

    circuit: CircuitRule
    lost: float
    steps: Steps


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the tuning of some components did.

    Attributes:
        costs: By cell and relation, in one column: the share of its logit difference that is lost.
        right: Of each cell, the share of answers right before that still are.
        steps: That were taken, or taken back.
        left: Of the logit difference of the items tuned on, nats, their mean.
    """

    costs: Ablated
    right: Mapping[str, float]
    steps: int
    left: float

    def lost(self, cell: str) -> float:
        """The mean over relations."""
        return float(self.costs.mean(cell)[0])

    def wrong(self, cell: str) -> float:
        """Share of right answers that become wrong, over relations."""
        return float(self.costs.wrong(cell)[0])

    def selectivity(self, target: str) -> float:
        """What the target loses beyond the cell that loses most of the others."""
        return float(self.costs.selectivity(target)[0])

    def beside(self, target: str) -> str:
        """What the other cells lose, in words."""
        return ", ".join(f"{cell} {self.lost(cell):.2f}" for cell in CELLS if cell != target)


@dataclass(frozen=True, slots=True)
class Tuning:
    """A way to tune, the same for every choice of components.

    Attributes:
        circuit: The judged one: the size of a step is measured by its parameters.
        unlearnt: The items that are unlearnt.
        steps: How far it goes.
    """

    study: Study
    circuit: Circuit
    unlearnt: PromptSet
    steps: Steps

    def of(self, chosen: Circuit | None, prompts: PromptSet, most: int) -> Tuned:
        """Tune components and ask all cells; from the store, or measured.

        The address names what was tuned and how, so that no answer of a tuned model is taken for
        one of the model.

        Args:
            chosen: The components; None for all parameters of the model.
            prompts: What is asked then.
            most: Steps.
        """
        kind, like = self.circuit.kind, self.circuit.members
        members = None if chosen is None else chosen.members
        steps = replace(self.steps, most=most)

        def measure(model: "Model", items: tuple[Item, ...]) -> dict[str, np.ndarray]:
            result, done = model.unlearned(
                self.unlearnt.items, items, kind, members, like=like, steps=steps
            )
            each = np.ones(len(items))
            return {
                "logit_difference": result.logit_difference[0],
                "correct": result.correct[0],
                "steps": each * done.steps,
                "left": each * done.answered[-1],
            }

        how = [kind, members and sorted(members), sorted(like), asdict(steps)]
        what = {
            "kind": "unlearned",
            "version": VERSION,
            "unlearnt": self.unlearnt.hash,
            "how": hashlib.sha256(json.dumps(how).encode()).hexdigest(),
        }
        subject = self.study.subject
        found = subject.fetch(what, prompts, measure, shard_size=len(prompts))  # tuned once
        before = swept(subject, prompts, [INTACT])
        now = {name: found[name][None] for name in ("logit_difference", "correct")}
        cells = np.array([cell_of(item) for item in prompts.items])
        asked = {cell: found["correct"][before.answered & (cells == cell)] for cell in CELLS}
        right = {cell: float(of.mean()) for cell, of in asked.items() if len(of)}
        costs = costs_of(replace(before, **now), prompts)
        return Tuned(costs, right, int(found["steps"][0]), float(found["left"][0]))


def to_unlearn(study: Study, prompts: PromptSet, cell: str) -> PromptSet:
    """The items of a cell that the model answers right, in the first story of each relation.

    Others cannot be unlearnt, and a step costs as much as all of the items do.
    """
    prompts = first_stories(prompts)
    right = swept(study.subject, prompts, [INTACT]).answered
    known = {item.id for item, is_right in zip(prompts.items, right, strict=True) if is_right}
    return prompts.where(lambda item: item.id in known and cell_of(item) == cell)
