"""Doses of the direction, from the largest away from the second task to the largest towards it."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.findings.steering.effects import BothTasks
from harness.findings.steering.fitting import isotropic
from harness.findings.steering.selection import SteeringStudy
from harness.interventions.interventions import ADD

BAND_PAIRS = 8  # evaluation pairs that random directions are measured on


@dataclass(frozen=True, slots=True)
class DoseGrid:
    """What doses do to both tasks, along the fitted direction and along random ones.

    Attributes:
        doses: Of the fitted direction, rising from below 0.
        fitted: Its effects, one intervention a dose.
        random: Effects of random directions: doses above 0 rising, the directions at each.
        directions: How many random directions there are at each dose.
        where: The layers edited, in words.
    """

    doses: Sequence[float]
    fitted: BothTasks
    random: BothTasks
    directions: int
    where: str


def measure_doses(steering: SteeringStudy, layers: tuple[int, ...]) -> DoseGrid:
    """Every dose added after some layers, on evaluation items."""
    rule = steering.rule
    above = rule.edits.doses
    doses = [*(-dose for dose in above[::-1]), *above]
    others = isotropic(steering.fitted, rule.random.band, steering.study.plan.seed)
    fitted = [steering.along(ADD, layers, dose) for dose in doses]
    random = [
        steering.along(ADD, layers, dose, 1 + i) for dose in above for i in range(len(others))
    ]
    return DoseGrid(
        doses,
        steering.both(steering.evaluation_items(pairs=rule.random.pairs), fitted),
        steering.both(steering.evaluation_items(pairs=BAND_PAIRS), random, others),
        rule.random.band,
        fitted[0].where,
    )
