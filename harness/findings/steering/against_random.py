"""An effect of the fitted direction against the same edit along random directions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness.findings.effects import effects_on_all
from harness.findings.steering.selection import SteeringStudy
from harness.interventions.directions import Directions
from harness.interventions.interventions import Intervention


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

    def split(self, count: int) -> "tuple[AgainstRandom, AgainstRandom]":
        """Against the first `count` random directions, and against the rest."""
        first, rest = self.draws[:count], self.draws[count:]
        return replace(self, draws=first), replace(self, draws=rest)


def along_each(intervention: Intervention, others: Sequence[Directions]) -> list[Intervention]:
    """The intervention along the fitted direction, then along each of the others."""
    return [intervention, *(replace(intervention, direction=1 + i) for i in range(len(others)))]


def added_against(
    steering: SteeringStudy, intervention: Intervention, others: Sequence[Directions]
) -> tuple[AgainstRandom, AgainstRandom]:
    """The contrast between the tasks, then the share that the second task itself gains.

    Each along the fitted direction and along each of the others.
    """
    prompts = steering.evaluation_items(pairs=steering.rule.random.pairs)
    effects = steering.both(prompts, along_each(intervention, others), others)
    contrast, gain = (
        AgainstRandom(float(values[0]), values[1:], effects.n)
        for values in (effects.contrasts, effects.second.share)
    )
    return contrast, gain


def loss_against(steering: SteeringStudy, intervention: Intervention) -> AgainstRandom:
    """What the second task loses by an intervention, and by the same along random directions."""
    others, task = steering.isotropic_directions(), steering.tasks[1]
    prompts = steering.evaluation_items([task], pairs=steering.rule.random.pairs)
    interventions = along_each(intervention, others)
    second = effects_on_all(steering.run(prompts, interventions, others), prompts, task)
    value, *draws = second.cost.tolist()
    return AgainstRandom(value, np.array(draws), int(second.scored.sum()))
