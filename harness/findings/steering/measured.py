"""What the steering findings measure: how to steer is selected, then evaluation items are steered.

Nothing is decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness.findings.direction.search import direction_gate
from harness.findings.effects import TaskEffects, effects_on_all
from harness.findings.steering.effects import BothTasks, accuracy_lost
from harness.findings.steering.gates import items_gates, steering_gates
from harness.findings.steering.pool import Pool, pool_of
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.selection import (
    SelectedSteering,
    SteeringStudy,
    projections,
    select_added,
    select_projection,
)
from harness.interventions.directions import Directions
from harness.interventions.interventions import RECENTRE, RESCALE, Intervention
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

PUBLISHED_SCALE = 0.1  # of the published rescaling, at every layer
LEAST_WRONG = 10  # wrong discovery items to select with
LEAST_CORRECT = 2  # correct items that an interval needs


@dataclass(frozen=True, slots=True, eq=False)
class AgainstRandom:
    """An effect of the fitted direction and of random ones, on the same pairs.

    Attributes:
        value: Along the fitted direction.
        draws: Along each random direction.
        n: Pairs.
    """

    value: float
    draws: Float[np.ndarray, " draw"]
    n: int


@dataclass(frozen=True, slots=True)
class Added:
    """Adding the direction.

    Attributes:
        toward: The best way to move the second task up against the first.
        away: The best way to do the opposite.
        arms: What was run: these two, and rescalings, the published one among them.
        prompts: Evaluation items of both tasks.
        effects: Of every arm on them.
        isotropic: The contrast of `toward` against isotropic random directions.
        spread: The same against directions that are spread like the stream.
        gates: All of them met.
    """

    steering: SteeringStudy
    toward: SelectedSteering
    away: SelectedSteering
    arms: list[Intervention]
    prompts: PromptSet
    effects: BothTasks
    isotropic: AgainstRandom
    spread: AgainstRandom
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Projected:
    """Projecting the direction out.

    Attributes:
        selected: Where it costs the second task most and the first least.
        arms: What was run: this, every layer alone and all of them, and recentring.
        prompts: Evaluation items of both tasks.
        effects: Of every arm on them.
        random: Accuracy of the second task lost, against isotropic random directions.
        gates: All of them met.
    """

    steering: SteeringStudy
    selected: SelectedSteering
    arms: list[Intervention]
    prompts: PromptSet
    effects: BothTasks
    random: AgainstRandom
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """Adding the direction on items that the intact model answers wrong.

    Attributes:
        pool: Where these items are from.
        toward: The best way to move them towards the answer.
        effects: Of this (arm 0), then of isotropic random directions, then of as many that are
            spread like the stream. Wrong items differ widely, so random directions are run on
            all of them too.
        on_correct: Of `toward` on items that are answered correctly; None if these are too few.
        gates: All of them met.
    """

    steering: SteeringStudy
    pool: Pool
    toward: SelectedSteering
    effects: TaskEffects
    on_correct: TaskEffects | None
    gates: tuple[Gate, ...]

    @property
    def changes(self) -> Float[np.ndarray, " pair"]:
        """Change of the logit difference of every wrong item, nats."""
        return np.asarray(self.effects.logit_difference[0, self.effects.scored])

    @property
    def random(self) -> tuple[AgainstRandom, AgainstRandom]:
        """Their mean against isotropic directions, and against spread ones."""
        value, *draws = self.effects.mean.tolist()
        isotropic, spread = np.split(np.array(draws), 2)
        n = len(self.changes)
        return AgainstRandom(value, isotropic, n), AgainstRandom(value, spread, n)


def measure_added(study: Study, rule: SteeringRule, gate: float) -> Added:
    """Select how to add the direction, and do so on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    steering, gates = _fitted(study, rule, gate)
    to_select = steering.selection_items()

    def score(arms: Sequence[Intervention]) -> Float[np.ndarray, " arm"]:
        return steering.both(to_select, arms).contrasts

    toward = select_added(steering, score, +1)
    away = select_added(steering, lambda arms: -score(arms), -1)
    arms, prompts = _added_arms(steering, toward, away), steering.evaluation_items()
    effects = steering.both(prompts, arms)
    gates = require(*gates, *items_gates(steering, effects))
    isotropic, spread = steering.isotropic_directions(), steering.spread_directions()
    random = contrast_against(steering, toward.arm, [*isotropic, *spread])
    return Added(
        steering=steering,
        toward=toward,
        away=away,
        arms=arms,
        prompts=prompts,
        effects=effects,
        isotropic=replace(random, draws=random.draws[: len(isotropic)]),
        spread=replace(random, draws=random.draws[len(isotropic) :]),
        gates=gates,
    )


def measure_projected(study: Study, rule: SteeringRule, gate: float) -> Projected:
    """Select where to project the direction out, and do so on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    steering, gates = _fitted(study, rule, gate)
    selected = select_projection(steering)
    scopes = dict.fromkeys((selected.arm.layers, steering.fitted.layers))
    arms = [
        selected.arm,
        *projections(steering),
        *(steering.along(RECENTRE, scope) for scope in scopes),
    ]
    prompts = steering.evaluation_items()
    effects = steering.both(prompts, arms)
    gates = require(*gates, *items_gates(steering, effects))
    return Projected(
        steering=steering,
        selected=selected,
        arms=arms,
        prompts=prompts,
        effects=effects,
        random=_loss_against_random(steering, selected.arm),
        gates=gates,
    )


def measure_corrected(study: Study, rule: SteeringRule, gate: float) -> Corrected:
    """Select how to move wrong items towards the answer, and do so on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    steering, gates = _fitted(study, rule, gate)
    pool = pool_of(steering)
    to_select = pool.items(DISCOVERY, rule.selection.pairs, correct=False)
    judged = pool.items(EVALUATION, rule.criterion.pairs, correct=False)
    gates = require(*gates, _wrong_items_gate(to_select, judged, pool, rule))

    def score(arms: Sequence[Intervention]) -> Float[np.ndarray, " arm"]:
        return effects_on_all(steering.run(to_select, arms), to_select, pool.task).mean

    toward = select_added(steering, score, +1)
    others = [*steering.isotropic_directions(), *steering.spread_directions()]
    result = steering.run(judged, along_each(toward.arm, others), others)
    return Corrected(
        steering=steering,
        pool=pool,
        toward=toward,
        effects=effects_on_all(result, judged, pool.task),
        on_correct=_on_correct_items(steering, pool, toward.arm),
        gates=gates,
    )


def _fitted(
    study: Study, rule: SteeringRule, gate: float
) -> tuple[SteeringStudy, tuple[Gate, ...]]:
    """The study with its direction fitted, and the gates that were met on the way."""
    gates = require(*steering_gates(study, gate))
    steering = SteeringStudy.fit(study, rule)
    return steering, require(*gates, direction_gate(bool(steering.fitted.layers)))


def _added_arms(
    steering: SteeringStudy, toward: SelectedSteering, away: SelectedSteering
) -> list[Intervention]:
    """What is judged, what goes the other way, and rescaling, the published edit among it."""
    layers = steering.fitted.layers
    scopes = dict.fromkeys((toward.arm.layers, layers))
    rescaled = [
        steering.along(RESCALE, scope, scale)
        for scope in scopes
        for scale in steering.rule.edits.scales
    ]
    published = steering.along(RESCALE, layers, PUBLISHED_SCALE)
    return list(dict.fromkeys([toward.arm, away.arm, *rescaled, published]))


def _wrong_items_gate(
    to_select: PromptSet, judged: PromptSet, pool: Pool, rule: SteeringRule
) -> Gate:
    least = rule.criterion.least
    reason = (
        f"the intact model gets {len(judged)} evaluation and {len(to_select)} discovery items "
        f"wrong ({pool.description}); {least} and {LEAST_WRONG} are needed"
    )
    return Gate("wrong items", len(judged) >= least and len(to_select) >= LEAST_WRONG, reason)


def _on_correct_items(steering: SteeringStudy, pool: Pool, arm: Intervention) -> TaskEffects | None:
    prompts = pool.items(EVALUATION, steering.rule.random.pairs, correct=True)
    if len(prompts) < LEAST_CORRECT:
        return None
    return effects_on_all(steering.run(prompts, [arm]), prompts, pool.task)


def along_each(arm: Intervention, others: Sequence[Directions]) -> list[Intervention]:
    """The arm along the fitted direction, then along each of the others."""
    return [arm, *(replace(arm, direction=1 + i) for i in range(len(others)))]


def contrast_against(
    steering: SteeringStudy, arm: Intervention, others: Sequence[Directions]
) -> AgainstRandom:
    """The contrast between the tasks under an arm, and under the same along other directions."""
    prompts = steering.evaluation_items(pairs=steering.rule.random.pairs)
    effects = steering.both(prompts, along_each(arm, others), others)
    contrasts = effects.contrasts
    return AgainstRandom(float(contrasts[0]), contrasts[1:], effects.n)


def _loss_against_random(steering: SteeringStudy, arm: Intervention) -> AgainstRandom:
    """The second task's accuracy that an arm loses, and that random directions lose."""
    others, task = steering.isotropic_directions(), steering.tasks[1]
    prompts = steering.evaluation_items([task], pairs=steering.rule.random.pairs)
    arms = along_each(arm, others)
    second = effects_on_all(steering.run(prompts, arms, others), prompts, task)
    value, *draws = [accuracy_lost(second, i) for i in range(len(arms))]
    return AgainstRandom(value, np.array(draws), int(second.scored.sum()))
