"""A model whose causes are known: what each head and neuron costs each item, added up.

It stands in at the lowest place, `Model.sweep` and `Model.path_scores`, so that everything
above (edits, shards, choice, judgement) is the real thing.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from harness.activations.extracted import Activations, Answers
from harness.activations.swept import PathScores, SweepResult
from harness.findings.circuits.neuron_scores import PATH_STEPS
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.models.architecture import Architecture
from harness.study.plan import Plan
from harness.study.study import Study
from tests.support.synthetic import SIZES, noise, process_of

Place = tuple[str, int, int]  # head or neuron, layer, number
Costs = Callable[[Item], Mapping[Place, float]]

PLAN = Plan(seed=0, items=20, permutations=199, resamples=199, twins=1)


def heads(*places: tuple[int, int]) -> list[Place]:
    return [("head", layer, index) for layer, index in places]


def neurons(*places: tuple[int, int]) -> list[Place]:
    return [("neuron", layer, index) for layer, index in places]


def by_task(**places: Mapping[Place, float]) -> Costs:
    """Costs that depend on the task alone, in shares of the intact logit difference."""
    return lambda item: places.get(item.task, {})


@dataclass
class Planted:
    """Stands in for `study.Subject` and for the model it would load.

    Attributes:
        costs: Share of an item's intact logit difference that each component's loss takes.
        joint: What is lost more where components of both `sets` are gone, as a share; of every
            item, or by item.
        sets: The two sets of `joint`.
        spread: Standard deviation of an item's sensitivity, and (a quarter) of each component's.
        noise: Standard deviation of what an item loses under a set beyond the sum, mean zero.
        height: What an item's logit difference is multiplied by.
        misses: Items that the intact model answers wrong.
        unscorable: Items whose distractors all begin with the answer's first token.
        longest: Letters of a word that is one token; longer ones are two.
        fixed: Why its parameters cannot be tuned.
        tuned: Of each tuning, the items, the components and how.
    """

    costs: Costs = lambda _: {}
    joint: float | Callable[[Item], float] = 0.0
    sets: tuple[Sequence[Place], Sequence[Place]] = ((), ())
    spread: float = 0.02
    noise: float = 0.0
    seed: int = 0
    height: Callable[[Item], float] = lambda _: 1.0
    misses: Callable[[Item], bool] = lambda _: False
    unscorable: Callable[[Item], bool] = lambda _: False
    architecture: Architecture = SIZES
    thinking: str = ""
    longest: int = 99
    fixed: str = ""
    tuned: list[Any] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    runs: dict[tuple[str, str], Any] = field(default_factory=dict)
    _known: dict[tuple[str, str], tuple[float, np.ndarray]] = field(default_factory=dict)

    def fetch(self, _what, prompts, measure, shard_size=64):
        """No store: measured every time, in shards."""
        model = SimpleNamespace(
            sweep=self.sweep,
            path_scores=self.path_scores,
            unlearned=self.unlearned,
            references=lambda _: SimpleNamespace(at=lambda _: torch.zeros(1)),
        )
        parts = [
            measure(model, prompts.items[i : i + shard_size])
            for i in range(0, len(prompts), shard_size)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def answers(self, prompts: PromptSet) -> Answers:
        correct = np.array([not self.misses(i) for i in prompts.items], np.float32)
        return Answers(correct, correct, correct, correct, correct)

    def pieces(self, words: Sequence[str]) -> list[int]:
        return [1 + (len(word) > self.longest) for word in words]

    def activations(self, prompts: PromptSet, twin: int | None = None, **_) -> Activations:
        return noise(prompts, 7 + (twin or 0))

    def sweep(self, items, edit_sets, **options) -> SweepResult:
        assert options.pop("partial")
        assert set(options) <= {"donors", "keep", "progress"}
        taken = np.stack([self._taken(edits) for edits in edit_sets])
        margin, costs = (np.array(x) for x in zip(*map(self._of, items), strict=True))
        joint = [self.joint(i) if callable(self.joint) else self.joint for i in items]
        share = taken @ costs.T + self._jointly(taken)[:, None] * np.array(joint)
        share += self.noise * np.stack([self._beyond(row, items) for row in taken])
        after = margin - np.abs(margin) * share
        scorable = np.array([not self.unscorable(i) for i in items])
        applies = np.array([[_applies(edits, i) for i in items] for edits in edit_sets])
        known = applies & scorable
        return SweepResult(
            log_probability=np.where(applies, after, np.nan),
            logit_difference=np.where(known, after, np.nan),
            correct=np.where(known, after > 0, np.nan),
            divergence=np.where(applies, np.abs(after - margin), np.nan),
            clean_log_probability=margin,
            clean_logit_difference=np.where(scorable, margin, np.nan),
            clean_correct=np.where(scorable, margin > 0, np.nan),
            scorable=scorable,
            applicable=applies,
        )

    def path_scores(self, items, kind, _reference, *, steps) -> PathScores:
        assert (kind, steps) == ("neuron", PATH_STEPS)
        margin, costs = (np.array(x) for x in zip(*map(self._of, items), strict=True))
        layers, first = self.architecture.layers, self._place(("neuron", 0, 0))
        scores = (np.abs(margin)[:, None] * costs)[:, first:].reshape(len(items), layers, -1)
        return PathScores(scores, np.array([not self.unscorable(i) for i in items]))

    def untunable(self, _kind) -> str:
        return self.fixed

    def unlearned(self, items, judged, kind, members, **how):
        """Tuning takes away what the components hold; that of all parameters, all of a kind."""
        self.tuned.append(({item.id for item in items}, members, how))
        layers, count = self.architecture.layers, getattr(self.architecture, f"{kind}s")
        every = [(layer, index) for layer in range(layers) for index in range(count)]
        each = [Site(kind, *place) for place in (every if members is None else members)]
        edits = [SimpleNamespace(site=s, positions="all", source=None) for s in each]
        result = self.sweep(judged, [edits], partial=True)
        return result, SimpleNamespace(steps=2, answered=[2.0, 1.0, 0.0])

    def _of(self, item: Item) -> tuple[float, np.ndarray]:
        """The item's intact logit difference, and what each component's loss takes of it."""
        key = item.id, item.counterfactual_prompt
        if key not in self._known:
            generator = np.random.default_rng([self.seed, zlib.crc32(item.id.encode())])
            margin = generator.uniform(1, 3) * (-1 if self.misses(item) else 1) * self.height(item)
            size = self._place(("neuron", self.architecture.layers, 0))
            costs = self.spread / 4 * generator.standard_normal(size)
            sensitivity = 1 + self.spread * generator.standard_normal()
            for place, cost in self.costs(item).items():
                costs[self._place(place)] += sensitivity * cost
            self._known[key] = margin, costs
        return self._known[key]

    def _place(self, place: Place) -> int:
        kind, layer, index = place
        sizes = self.architecture
        if kind == "head":
            return layer * sizes.heads + index
        return sizes.layers * sizes.heads + layer * sizes.neurons + index

    def _taken(self, edits) -> np.ndarray:
        """Which components an edit set takes away: attn is all heads, mlp all neurons."""
        taken = np.zeros(self._place(("neuron", self.architecture.layers, 0)))
        for site in (edit.site for edit in edits):
            if site.kind == "resid":
                taken[:] = 1
                continue
            kind = {"attn": "head", "mlp": "neuron"}.get(site.kind, site.kind)
            index = (
                range(getattr(self.architecture, f"{kind}s")) if site.index is None else site.index
            )
            for number in [index] if isinstance(index, int) else index:
                taken[self._place((kind, site.layer, number))] = 1
        return taken

    def _beyond(self, taken: np.ndarray, items: Sequence[Item]) -> np.ndarray:
        if not (self.noise and taken.any()):
            return np.zeros(len(items))
        drawn = np.random.default_rng([self.seed, zlib.crc32(taken.tobytes())])
        return drawn.standard_normal(4096)[[zlib.crc32(i.id.encode()) % 4096 for i in items]]

    def _jointly(self, taken: np.ndarray) -> np.ndarray:
        shares = [taken[:, [self._place(p) for p in s]].mean(1) for s in self.sets if s]
        return np.prod(shares, axis=0) if shares else np.zeros(len(taken))


def _applies(edits, item: Item) -> bool:
    return all(
        {"subject": item.subject is not None, "premises": bool(item.premises)}.get(
            e.positions, True
        )
        and (
            e.source is None
            or e.source.value != "counterfactual"
            or bool(item.counterfactual_prompt)
        )
        for e in edits
    )


def facts_set(
    pairs: int = 80,
    *,
    tasks: tuple[str, str] = ("recall", "reasoning"),
    also: tuple[str, ...] = (),
    each: int = 1,
    sort: bool = False,
    alone: bool = False,
    answers: tuple[str, ...] = ("yes", "no", "perhaps"),
    split: Callable[[int], str] = lambda pair: (DISCOVERY, EVALUATION)[pair % 2],
    **fields: Any,
) -> PromptSet:
    """Items of each task for every pair.

    Args:
        pairs: How many.
        tasks: The contrast.
        also: Further tasks.
        each: Items of each task in a pair.
        sort: One task after the other, as people's files often are.
        alone: Every item a pair of its own.
        answers: Given in turn.
        split: Of a pair.
        fields: Of every item.
    """
    items = [
        Item(
            id=f"{task}-{pair}-{number}",
            task=task,
            prompt=f"{task} {pair} {number}",
            pair=f"{task}-{pair}" if alone else f"p{pair}",
            answer=answers[pair % len(answers)],
            distractors=("never",),
            split=split(pair),
            **process_of(task, tasks),
            **fields,
        )
        for pair in range(pairs)
        for task in (*tasks, *also)
        for number in range(each)
    ]
    if sort:
        items.sort(key=lambda i: i.task != tasks[0])
    return PromptSet("made", tuple(items), tasks)


def study_of(planted: Planted, prompts: PromptSet | None = None, plan: Plan = PLAN) -> Study:
    return Study(planted, prompts or facts_set(), plan)  # type: ignore[arg-type]


def with_size(planted: Planted, layers: int, of_heads: int, of_neurons: int = 8) -> Planted:
    sizes = {"layers": layers, "heads": of_heads, "neurons": of_neurons}
    return replace(planted, architecture=replace(planted.architecture, **sizes), _known={})
