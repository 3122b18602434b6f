"""Choosing how to steer, on discovery pairs that the direction has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.activations.swept import SweepResult
from harness.findings.circuits.measure import part
from harness.findings.direction.vectors import Directions
from harness.findings.steering.steering import (
    Arm,
    Fitted,
    Moved,
    fit,
    isotropic,
    moved,
    neutral_prompts,
    of_the_spread,
    steered,
)
from harness.interventions.sites import Positions
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study

Score = Callable[[Sequence[Arm]], Float[np.ndarray, " arm"]]


@dataclass(frozen=True, slots=True)
class SteeringRule:
    """The numbers of the steering predictions, from the hypothesis file.

    Attributes:
        doses: Of adding, in multiples of the difference in means, rising.
        scales: s of rescaling, x + s (x . r) r: shown.
        positions: Which tokens are edited.
        alpha: Of every test.
        lift: Share of the intact logit difference that adding must gain one task against the
            other; rounding alone gives 1e-5.
        margin: A task is spared if less than this share of its right answers is lost.
        cost: KL divergence on neutral prompts, nats, that a dose may cost to be chosen.
        choosing: Discovery pairs that layer, edit and dose are chosen on, at most.
        judged: Evaluation pairs, at most.
        directions: Random directions of each kind that an effect must exceed.
        control_pairs: Pairs that these, costs and dose curves are measured on, at most.
        band: Random directions for the doses that are only drawn.
        least: Items without which nothing is judged.
        tokens: Written by greedy generation.
    """

    doses: tuple[float, ...]
    scales: tuple[float, ...]
    positions: Positions
    alpha: float
    lift: float
    margin: float
    cost: float
    choosing: int
    judged: int
    directions: int
    control_pairs: int
    band: int
    least: int
    tokens: int


@dataclass(frozen=True)
class Steer:
    """A study with its direction fitted."""

    study: Study
    rule: SteeringRule
    fitted: Fitted

    @classmethod
    def of(cls, study: Study, rule: SteeringRule) -> "Steer":
        """Fit on half of the discovery pairs."""
        return cls(study, rule, fit(study))

    def run(
        self, prompts: PromptSet, arms: Sequence[Arm], others: Sequence[Directions] = ()
    ) -> SweepResult:
        """Prompts under arms; direction 0 is the fitted one, from 1 on are the others."""
        every = (self.fitted.directions, *others)
        return steered(self.study.subject, prompts, arms, every, self.rule.positions)

    def both(
        self, prompts: PromptSet, arms: Sequence[Arm], others: Sequence[Directions] = ()
    ) -> tuple[Moved, Moved]:
        """What arms do to the first and to the second task."""
        result = self.run(prompts, arms, others)
        first, second = (moved(result, prompts, task) for task in self.study.prompts.tasks)
        return first, second

    def choosing(self, prompts: PromptSet, limit: int | None = None) -> PromptSet:
        """The part of some prompts that choices are made on."""
        unseen = prompts.where(lambda i: i.pair in self.fitted.choosing)
        return part(unseen, DISCOVERY, tuple(unseen.count()), limit or self.rule.choosing)

    @property
    def to_choose(self) -> PromptSet:
        """The two tasks' items that choices are made on."""
        return self.choosing(self.study.prompts.where(lambda i: i.task in self.study.prompts.tasks))

    def judged(self, tasks: Sequence[str], limit: int | None = None) -> PromptSet:
        """Evaluation items of some tasks."""
        return part(self.study.prompts, EVALUATION, tasks, limit or self.rule.judged)

    def random(self) -> list[Directions]:
        """Random directions: half of them isotropic, then as many spread like the stream."""
        count, seed = self.rule.directions, self.study.plan.seed
        return [d for draw in (isotropic, of_the_spread) for d in draw(self.fitted, count, seed)]

    def cost(self, arms: Sequence[Arm], split: str) -> dict[str, Float[np.ndarray, "arm prompt"]]:
        """KL(intact || steered) of the next token on neutral prompts, nats, by kind of them."""
        neutral, limit = neutral_prompts(self.study.prompts), self.rule.control_pairs
        if split == DISCOVERY:
            neutral = self.choosing(neutral, limit)
        else:
            neutral = part(neutral, split, tuple(neutral.count()), limit)
        divergence = np.asarray(self.run(neutral, arms).divergence)
        kind = np.array([i.task for i in neutral.items])
        return {task: divergence[:, kind == task] for task in neutral.count()}


@dataclass(frozen=True, slots=True)
class Chosen:
    """How to steer.

    Attributes:
        arm: The best of those considered.
        considered: How many these were.
        within: Whether it costs no more than may be; if not, none did, and it costs least.
        cost: What it cost on the neutral prompts of the choice, nats.
    """

    arm: Arm
    considered: int
    within: bool
    cost: float

    def __str__(self) -> str:
        bound = "" if self.within else "; none was within the cost allowed, this one costs least"
        return f"{self.arm}, best of {self.considered}{bound}"


def contrast(first: Moved, second: Moved) -> Float[np.ndarray, " arm"]:
    """Change of the second task minus that of the first, each as a share of what was intact."""
    arms = range(len(first.logit_difference))
    return np.array([second.share(arm) - first.share(arm) for arm in arms])


def mean_cost(costs: Mapping[str, Float[np.ndarray, "arm prompt"]]) -> Float[np.ndarray, " arm"]:
    """Mean over kinds of neutral prompts, each counting the same."""
    return np.asarray(np.mean([c.mean(1) for c in costs.values()], axis=0))


def lost(task: Moved, arm: int) -> float:
    """Accuracy lost; below 0 if gained."""
    scored = task.scored
    return float((task.before - task.after[arm])[scored].mean())


def choose_added(steer: Steer, score: Score, sign: int) -> Chosen:
    """The layer that does best with the whole direction; there or everywhere, the best dose.

    `sign` is +1 towards the second task, -1 away from it; the largest `score` is best.
    """
    layers = steer.fitted.layers
    alone = score([Arm("add", (layer,), sign) for layer in layers])
    scopes: list[tuple[int, ...]] = [(layers[int(np.argmax(alone))],)]
    if len(layers) > 1:
        scopes.append(layers)
    grid = [Arm("add", scope, sign * dose) for scope in scopes for dose in steer.rule.doses]
    costs = mean_cost(steer.cost(grid, DISCOVERY))
    allowed = costs <= steer.rule.cost
    best = int(np.argmax(np.where(allowed, score(grid), -np.inf) if allowed.any() else -costs))
    considered = len(layers) + len(grid)
    return Chosen(grid[best], considered, bool(allowed.any()), float(costs[best]))


def choose_taken(steer: Steer) -> Chosen:
    """Where to project the direction out: what costs the second task most and the first least.

    Of arms that do equally well in accuracy, the one that does best in logit difference.
    """
    arms = taken(steer)
    found = first, second = steer.both(steer.to_choose, arms)
    by_accuracy = [round(lost(second, i) - lost(first, i), 6) for i in range(len(arms))]
    by_logits = -contrast(*found)
    best = max(range(len(arms)), key=lambda i: (by_accuracy[i], by_logits[i]))
    cost = float(mean_cost(steer.cost([arms[best]], DISCOVERY))[0])
    return Chosen(arms[best], len(arms), cost <= steer.rule.cost, cost)


def taken(steer: Steer) -> list[Arm]:
    """The direction projected out at one layer after the other, and at all of them."""
    layers = steer.fitted.layers
    scopes = [*((layer,) for layer in layers), *([layers] if len(layers) > 1 else [])]
    return [Arm("project out", scope) for scope in scopes]
