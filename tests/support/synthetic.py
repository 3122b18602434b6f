"""Made-up measurements with a known truth: prompt sets, activations, and a subject that has them.

Rows are prompts in the order of the set. `plant` is the only thing that ties a cell to a task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.activations.extracted import Activations, Answers
from harness.activations.features import HEAD_METRICS, LAYER_FEATURES
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.models.architecture import Architecture
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study

SHAPE = {"layers": 4, "heads": 4, "neurons": 8, "d_model": 4}
SIZES = Architecture("made", 4, 4, 2, 8, d_model=4, d_vocab=64)
PLAN = Plan(seed=0, items=20, permutations=199, resamples=99, twins=2)


def process_of(task: str, tasks: tuple[str, str] = ("recall", "reasoning")) -> dict[str, Any]:
    """Where an item's answer comes from and in how many steps: a process of its own for each task.

    A third task has the source of the second in one step, as lookup has.
    """
    if task == tasks[0]:
        return {"source": "weights", "steps": 1}
    return {"source": "context", "steps": 2 if task == tasks[1] else 1}


def crossed_set(pairs: int = 40, templates: int = 2, name: str = "made-crossed") -> PromptSet:
    """Two orders by two labels a pair; every template lies in both splits."""
    items = []
    for pair in range(pairs):
        split = (DISCOVERY, EVALUATION)[pair % 2]
        for order in (1, 2):
            for label in (1, 2):
                task = "recall" if order == label else "reasoning"
                items.append(
                    Item(
                        id=f"{pair}-{order}{label}",
                        task=task,
                        prompt=f"Question 1: {'ab'[order - 1]}{pair} Question 2: "
                        f"{'ba'[order - 1]}{pair} The answer to question {label} is",
                        pair=f"p{pair}",
                        template=f"t{pair // 2 % templates}",
                        answer="yes",
                        distractors=("no",),
                        order=order,
                        label=label,
                        split=split,
                        **process_of(task),
                    )
                )
    return PromptSet(name, tuple(items), crossed=True)


def plain_set(pairs: int = 30, templates: int = 1, name: str = "made-plain") -> PromptSet:
    """One prompt a task and pair, uncrossed."""
    items = [
        Item(
            id=f"{pair}-{task}",
            task=task,
            prompt=f"{task} {pair}" + " so" * (10 * (task == "reasoning")),
            pair=f"p{pair}",
            template=f"t{pair // 2 % templates}",
            answer="yes",
            distractors=("no",),
            split=(DISCOVERY, EVALUATION)[pair % 2],
            **process_of(task),
        )
        for pair in range(pairs)
        for task in ("recall", "reasoning")
    ]
    return PromptSet(name, tuple(items))


def rows_of(prompts: PromptSet, keep: Callable[[Item], bool]) -> np.ndarray:
    """Which prompts an effect is planted in."""
    return np.array([keep(item) for item in prompts.items])


def noise(
    prompts: PromptSet, seed: int, *, draw: str = "normal", main: float = 0.0, shared: float = 0.5
) -> Activations:
    """Activations that owe nothing to the task.

    Args:
        prompts: The set.
        seed: Of everything.
        draw: `normal`, `heavy` (t with 3 degrees), `correlated` (one factor over all cells) or
            `unequal` (the spread of a prompt grows with its pair; cells differ a hundredfold).
        main: Size of the main effects of order and of label.
        shared: Standard deviation of what the prompts of a pair have in common.
    """
    generator = np.random.default_rng(seed)
    pair = np.unique([item.pair for item in prompts.items], return_inverse=True)[1]
    order = np.array([item.order for item in prompts.items]) == 1
    label = np.array([item.label for item in prompts.items]) == 1

    def values(*shape: int) -> np.ndarray:
        size = (len(prompts), *shape)
        drawn = (
            generator.standard_t(3, size) if draw == "heavy" else generator.standard_normal(size)
        )
        axes = (slice(None), *([None] * len(shape)))
        if draw == "correlated":
            drawn = 0.3 * drawn + generator.standard_normal(len(prompts))[axes]
        if draw == "unequal":
            drawn = drawn * np.exp(generator.standard_normal(pair.max() + 1))[pair][axes]
            drawn = drawn * np.exp(2 * generator.standard_normal(shape))
        drawn = drawn + shared * generator.standard_normal((pair.max() + 1, *shape))[pair]
        for which in (order, label):
            drawn = drawn + main * generator.standard_normal(shape) * which[axes]
        return drawn.astype(np.float32)

    return Activations(
        layers=values(SHAPE["layers"], len(LAYER_FEATURES)),
        heads=values(SHAPE["layers"], SHAPE["heads"], len(HEAD_METRICS)),
        gates=values(SHAPE["layers"], SHAPE["neurons"]),
        neurons=values(SHAPE["layers"], SHAPE["neurons"]),
        resid=values(SHAPE["layers"], SHAPE["d_model"]),
    )


def plant(
    activations: Activations, array: str, cell: tuple[int, ...], rows: np.ndarray, size: float
) -> Activations:
    """The same with `size` added to one cell of `array` on some prompts."""
    values = getattr(activations, array).copy()
    values[(rows, *cell)] += size
    return replace(activations, **{array: values})


def recall_rows(prompts: PromptSet) -> np.ndarray:
    """Prompts of the treated task."""
    return rows_of(prompts, lambda item: item.task == prompts.tasks[0])


def permuted(activations: Activations, order: Sequence[int]) -> Activations:
    """Prompts in another order."""
    return Activations.from_arrays({k: v[list(order)] for k, v in activations.arrays().items()})


GOOD_CHECK = {
    "hooked": 0.0,
    "head_sum": 1e-7,
    "neuron_sum": 1e-7,
    "pattern_sum": 1e-7,
    "padded": 1e-6,
    "foreign_ends": 0,
    "zeroed": 0.1,
}


@dataclass
class FakeSubject:
    """Stands in for `study.Subject`: `make(prompts, twin)` gives its activations."""

    make: Callable[[PromptSet, int | None], Activations]
    accuracy: Mapping[str, float] = field(default_factory=dict)
    check: Mapping[str, float] = field(default_factory=lambda: GOOD_CHECK)
    ids: Callable[[Item], list[int]] = lambda item: [ord(c) for c in item.prompt]
    store: Store = field(default_factory=lambda: Store(Path("nowhere"), mode="off"))
    options: LoadOptions = field(default_factory=LoadOptions)
    identity: Mapping[str, Any] = field(default_factory=lambda: {"tokenizer": "", "features": 1})
    architecture: Architecture = SIZES
    thinking: str = ""

    def activations(self, prompts: PromptSet, twin: int | None = None, **_) -> Activations:
        return self.make(prompts, twin)

    def answers(self, prompts: PromptSet) -> Answers:
        """The first share of each task's prompts is answered; all of them unless told."""
        correct = np.ones(len(prompts), np.float32)
        for task, share in self.accuracy.items():
            rows = np.flatnonzero(rows_of(prompts, lambda item, task=task: item.task == task))
            correct[rows[round(share * len(rows)) :]] = 0
        return Answers(correct, correct, correct, correct, correct)

    def self_check(self) -> Mapping[str, float]:
        return self.check

    def token_ids(self, prompts: PromptSet) -> list[list[int]]:
        return [self.ids(item) for item in prompts.items]


def study_of(
    make: Callable[[PromptSet, int | None], Activations],
    prompts: PromptSet | None = None,
    plan: Plan = PLAN,
    **subject: Any,
) -> Study:
    """A study of a fake subject, on crossed prompts unless told."""
    return Study(FakeSubject(make, **subject), prompts or crossed_set(), plan)  # type: ignore[arg-type]


def null_subject(prompts: PromptSet, twin: int | None) -> Activations:
    """Neither the model nor its twins know the task."""
    return noise(prompts, 100 + (twin or 0))


def planted_subject(prompts: PromptSet, twin: int | None) -> Activations:
    """Recall shows in layer 1, head (2, 3) and neuron (3, 5) of the model; twins know nothing."""
    found = noise(prompts, 100 + (twin or 0))
    if twin is None:
        found = planted(found, prompts)
    return found


def planted(activations: Activations, prompts: PromptSet, size: float = 3.0) -> Activations:
    """Effects in layer 1 (entropy and its controlled variant), head (2, 3) and neuron (3, 5)."""
    rows = recall_rows(prompts)
    for array, cell, sign in (
        ("layers", (1, 0), 1),
        ("layers", (1, 4), 1),
        ("heads", (2, 3, 1), -1),
        ("heads", (2, 3, 2), -1),
        ("heads", (2, 3, 4), -1),
        ("neurons", (3, 5), 1),
        ("gates", (3, 5), 1),
    ):
        activations = plant(activations, array, cell, rows, sign * size)
    return activations
