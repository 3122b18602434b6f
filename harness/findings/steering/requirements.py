"""Requirements that the steering findings share."""

from dataclasses import replace

import numpy as np

from harness.findings.effects import TaskEffects
from harness.findings.requirements import beyond_chance, no_headroom, spared
from harness.findings.steering.against_random import AgainstRandom
from harness.findings.steering.selection import SteeringStudy
from harness.verdicts.evidence import Control, Effect, Evidence


def beyond_isotropic(
    name: str, unit: str, against: AgainstRandom, steering: SteeringStudy
) -> Evidence:
    """The requirement that an effect lie beyond the 95th percentile of isotropic directions."""
    what = "random directions of the same length"
    effect, alpha = Effect(unit, against.value), steering.rule.criterion.alpha
    return beyond_chance(name, effect, against.draws, what, alpha=alpha, n=against.n)


def spread_control(against: AgainstRandom) -> Control:
    """Random directions that lie where the stream lies must do less."""
    top = float(np.quantile(against.draws, 0.95, method="higher"))
    return Control(
        "directions spread like the stream, 95th percentile",
        top,
        top < against.value,
        note=f"{len(against.draws)} of the same length, of what tells prompts of one task apart; "
        f"must stay below {against.value:.2f}",
    )


def task_spared(name: str, which: str, task: TaskEffects, steering: SteeringStudy) -> Evidence:
    """The requirement that few of the pairs answered correctly lose their answer, in row 0."""
    correct = task.scored & (task.before == 1)
    criterion = steering.rule.criterion
    kept = spared(
        name,
        (task.after[0, correct] < 1).astype(float),
        steering.study,
        margin=criterion.margin,
        alpha=criterion.alpha,
        method="of answers that were right; equivalence: below the threshold, exact binomial",
    )
    return replace(kept, headroom=no_headroom(which, task, 0, steering.study, criterion.margin))
