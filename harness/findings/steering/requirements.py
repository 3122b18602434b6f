"""Requirements that the steering findings share."""

from dataclasses import replace

import numpy as np

from harness.findings.effects import TaskEffects
from harness.findings.requirements import beyond_chance, interval
from harness.findings.steering.against_random import AgainstRandom
from harness.findings.steering.effects import accuracy_change
from harness.findings.steering.selection import SteeringStudy
from harness.verdicts.evidence import Control, Effect, Evidence
from harness.verdicts.wording import NEGLIGIBLE


def beyond_isotropic(
    name: str, unit: str, against: AgainstRandom, steering: SteeringStudy
) -> Evidence:
    """The requirement that an effect lie beyond the 95th percentile of isotropic directions."""
    what = "random directions of the same length"
    effect, alpha = Effect(unit, against.value), steering.rule.criterion.alpha
    return beyond_chance(name, effect, against.draws, what, alpha=alpha, n=against.n)


def spread_control(against: AgainstRandom, what: str = "") -> Control:
    """Random directions that lie where the stream lies must do less.

    Args:
        against: Their effects.
        what: The effect, where a finding compares several.
    """
    top = float(np.quantile(against.draws, 0.95, method="higher"))
    name = "directions spread like the stream, 95th percentile"
    return Control(
        f"{what}, {name}" if what else name,
        top,
        top < against.value,
        note=f"{len(against.draws)} of the same length, of what tells prompts of one task apart; "
        f"must stay below {against.value:.2f}",
    )


def logit_gained(name: str, task: TaskEffects, row: int, steering: SteeringStudy) -> Evidence:
    """The requirement that the logit difference rise, or fall where the row is the other way.

    Args:
        name: Of the requirement.
        task: Rows: towards the task, then away from it.
        row: 0 or 1.
        steering: Has the plan of the intervals.
    """
    along = (1, -1)[row] * task.logit_difference[row, task.scored]
    effect = Effect(
        "nats",
        float(along.mean(dtype=np.float64)),
        interval(along, steering.study, task.relations[task.scored]),
        method=f"accuracy {accuracy_change(task, row)}",
    )
    return Evidence(name, effect, threshold=NEGLIGIBLE, relation=">", n=len(along))


def share_lost(name: str, task: TaskEffects, steering: SteeringStudy, method: str) -> Evidence:
    """The share of a task's logit difference that is lost in row 0, with its interval."""
    lost = task.costs[0, task.scored]
    effect = Effect(
        "share of the logit difference",
        float(lost.mean(dtype=np.float64)),
        interval(lost, steering.study, task.relations[task.scored]),
        method=method,
    )
    return Evidence(name, effect, n=len(lost))


def share_gained(name: str, task: TaskEffects, steering: SteeringStudy) -> Evidence:
    """The requirement that a task gain the smallest share of interest of its logit difference."""
    lost = share_lost(name, task, steering, f"accuracy {accuracy_change(task, 0)}")
    low, high = lost.effect.interval or (np.nan, np.nan)
    gained = replace(lost.effect, value=0.0 - lost.effect.value, interval=(0.0 - high, 0.0 - low))
    return replace(lost, effect=gained, threshold=steering.rule.criterion.lift, relation=">")


def task_spared(name: str, task: TaskEffects, steering: SteeringStudy) -> Evidence:
    """The requirement that a task loses no more than the margin."""
    shown = share_lost(name, task, steering, f"accuracy {accuracy_change(task, 0)}")
    return replace(shown, threshold=steering.rule.criterion.margin, relation="<=")
