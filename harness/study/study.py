"""One model on one set of materials: what a prediction is given to measure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness import stats
from harness.activations.extracted import Activations
from harness.materials.cell_sets import OF_PROCESSES, crossed_name, draw_cells, whole_cells
from harness.materials.items import PromptSet
from harness.materials.sets import CROSSED, crossed_controls, domain_of, draw_crossed
from harness.study.plan import Plan
from harness.study.subject import Subject


@dataclass(frozen=True)
class Study:
    """One model on one set of materials, with the plan of the run."""

    subject: Subject
    prompts: PromptSet
    plan: Plan

    @property
    def activations(self) -> Activations:
        """Features at the last prompt token."""
        return self.extracted()

    def twins(self) -> Iterator[tuple[str, Activations]]:
        """(name, activations) of each untrained twin, one at a time."""
        for number in range(1, self.plan.twins + 1):
            yield f"twin {number}", self.extracted(number)

    def extracted(self, twin: int | None = None) -> Activations:
        """Features of the model, or of the twin with this seed.

        Extracted together with those of the other contrast of the same stories.
        The crossed prompts of both begin alike (story, solved questions): that is run once.
        """
        return self.subject.activations(self.prompts, twin, beside=self._other_contrast())

    def _other_contrast(self) -> PromptSet | None:
        """Of the two crossed sets that show a process, the other one; None of any other prompts."""
        whole, plan = whole_cells(self.prompts.name), self.plan
        if whole is None or not whole[0].crossed or whole[0].tasks not in OF_PROCESSES:
            return None
        wanted, difficulty = whole
        names = [replace(wanted, tasks=tasks).named(difficulty) for tasks in OF_PROCESSES]
        drawn = [plan.labelled(draw_cells(name, plan.items, plan.seed)) for name in names]
        both = [prompts.hash for prompts in drawn]
        return drawn[1 - both.index(self.prompts.hash)] if self.prompts.hash in both else None

    @property
    def has_answers(self) -> bool:
        """Whether every item can be scored, also those of a third task."""
        return all(i.answer and i.distractors for i in self.prompts.items)

    def accuracy(self) -> dict[str, float]:
        """Share of items whose answer beats every distractor, by task."""
        correct = self.subject.answers(self.prompts).correct
        tasks = np.array([item.task for item in self.prompts.items])
        return {task: float(correct[tasks == task].mean()) for task in self.prompts.count()}

    def beats_chance(self) -> dict[str, bool]:
        """Whether each task's accuracy is above chance, by an exact one-sided 99 % bound."""
        correct = self.subject.answers(self.prompts).correct
        tasks = np.array([item.task for item in self.prompts.items])
        above, guessing = {}, self.guessing()
        for task in self.prompts.count():
            hits = correct[tasks == task]
            low, _ = stats.binomial_interval(int(hits.sum()), len(hits), level=0.98)
            above[task] = low > guessing[task]
        return above

    def guessing(self) -> dict[str, float]:
        """Share of each task that guessing would answer right."""
        share: dict[str, list[float]] = {}
        for item in self.prompts.items:
            share.setdefault(item.task, []).append(1 / (1 + len(item.distractors)))
        return {task: float(np.mean(of_task)) for task, of_task in share.items()}

    def lookup_controls(self) -> list["Study"]:
        """The same stories crossed lookup x reasoning and recall x lookup; none for own files."""
        domain = domain_of(self.prompts)
        if domain is None or not self.prompts.name.endswith(CROSSED):  # plain, or itself a control
            return []
        sets = crossed_controls(self.plan.items, self.plan.seed, domain)
        return [replace(self, prompts=self.plan.labelled(prompts)) for prompts in sets]

    def crossed_counterpart(self) -> PromptSet | None:
        """The crossed set of the stories of a plain named set; None for any other materials."""
        domain = domain_of(self.prompts)
        if self.prompts.crossed:
            return None
        cells = crossed_name(self.prompts.name)
        if cells is not None:
            return self.plan.labelled(draw_cells(cells, self.plan.items, self.plan.seed))
        if domain is None:
            return None
        return self.plan.labelled(draw_crossed(domain, self.plan.items, self.plan.seed))
