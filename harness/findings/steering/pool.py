"""Items that the intact model answers wrong, and where to find enough of them.

Materials that a model answers have few such items; then geography's three-hop questions, which
the direction was not fitted on either, are the pool.
"""

from dataclasses import dataclass

import numpy as np

from harness.findings.effects import part
from harness.findings.steering.selection import SteeringStudy
from harness.materials.items import EVALUATION, PromptSet
from harness.materials.sets import geography
from harness.study.study import Study

HARD_HOPS = 3


@dataclass(frozen=True)
class Pool:
    """Items of one task, and whether the intact model answers them.

    Attributes:
        prompts: The items; the direction was fitted on none of them.
        correct: Whether each is answered correctly.
        task: Their task.
        description: Which items these are, in words.
    """

    prompts: PromptSet
    correct: np.ndarray
    task: str
    description: str

    def items(self, split: str, pairs: int, *, correct: bool) -> PromptSet:
        """Items of a split that are answered correctly, or wrong."""
        ids = {
            item.id
            for item, answered in zip(self.prompts.items, self.correct, strict=True)
            if bool(answered) is correct
        }
        return part(self.prompts.where(lambda i: i.id in ids), split, (self.task,), pairs)


def pool_of(steering: SteeringStudy) -> Pool:
    """The second task's own items; harder ones where too few of those are wrong to be judged."""
    study, task, criterion = steering.study, steering.tasks[1], steering.rule.criterion
    unseen = study.prompts.where(
        lambda i: i.task == task and (i.split == EVALUATION or i.pair in steering.fitted.unseen)
    )
    own = _pool(study, unseen, task, f"{task} items of {study.prompts.name}")
    wrong = len(own.items(EVALUATION, criterion.pairs, correct=False))
    if wrong >= criterion.least or study.prompts.name != "geography":
        return own
    harder = study.plan.labelled(geography(study.plan.items, study.plan.seed, hops=HARD_HOPS))
    description = f"{task} items of {HARD_HOPS} hops, as {wrong} of the plain ones are wrong"
    return _pool(study, harder.where(lambda i: i.task == task), task, description)


def _pool(study: Study, prompts: PromptSet, task: str, description: str) -> Pool:
    correct = study.subject.answers(prompts).correct == 1
    share = f"{correct.mean():.2f} of them answered right"
    return Pool(prompts, correct, task, f"{description}, {share}")
