"""What steering does where the claim asks for nothing: neutral prompts, other tasks, free text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from harness.findings.effects import TaskEffects, effects_on_all, part
from harness.findings.steering.selection import SteeringStudy
from harness.interventions.interventions import Inputs, Intervention, interventions_address
from harness.materials.items import EVALUATION
from harness.study.generation import generated

if TYPE_CHECKING:
    from harness.interventions.edits import EditSet


@dataclass(frozen=True, slots=True)
class Text:
    """Greedy text of one task: whether each answer could be parsed, and whether it is correct."""

    task: str
    intervention: Intervention | None
    parsed: Float[np.ndarray, " item"]
    correct: Float[np.ndarray, " item"]


@dataclass(frozen=True, slots=True)
class SideEffects:
    """The side effects of some interventions.

    Attributes:
        interventions: The one that decides the claim first.
        cost: KL(intact || steered) of the first on neutral prompts, nats, by their kind.
        other_tasks: Effects on tasks that the claim does not name, such as lookup.
        texts: Greedy text of the intact model, then of the steered one.
    """

    interventions: Sequence[Intervention]
    cost: dict[str, Float[np.ndarray, " prompt"]]
    other_tasks: dict[str, TaskEffects]
    texts: list[Text]


def measure_side_effects(
    steering: SteeringStudy, interventions: Sequence[Intervention]
) -> SideEffects:
    """On evaluation items."""
    edited: list[Intervention | None] = [None]
    # Generated tokens are edited too, which is the same edit only if every token is edited.
    if steering.rule.edits.positions == "all":
        edited += interventions
    return SideEffects(
        interventions,
        evaluation_cost(steering, interventions[0]),
        _other_tasks(steering, interventions),
        [text for intervention in edited for text in _texts(steering, intervention)],
    )


def evaluation_cost(
    steering: SteeringStudy, intervention: Intervention
) -> dict[str, Float[np.ndarray, " prompt"]]:
    """The cost of one intervention on neutral prompts of the evaluation half, by their kind."""
    costs = steering.cost([intervention], EVALUATION)
    return {kind: cost[0] for kind, cost in costs.items()}


def _other_tasks(
    steering: SteeringStudy, interventions: Sequence[Intervention]
) -> dict[str, TaskEffects]:
    prompts = steering.study.prompts
    tasks = [task for task in prompts.count() if task not in steering.tasks]
    if not tasks:
        return {}
    items = part(prompts, EVALUATION, tasks, steering.rule.criterion.pairs)
    result = steering.run(items, interventions)
    return {task: effects_on_all(result, items, task) for task in tasks}


def _texts(steering: SteeringStudy, intervention: Intervention | None) -> list[Text]:
    prompts, directions = steering.evaluation_items(), (steering.fitted.directions,)
    edits: Callable[[], EditSet] = tuple
    address = ""
    if intervention is not None:
        edits = partial(intervention.edits, Inputs(directions=directions))
        address = interventions_address([intervention], directions)
    text = generated(steering.study.subject, prompts, steering.rule.tokens, edits, address)
    tasks = np.array([item.task for item in prompts.items])
    return [
        Text(task, intervention, text.parsed[tasks == task], text.right[tasks == task])
        for task in steering.tasks
    ]
