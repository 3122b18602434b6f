"""Items that the intact model answers wrong, or not always right, and where to find enough of them.

Materials that a model answers have few such items; then cells of more steps, which the direction
was not fitted on either, are the pool.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.findings.effects import part
from harness.findings.steering.selection import SteeringStudy
from harness.materials.cell_sets import draw_cells, whole_cells
from harness.materials.difficulty import MOST_STEPS
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study


@dataclass(frozen=True)
class Pool:
    """Items of one task, and whether the intact model answers them.

    Attributes:
        study: On the items; the direction was fitted on none of them.
        correct: Whether each is answered correctly.
        task: Their task.
        description: Which items these are, in words.
    """

    study: Study
    correct: np.ndarray
    task: str
    description: str

    @property
    def prompts(self) -> PromptSet:
        """The items."""
        return self.study.prompts

    def items(self, split: str, pairs: int, *, correct: bool) -> PromptSet:
        """Items of a split that are answered correctly, or wrong."""
        ids = {
            item.id
            for item, answered in zip(self.prompts.items, self.correct, strict=True)
            if bool(answered) is correct
        }
        return part(self.prompts.where(lambda i: i.id in ids), split, (self.task,), pairs)

    @property
    def accuracy(self) -> float:
        """Share answered right of the discovery items: what is judged must not choose itself."""
        discovery = np.array([item.split == DISCOVERY for item in self.prompts.items])
        return float(self.correct[discovery].mean()) if discovery.any() else float("nan")

    @property
    def above_guessing(self) -> bool:
        """Whether more are answered right than guessing would give, of all items."""
        return self.study.beats_chance()[self.task]

    @property
    def guessing(self) -> float:
        """Share that guessing would answer right."""
        return self.study.guessing()[self.task]

    def with_room(self, room: tuple[float, float]) -> bool:
        """Whether the answers can both rise and fall."""
        return room[0] <= self.accuracy <= room[1]


def pool_of(steering: SteeringStudy) -> Pool:
    """The second task's own items; harder ones where too few of those are wrong to be judged."""
    criterion = steering.rule.criterion
    return _first(
        steering,
        lambda p: len(p.items(EVALUATION, criterion.pairs, correct=False)) >= criterion.least,
    )


def pool_with_room(steering: SteeringStudy) -> Pool:
    """The second task's own items; harder ones where nearly all of those are answered right."""
    return _first(steering, lambda pool: pool.with_room(steering.rule.criterion.room))


def _first(steering: SteeringStudy, wanted: Callable[[Pool], bool]) -> Pool:
    """The easiest items that are as wanted; the task's own if none are."""
    pools = _pools(steering)
    own = next(pools)
    return own if wanted(own) else next(filter(wanted, pools), own)


def _pools(steering: SteeringStudy) -> Iterator[Pool]:
    """The second task's items that the direction was not fitted on, the easiest first."""
    study, task = steering.study, steering.tasks[1]
    unseen = study.prompts.where(
        lambda i: i.task == task and (i.split == EVALUATION or i.pair in steering.fitted.unseen)
    )
    yield _pool(study, unseen, task, f"{task} items of {study.prompts.name}")
    for name, prompts in _harder(study):
        of_task = prompts.where(lambda i: i.task == task)
        yield _pool(study, of_task, task, f"{task} items of {name}")


def _harder(study: Study) -> Iterator[tuple[str, PromptSet]]:
    """The same cells with more steps, one more each time."""
    whole = whole_cells(study.prompts.name)
    if whole is None:
        return
    wanted, difficulty = whole
    for steps in range(difficulty.steps + 1, MOST_STEPS + 1):
        name = replace(wanted, tasks=None).named(replace(difficulty, steps=steps))
        yield name, study.plan.labelled(draw_cells(name, study.plan.items, study.plan.seed))


def _pool(study: Study, prompts: PromptSet, task: str, description: str) -> Pool:
    correct = study.subject.answers(prompts).correct == 1
    share = f"{correct.mean():.2f} of them answered right"
    return Pool(replace(study, prompts=prompts), correct, task, f"{description}, {share}")
