"""Selecting how to steer, on discovery pairs that the direction was not fitted on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.activations.swept import SweepResult
from harness.findings.effects import effects_on_all, part
from harness.findings.steering.effects import BothTasks
from harness.findings.steering.fitting import (
    FittedDirection,
    fit,
    isotropic,
    neutral_prompts,
    spread_like_stream,
)
from harness.findings.steering.rule import SteeringRule
from harness.findings.sweeps import swept
from harness.interventions.directions import Directions
from harness.interventions.interventions import ADD, PROJECT_OUT, Intervention, Method
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study

Score = Callable[[Sequence[Intervention]], Float[np.ndarray, " intervention"]]


@dataclass(frozen=True)
class SteeringStudy:
    """A study whose direction is fitted: runs it edited, on the prompts of each purpose."""

    study: Study
    rule: SteeringRule
    fitted: FittedDirection

    @classmethod
    def fit(cls, study: Study, rule: SteeringRule) -> "SteeringStudy":
        """Fit the direction on half of the discovery pairs."""
        return cls(study, rule, fit(study))

    @property
    def tasks(self) -> tuple[str, str]:
        """The first and the second task; the direction points to the second."""
        return self.study.prompts.tasks

    def along(
        self, method: Method, layers: tuple[int, ...], dose: float = 1.0, direction: int = 0
    ) -> Intervention:
        """An edit of the stream after some layers, at the rule's tokens.

        Direction 0 is the fitted one.
        """
        sites = tuple(Site("resid", layer) for layer in layers)
        return Intervention(sites, method, self.rule.edits.positions, dose, direction)

    def run(
        self,
        prompts: PromptSet,
        interventions: Sequence[Intervention],
        others: Sequence[Directions] = (),
    ) -> SweepResult:
        """Prompts under interventions; direction 0 is the fitted one, the others count from 1."""
        directions = (self.fitted.directions, *others)
        return swept(self.study.subject, prompts, interventions, directions=directions)

    def both(
        self,
        prompts: PromptSet,
        interventions: Sequence[Intervention],
        others: Sequence[Directions] = (),
    ) -> BothTasks:
        """What interventions do to the first and to the second task."""
        result = self.run(prompts, interventions, others)
        first, second = (effects_on_all(result, prompts, task) for task in self.tasks)
        return BothTasks(first, second)

    def selection_items(self) -> PromptSet:
        """The two tasks' items that layer, edit and dose are selected on."""
        tasks = self.study.prompts.where(lambda i: i.task in self.tasks)
        return self._unseen(tasks, self.rule.selection.pairs)

    def evaluation_items(
        self, tasks: Sequence[str] | None = None, *, pairs: int | None = None
    ) -> PromptSet:
        """Evaluation items: of both tasks and of as many pairs as are judged, unless told."""
        limit = pairs or self.rule.criterion.pairs
        return part(self.study.prompts, EVALUATION, tasks or self.tasks, limit)

    def _unseen(self, prompts: PromptSet, pairs: int) -> PromptSet:
        """The discovery pairs that the direction was not fitted on."""
        unseen = prompts.where(lambda i: i.pair in self.fitted.unseen)
        return part(unseen, DISCOVERY, tuple(unseen.count()), pairs)

    def isotropic_directions(self) -> list[Directions]:
        """Random directions that point anywhere."""
        return isotropic(self.fitted, self.rule.random.count, self.study.plan.seed)

    def spread_directions(self) -> list[Directions]:
        """As many random directions that are spread like the stream."""
        return spread_like_stream(self.fitted, self.rule.random.count, self.study.plan.seed)

    def cost(
        self, interventions: Sequence[Intervention], split: str
    ) -> dict[str, Float[np.ndarray, "intervention prompt"]]:
        """KL(intact || steered) of the next token on neutral prompts, nats, by their kind."""
        neutral, pairs = neutral_prompts(self.study.prompts), self.rule.random.pairs
        if split == DISCOVERY:
            neutral = self._unseen(neutral, pairs)
        else:
            neutral = part(neutral, split, tuple(neutral.count()), pairs)
        divergence = np.asarray(self.run(neutral, interventions).divergence)
        kind = np.array([i.task for i in neutral.items])
        return {task: divergence[:, kind == task] for task in neutral.count()}


@dataclass(frozen=True, slots=True)
class SelectedSteering:
    """The way to steer that was selected.

    Attributes:
        intervention: The best of those considered.
        considered: How many these were.
        affordable: Whether its cost is allowed. If not, none was, and this one costs least.
    """

    intervention: Intervention
    considered: int
    affordable: bool

    def __str__(self) -> str:
        note = "" if self.affordable else "; none was within the cost allowed, this one costs least"
        return f"{self.intervention}, best of {self.considered}{note}"


def mean_cost(
    costs: Mapping[str, Float[np.ndarray, "intervention prompt"]],
) -> Float[np.ndarray, " intervention"]:
    """Mean over kinds of neutral prompts, each counting the same."""
    return np.asarray(np.mean([c.mean(1) for c in costs.values()], axis=0))


def select_added(steering: SteeringStudy, score: Score) -> SelectedSteering:
    """The layer that scores best at dose 1; there or at every layer, the dose that scores best.

    The largest `score` is best.
    """
    layers, rule = steering.fitted.layers, steering.rule
    by_layer = score([steering.along(ADD, (layer,)) for layer in layers])
    scopes: list[tuple[int, ...]] = [(layers[int(np.argmax(by_layer))],)]
    if len(layers) > 1:
        scopes.append(layers)
    grid = [steering.along(ADD, scope, dose) for scope in scopes for dose in rule.edits.doses]
    costs = mean_cost(steering.cost(grid, DISCOVERY))
    allowed = costs <= rule.selection.cost
    best = int(np.argmax(np.where(allowed, score(grid), -np.inf) if allowed.any() else -costs))
    return SelectedSteering(grid[best], len(layers) + len(grid), bool(allowed.any()))


def select_projection(steering: SteeringStudy) -> SelectedSteering:
    """Where to project the direction out: what costs the second task most and the first least."""
    interventions = projections(steering)
    effects = steering.both(steering.selection_items(), interventions)
    best = int(np.argmin(effects.contrasts))
    cost = float(mean_cost(steering.cost([interventions[best]], DISCOVERY))[0])
    affordable = cost <= steering.rule.selection.cost
    return SelectedSteering(interventions[best], len(interventions), affordable)


def projections(steering: SteeringStudy) -> list[Intervention]:
    """The direction projected out at each layer alone, and at all of them."""
    layers = steering.fitted.layers
    scopes = [*((layer,) for layer in layers), *([layers] if len(layers) > 1 else [])]
    return [steering.along(PROJECT_OUT, scope) for scope in scopes]
