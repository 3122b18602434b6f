"""A stand-in for a model whose answers follow a known law of its stream, to test steering on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from harness.activations.extracted import Answers
from harness.activations.swept import SweepResult
from harness.findings.steering.rule import (
    RandomDirections,
    SteeringCriterion,
    SteeringEdits,
    SteeringRule,
    SteeringSelection,
)
from harness.materials.items import Item, PromptSet
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, judge
from tests.support.synthetic import noise, plain_set

LAYERS, WIDTH, GAP = 3, 32, 4.0
RULE = SteeringRule(
    edits=SteeringEdits(doses=(0.5, 1.0), scales=(1.0,), positions="all"),
    selection=SteeringSelection(pairs=20, cost=0.30),
    random=RandomDirections(count=20, pairs=20, band=4),
    criterion=SteeringCriterion(
        pairs=60, least=20, lift=0.01, room=(0.3, 0.9), margin=0.10, alpha=0.05
    ),
    tokens=4,
)
PLAN = Plan(seed=0, items=120, permutations=199, resamples=199, twins=0)
SIDE = {"recall": -1, "reasoning": 1}


def costing(most: float) -> SteeringRule:
    """The rule with another cost allowed."""
    return replace(RULE, selection=replace(RULE.selection, cost=most))


def prompts_of(pairs: int) -> PromptSet:
    """With three wrong answers each, so that chance is a quarter."""
    made = plain_set(pairs)
    items = tuple(replace(i, distractors=("no", "nay", "never")) for i in made.items)
    return replace(made, items=items)


PROMPTS = prompts_of(120)


@dataclass(frozen=True)
class Here:
    """One run of one item: where its stream ends, and how far it was moved."""

    task: str
    along: float  # the planted direction
    moved: float
    wrong: bool  # whether the intact model misses it

    @property
    def side(self) -> int:
        return 1 if self.task == "reasoning" else -1

    @property
    def margin(self) -> float:
        return -1.0 if self.wrong else 6.0


def truly(here):
    """What lies towards reasoning is better at it and worse at recall."""
    return here.margin + here.side * here.along - GAP / 2


def by_any_move(here):
    """Any move of some length does the same, whatever its direction."""
    return here.margin + here.side * here.moved


def hurting_recall(here):
    """Recall is lost towards reasoning, and reasoning stays as it is."""
    return here.margin - (here.along + GAP / 2 if here.task == "recall" else 0)


def shutting_recall(here):
    """The same, and reasoning gains a hundredth of it: .02 nats, of four."""
    return hurting_recall(here) + (here.along - GAP / 2) / 200 * (here.task == "reasoning")


def truly_and_less_than_elsewhere(here):
    """As it should be; and any other move lifts both tasks, reasoning by more."""
    elsewhere = max(here.moved**2 - (here.along - here.side * GAP / 2) ** 2, 0) ** 0.5
    return truly(here) + 2 * elsewhere


def rising_either_way(here):
    """Reasoning gains wherever it is moved along the direction, recall loses."""
    return here.margin + here.side * abs(here.along - here.side * GAP / 2)


def less_sure(here):
    """Towards reasoning each of its answers is less sure, whether right or wrong."""
    if here.task == "recall":
        return truly(here)
    return here.margin * (1 - (here.along - GAP / 2) / (2 * GAP))


def by_nothing(here):
    return here.margin


def ruined(here):
    """Every move takes both to nothing; recall stood higher, so in nats it loses more."""
    return (12 if here.task == "recall" else 6) * np.exp(-here.moved)


def needed(here):
    """Reasoning is lost without the direction, recall does not use it."""
    return here.along - 0.1 if here.task == "reasoning" else 6.0


def needed_by_both(here):
    return abs(here.along) - 0.1


@dataclass
class Toy:
    """A stream that no layer changes, and a law that reads it; stands in for subject and model."""

    law: Callable[[Here], float] = truly
    misses: float = 0.0  # share of reasoning items that the intact model gets wrong
    accuracy: float = 1.0  # said to the gate
    thinking: str = ""  # how to keep it from thinking: it does not
    asked: list[str] = field(default_factory=list)
    runs: dict = field(default_factory=dict)
    streams: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: Any = field(default_factory=lambda: {"layers": LAYERS, "dtype": "float32"})

    def stream(self, item: Item) -> torch.Tensor:
        if item.id not in self.streams:
            self.streams[item.id] = self.drawn(item)
        return self.streams[item.id]

    def drawn(self, item: Item) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(map(ord, item.id)) * 7919 + len(item.id))
        x = 0.2 * torch.randn(WIDTH, generator=generator)
        x[3] = SIDE[item.task] * GAP / 2
        return x

    def wrong(self, item: Item) -> bool:
        number = int(item.pair[1:])
        return item.task == "reasoning" and (number // 2 % 10) < 10 * self.misses

    def activations(self, prompts, *_, **__):
        one = np.stack([self.stream(i).numpy() for i in prompts.items])
        return replace(noise(prompts, 0), resid=np.repeat(one[:, None], LAYERS, axis=1))

    def answers(self, prompts):
        correct = np.array([not self.wrong(i) for i in prompts.items], np.float32)
        if self.accuracy < 1:
            correct[:] = np.arange(len(correct)) % 8 < 8 * self.accuracy
        return Answers(correct, correct, correct, correct, correct)

    def fetch(self, what, prompts, measure, shard_size=64):
        self.asked.append(what["kind"])
        parts = [
            measure(self, prompts.items[i : i + shard_size])
            for i in range(0, len(prompts), shard_size)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def read(self, items, edit_set=()) -> np.ndarray:
        """Each item's logit difference, and how far its stream was moved, under some edits."""
        before = torch.stack([self.stream(i) for i in items])
        x = before[:, None]
        for edit in sorted(edit_set, key=lambda e: e.site.layer):
            x = edit.function(x, None)
        far = (x[:, 0] - before).norm(dim=1).tolist()
        ends = zip(items, x[:, 0, 3].tolist(), far, strict=True)
        found = [self.law(Here(i.task, along, d, self.wrong(i))) for i, along, d in ends]
        return np.array([found, far])

    def sweep(self, items, edit_sets, *, donors=None, partial=False, keep=False, **_progress):
        assert partial
        assert keep
        assert donors is None
        after, far = np.array([self.read(items, e) for e in edit_sets]).swapaxes(0, 1)
        clean = self.read(items)[0]
        return SweepResult(
            log_probability=after,
            logit_difference=after,
            correct=(after > 0).astype(float),
            divergence=0.01 * far**2,
            clean_log_probability=clean,
            clean_logit_difference=clean,
            clean_correct=(clean > 0).astype(float),
            scorable=np.ones(len(items), bool),
            applicable=np.ones(after.shape, bool),
        )

    def generate(self, items, most, edit_set):
        right = self.read(items, edit_set)[0] > 0
        return [i.answer if r else "so " * most for i, r in zip(items, right, strict=True)]


def study(law=truly, prompts=PROMPTS, **toy) -> Study:
    return Study(Toy(law, **toy), prompts, PLAN)


def verdict(result):
    return judge(result, Criterion.CONTROLLED)


def row(result, beginning):
    return next(e for e in result.evidence if e.name.startswith(beginning))
