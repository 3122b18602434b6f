"""The manipulation check: where the direction was fitted, does adding it change what is answered.

A crossed prompt holds both tasks' questions and asks for one. If the direction tells the model
which of them it works on, adding it on a prompt that asks for the first lifts the answer of the
second, above other wrong answers: an edit that ruins the model lifts none of them. A direction
that does not even do that is read by nothing, and says nothing about the tasks.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness.findings.effects import mean_by_pair
from harness.findings.requirements import interval
from harness.findings.steering.fitting import fitting_prompts
from harness.findings.steering.selection import SteeringStudy
from harness.interventions.interventions import Intervention
from harness.materials.items import EVALUATION, PromptSet
from harness.verdicts.evidence import Gate


def manipulation_gates(steering: SteeringStudy, added: Intervention) -> tuple[Gate, ...]:
    """Whether adding the direction lifts the second task's answer where the first is asked for.

    None if the direction was not fitted on crossed prompts.

    Args:
        steering: Its direction is fitted; positive doses point to the second task.
        added: The direction, added towards the second task.
    """
    source = fitting_prompts(steering.study)
    if not source.crossed:
        return ()
    prompts = other_answers(source, steering.rule.criterion.least)
    lifted, relations = _lifted(steering, prompts, added)
    low, high = interval(lifted, steering.study, relations)
    mean = float(np.nanmean(lifted)) if np.isfinite(lifted).any() else float("nan")
    first, second = steering.tasks
    said = (
        f"on crossed prompts that ask for {first}, adding the direction ({added}) lifts the answer "
        f"of {second} above other wrong answers by {mean:.2f} [{low:.2f}, {high:.2f}] nats"
    )
    unmet = ", not clearly above 0: it does not act on the prompts it was fitted on"
    return (Gate.of("manipulation", low > 0, said, unmet=unmet),)


def other_answers(prompts: PromptSet, pairs: int) -> PromptSet:
    """Evaluation prompts of the first task; the second one's answer is taken for the right one.

    A pair may hold several stories, each with answers of its own.

    Args:
        prompts: Crossed.
        pairs: At most; left out are those whose questions have the same answer, or no other wrong
            answers.
    """
    first, second = prompts.tasks
    answers = {(i.pair, i.premises): i.answer for i in prompts.items if i.task == second}
    kept = [
        replace(item, answer=other, distractors=wrong)
        for item in prompts.items
        if item.task == first and item.split == EVALUATION
        if (other := answers.get((item.pair, item.premises), item.answer)) != item.answer
        if (wrong := tuple(d for d in item.distractors if d != other))
    ]
    few = set(list(dict.fromkeys(item.pair for item in kept))[:pairs])
    items = tuple(item for item in kept if item.pair in few)
    return replace(prompts, name=f"{prompts.name}, other answers", items=items)


def _lifted(
    steering: SteeringStudy, prompts: PromptSet, added: Intervention
) -> tuple[Float[np.ndarray, " pair"], np.ndarray]:
    """Change of the logit difference by pair, nats, and the pairs' relations."""
    if not prompts.items:
        return np.array([np.nan]), np.array([""])
    result = steering.run(prompts, [added])
    change = (result.logit_difference - result.clean_logit_difference)[0]
    relation = {item.pair: item.relation for item in prompts.items}
    by_pair = mean_by_pair(change, [item.pair for item in prompts.items], list(relation))
    return by_pair, np.array(list(relation.values()), dtype=object)
