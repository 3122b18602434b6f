"""What the steering findings measure: how to steer is selected, then evaluation items are steered.

Nothing is decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness.findings.direction.search import direction_gate
from harness.findings.effects import TaskEffects, effects_on_all, part
from harness.findings.steering.against_random import (
    AgainstRandom,
    added_against,
    along_each,
    loss_against,
)
from harness.findings.steering.doses import DoseGrid, measure_doses
from harness.findings.steering.effects import BothTasks
from harness.findings.steering.gates import room_gate, scored_gates, steering_gates
from harness.findings.steering.manipulation import manipulation_gates
from harness.findings.steering.pool import Pool, pool_of, pool_with_room
from harness.findings.steering.rule import SteeringRule
from harness.findings.steering.selection import (
    SelectedSteering,
    SteeringStudy,
    projections,
    select_added,
    select_projection,
)
from harness.findings.steering.side_effects import (
    SideEffects,
    evaluation_cost,
    measure_side_effects,
)
from harness.interventions.interventions import ADD, RECENTRE, RESCALE, Intervention
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

PUBLISHED_SCALE = 0.1  # of the published rescaling, at every layer
LEAST_WRONG = 10  # wrong discovery items to select with
LEAST_CORRECT = 10  # correct evaluation items, which must stay right


@dataclass(frozen=True, slots=True)
class Added:
    """Adding the direction.

    Attributes:
        toward: The best way to move the second task up against the first.
        away: The same with the opposite sign.
        interventions: What was run: these two, and rescalings, the published one among them.
        prompts: Evaluation items of both tasks.
        effects: Of every intervention on them.
        pool: Items of the second task whose answers can rise and fall.
        own: Of `toward` and of `away` on the evaluation items of the pool.
        isotropic: The contrast of `toward` against isotropic random directions; then what the
            second task itself gains, in shares of its intact logit difference.
        spread: The same two against directions that are spread like the stream.
        away_random: The contrast of `away` against isotropic random directions.
        side_effects: Of `toward` and of `away`.
        doses: Other doses where `toward` edits.
        gates: All of them met.
    """

    steering: SteeringStudy
    toward: SelectedSteering
    away: Intervention
    interventions: list[Intervention]
    prompts: PromptSet
    effects: BothTasks
    pool: Pool
    own: TaskEffects
    isotropic: tuple[AgainstRandom, AgainstRandom]
    spread: tuple[AgainstRandom, AgainstRandom]
    away_random: AgainstRandom
    side_effects: SideEffects
    doses: DoseGrid
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Projected:
    """Projecting the direction out.

    Attributes:
        selected: Where it costs the second task most and the first least.
        interventions: What was run: this, every layer alone and all of them, and recentring.
        prompts: Evaluation items of both tasks.
        effects: Of every intervention on them.
        random: Accuracy of the second task lost, against isotropic random directions.
        side_effects: Of the selected intervention.
        gates: All of them met.
    """

    steering: SteeringStudy
    selected: SelectedSteering
    interventions: list[Intervention]
    prompts: PromptSet
    effects: BothTasks
    random: AgainstRandom
    side_effects: SideEffects
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """Adding the direction on items that the intact model answers wrong.

    Attributes:
        pool: Where these items are from.
        toward: The best way to move them towards the answer.
        effects: In row 0 of this; then of isotropic random directions, then of as many that are
            spread like the stream. Wrong items differ widely, so random directions are run on
            all of them too.
        on_correct: Of `toward` on items that are answered correctly.
        cost: Of `toward` on neutral prompts, nats, by their kind.
        gates: All of them met.
    """

    steering: SteeringStudy
    pool: Pool
    toward: SelectedSteering
    effects: TaskEffects
    on_correct: TaskEffects
    cost: dict[str, Float[np.ndarray, " prompt"]]
    gates: tuple[Gate, ...]

    @property
    def changes(self) -> Float[np.ndarray, " pair"]:
        """Change of the logit difference of every wrong item, nats."""
        return np.asarray(self.effects.logit_difference[0, self.effects.scored])

    @property
    def relations(self) -> np.ndarray:
        """Of these items."""
        return np.asarray(self.effects.relations[self.effects.scored])

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

    def score(interventions: Sequence[Intervention]) -> Float[np.ndarray, " intervention"]:
        return steering.both(to_select, interventions).contrasts

    toward = select_added(steering, score)
    gates = require(*gates, *manipulation_gates(steering, toward.intervention))
    away = replace(toward.intervention, dose=-toward.intervention.dose)
    interventions, prompts = (
        _interventions_shown(steering, toward.intervention, away),
        steering.evaluation_items(),
    )
    effects = steering.both(prompts, interventions)
    gates = require(*gates, *scored_gates(steering, effects))
    pool = pool_with_room(steering)
    gates = require(*gates, room_gate(steering, pool))
    isotropic, spread = steering.isotropic_directions(), steering.spread_directions()
    random = added_against(steering, toward.intervention, [*isotropic, *spread])
    contrast, gain = (against.split(len(isotropic)) for against in random)
    return Added(
        steering=steering,
        toward=toward,
        away=away,
        interventions=interventions,
        prompts=prompts,
        effects=effects,
        pool=pool,
        own=_own_effects(steering, pool, [toward.intervention, away]),
        isotropic=(contrast[0], gain[0]),
        spread=(contrast[1], gain[1]),
        away_random=added_against(steering, away, isotropic)[0],
        side_effects=measure_side_effects(steering, [toward.intervention, away]),
        doses=measure_doses(steering, toward.intervention.layers),
        gates=gates,
    )


def measure_projected(study: Study, rule: SteeringRule, gate: float) -> Projected:
    """Select where to project the direction out, and do so on evaluation items.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    steering, gates = _fitted(study, rule, gate)
    selected = select_projection(steering)
    added = steering.along(ADD, selected.intervention.layers)
    gates = require(*gates, *manipulation_gates(steering, added))
    scopes = dict.fromkeys((selected.intervention.layers, steering.fitted.layers))
    interventions = [
        selected.intervention,
        *projections(steering),
        *(steering.along(RECENTRE, scope) for scope in scopes),
    ]
    prompts = steering.evaluation_items()
    effects = steering.both(prompts, interventions)
    gates = require(*gates, *scored_gates(steering, effects))
    return Projected(
        steering=steering,
        selected=selected,
        interventions=interventions,
        prompts=prompts,
        effects=effects,
        random=loss_against(steering, selected.intervention),
        side_effects=measure_side_effects(steering, [selected.intervention]),
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
    right = pool.items(EVALUATION, rule.criterion.pairs, correct=True)
    gates = require(
        *gates,
        _wrong_items_gate(to_select, judged, pool, rule),
        _right_gate(right),
        _capable_gate(pool),
    )

    def score(interventions: Sequence[Intervention]) -> Float[np.ndarray, " intervention"]:
        return effects_on_all(steering.run(to_select, interventions), to_select, pool.task).mean

    toward = select_added(steering, score)
    gates = require(*gates, *manipulation_gates(steering, toward.intervention))
    others = [*steering.isotropic_directions(), *steering.spread_directions()]
    result = steering.run(judged, along_each(toward.intervention, others), others)
    return Corrected(
        steering=steering,
        pool=pool,
        toward=toward,
        effects=effects_on_all(result, judged, pool.task),
        on_correct=effects_on_all(steering.run(right, [toward.intervention]), right, pool.task),
        cost=evaluation_cost(steering, toward.intervention),
        gates=gates,
    )


def _fitted(
    study: Study, rule: SteeringRule, gate: float
) -> tuple[SteeringStudy, tuple[Gate, ...]]:
    """The study with its direction fitted, and the gates that were met on the way."""
    gates = require(*steering_gates(study, gate))
    steering = SteeringStudy.fit(study, rule)
    return steering, require(*gates, direction_gate(bool(steering.fitted.layers)))


def _interventions_shown(
    steering: SteeringStudy, toward: Intervention, away: Intervention
) -> list[Intervention]:
    """What is judged, what goes the other way, and rescaling, the published edit among it."""
    layers = steering.fitted.layers
    scopes = dict.fromkeys((toward.layers, layers))
    rescaled = [
        steering.along(RESCALE, scope, scale)
        for scope in scopes
        for scale in steering.rule.edits.scales
    ]
    published = steering.along(RESCALE, layers, PUBLISHED_SCALE)
    return list(dict.fromkeys([toward, away, *rescaled, published]))


def _own_effects(
    steering: SteeringStudy, pool: Pool, interventions: Sequence[Intervention]
) -> TaskEffects:
    """What interventions do to the evaluation items of a pool."""
    items = part(pool.prompts, EVALUATION, (pool.task,), steering.rule.criterion.pairs)
    return effects_on_all(steering.run(items, interventions), items, pool.task)


def _wrong_items_gate(
    to_select: PromptSet, judged: PromptSet, pool: Pool, rule: SteeringRule
) -> Gate:
    least = rule.criterion.least
    reason = (
        f"the intact model gets {len(judged)} evaluation and {len(to_select)} discovery items "
        f"wrong ({pool.description}); {least} and {LEAST_WRONG} are needed"
    )
    return Gate("wrong items", len(judged) >= least and len(to_select) >= LEAST_WRONG, reason)


def _right_gate(right: PromptSet) -> Gate:
    reason = (
        f"the intact model gets {len(right)} evaluation items right, {LEAST_CORRECT} are needed"
    )
    return Gate("right items", len(right) >= LEAST_CORRECT, reason)


def _capable_gate(pool: Pool) -> Gate:
    found, met = f"{pool.description}; guessing gives {pool.guessing:.2f}", pool.above_guessing
    unmet = f"the intact model may be guessing ({found}): there may be no capability to activate"
    return Gate("above guessing", met, found if met else unmet)
