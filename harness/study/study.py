"""What a prediction asks of a model: measurements that come from the store, or are made once.

A `Subject` is a model under study, loaded only when something is not in the store. A `Study` is
a subject with one set of materials.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from tqdm import tqdm

from harness import stats
from harness.activations.extracted import Activations, Answers
from harness.materials.items import Item, PromptSet
from harness.materials.relabelling import shuffle_labels
from harness.materials.sets import CROSSED, crossed_controls, domain_of, draw_crossed
from harness.models import identity
from harness.models.architecture import Architecture, architecture_of
from harness.models.specs import LoadOptions, ModelSpec
from harness.store.store import Store

if TYPE_CHECKING:
    from harness.adapter import Model

FEATURES_VERSION = 1  # raise it when a feature, a site or the scoring changes its meaning
SHARD = 64  # prompts measured, and saved, at a time
CAUSALITY = 80  # orders of pairs compared before their label
KEPT = 3  # extractions held in memory: claims on the same materials follow each other
LIBRARIES = ("torch", "transformers", "nnsight")


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers that a run fixes for every prediction.

    Attributes:
        shuffle_labels: Share of pairs whose task labels are exchanged by a coin. Above 0 the run
            measures the instrument, not the model.
        competence_gate: Accuracy below which a claim is inconclusive, in place of what its file
            says; 0 opens the gate, also to models that only guess.
    """

    seed: int = 0
    items: int = 200
    permutations: int = 1000
    resamples: int = 1000
    twins: int = 3
    shuffle_labels: float = 0.0
    competence_gate: float | None = None

    def labelled(self, prompts: PromptSet, seed: int | None = None) -> PromptSet:
        """Materials as this run sees them; whoever draws some passes them through here.

        Args:
            prompts: As they were drawn or read.
            seed: That they were drawn with, if it is not the run's.
        """
        return shuffle_labels(prompts, self.shuffle_labels, self.seed if seed is None else seed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What every verdict has to say where this is no ordinary run."""
        said = []
        if self.shuffle_labels:
            said.append(
                "NOT A RESULT ABOUT THE MODEL: the task labels of a share of "
                f"{self.shuffle_labels:g} of the pairs were shuffled (--shuffle-labels), which "
                "measures the instrument"
            )
        if self.competence_gate is not None:
            opened = " and so opened: even a model that guesses passes it"
            said.append(
                f"the competence gate was set to {self.competence_gate:g} (--competence-gate)"
                + (opened if not self.competence_gate else "")
            )
        return tuple(said)


@dataclass
class Subject:
    """A model under study. Importing torch and loading weights wait until they are needed."""

    spec: ModelSpec
    options: LoadOptions
    store: Store
    progress: TextIO | None = None  # where bars are drawn; none where nobody watches
    loads: int = 0
    references: dict[str, Any] = field(default_factory=dict)  # means by materials, while loaded
    _kept: dict[tuple[Any, ...], Activations] = field(default_factory=dict)

    @cached_property
    def model(self) -> "Model":
        """The loaded model; counted, so that a run can show it was loaded once or never."""
        from harness.adapter import Model  # noqa: PLC0415 - torch and nnsight load here

        self.loads += 1
        return Model.load(self.spec, self.options)

    @cached_property
    def architecture(self) -> Architecture:
        """Sizes and dtype, read from the configuration alone."""
        stated = architecture_of(self.spec)
        dtype = stated.dtype if self.options.dtype == "auto" else self.options.dtype
        return replace(stated, dtype=dtype)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything a measurement depends on, apart from the prompts."""
        return {
            "weights": identity.weights_identity(self.spec, self.store.root),
            "tokenizer": identity.tokenizer_identity(self.spec),
            "features": FEATURES_VERSION,
            "dtype": self.architecture.dtype,
            "attention": "eager",
            "chat_template": self.options.chat_template,
            "versions": {name: version(name) for name in LIBRARIES},
        }

    def forget(self) -> None:
        """Let go of weights and arrays; another model is next."""
        self._kept.clear()
        self.references.clear()
        self.__dict__.pop("model", None)
        gc.collect()

    def record(self) -> dict[str, Any]:
        """The model as it stands in a verdict."""
        return {
            "name": self.spec.name,
            "path": str(self.spec.path),
            "revision": self.spec.revision,
            "weights": self.identity["weights"],
            "tokenizer": self.identity["tokenizer"],
            "attention": "eager",
            **self.architecture.to_json(),
        }

    def activations(
        self, prompts: PromptSet, position: str = "final", twin: int | None = None
    ) -> Activations:
        """Features of every prompt, of the model or of its untrained twin with that seed."""
        what = (prompts.hash, position, twin)
        if what not in self._kept:
            arrays = self.fetch(
                {"kind": "activations", "position": position, "twin": twin},
                prompts,
                lambda model, items: model.extract(items, position=position).arrays(),
                twin,
            )
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[what] = Activations.from_arrays(arrays)
        return self._kept[what]

    def answers(self, prompts: PromptSet, twin: int | None = None) -> Answers:
        """How each prompt was answered."""
        arrays = self.fetch(
            {"kind": "answers", "twin": twin},
            prompts,
            lambda model, items: model.score(items).arrays(),
            twin,
        )
        return Answers.from_arrays(arrays)

    def self_check(self) -> dict[str, Any]:
        """The load-time checks of the instrument, as numbers."""
        return self.store.fetch_json(
            {**self.identity, "kind": "self-check"}, lambda: self.model.self_check().worst()
        )

    def difference_before_label(self, prompts: PromptSet) -> dict[str, Any]:
        """Largest difference between tasks at the last token before the label, by causality 0."""
        key = {**self.identity, "kind": "before-label", "materials": prompts.hash}
        return self.store.fetch_json(key, lambda: self._before_label(prompts))

    def _before_label(self, prompts: PromptSet) -> dict[str, Any]:
        by_order: dict[tuple[str, int], list[Item]] = {}
        for item in prompts.items:
            by_order.setdefault((item.pair, item.order), []).append(item)
        # The two labels of one order lie side by side, so that they share a batch.
        whole = [two for two in by_order.values() if len(two) == 2]
        items = [item for two in whole[:CAUSALITY] for item in two]
        ids = self.model.encoder.ids(items)
        twos = list(zip(ids[::2], ids[1::2], strict=True))
        label_at = [
            next(i for i, (a, b) in enumerate(zip(*two, strict=True)) if a != b) for two in twos
        ]
        before = self.model.residuals_at(items, np.repeat([at - 1 for at in label_at], 2).tolist())
        at_end = self.model.residuals_at(items, [len(row) - 1 for row in ids])
        return {
            "largest": float(np.abs(before[::2] - before[1::2]).max()),
            "largest_at_end": float(np.abs(at_end[::2] - at_end[1::2]).max()),
            "compared": len(twos),
        }

    def token_ids(self, prompts: PromptSet) -> list[list[int]]:
        """Token ids of every prompt, as the model reads them."""
        key = {
            "kind": "tokens",
            "tokenizer": self.identity["tokenizer"],
            "chat_template": self.options.chat_template,
            "materials": prompts.hash,
        }
        found = self.store.fetch_json(key, lambda: {"ids": self.model.encoder.ids(prompts.items)})
        ids: list[list[int]] = found["ids"]
        return ids

    def fetch(
        self,
        what: Mapping[str, Any],
        prompts: PromptSet,
        measure: Callable[["Model", tuple[Item, ...]], Mapping[str, np.ndarray]],
        twin: int | None = None,
        shard_size: int = SHARD,
    ) -> Mapping[str, np.ndarray]:
        """Arrays of every prompt from the store; what is missing is measured, shard by shard.

        Args:
            what: What is measured, beside this model on these prompts; part of the address.
            prompts: The prompts.
            measure: Measures some items with a model.
            twin: The untrained twin that is measured in the model's place.
            shard_size: Prompts measured, and saved, at a time.
        """
        key = {
            **self.identity,
            **what,
            "materials": prompts.hash,
            "templates": prompts.template_hash,
        }
        if twin is not None:
            # A twin owes nothing to the trained weights, only to the architecture and to the
            # random numbers of the device it is drawn on.
            key["weights"] = identity.config_identity(self.spec)
            key["device"] = self.options.device
        made: list[Model] = []  # the twin is built once, and only if something is missing
        who = self.spec.name if twin is None else f"{self.spec.name}, twin {twin}"
        with tqdm(
            total=len(prompts),
            desc=f"{who}: {what['kind']} on {prompts.name}",
            unit="prompt",
            file=self.progress,
            leave=False,
            delay=1,  # what is stored, or done at once, needs no bar
            disable=self.progress is None,
        ) as bar:

            def shard(part: slice) -> Mapping[str, np.ndarray]:
                if not made:
                    made.append(self.model if twin is None else self.model.twin(twin))
                measured = measure(made[0], prompts.items[part])
                bar.update(part.stop - part.start)
                return measured

            entry = self.store.fetch(key, len(prompts), shard, shard_size=shard_size)
        if made and twin is not None:
            made.clear()
            gc.collect()
        return entry.arrays


@dataclass(frozen=True)
class Study:
    """One model on one set of materials, with the plan of the run."""

    subject: Subject
    prompts: PromptSet
    plan: Plan

    @property
    def activations(self) -> Activations:
        """At the last prompt token."""
        return self.subject.activations(self.prompts)

    def twins(self) -> Iterator[tuple[str, Activations]]:
        """(name, activations) of each untrained twin, one at a time."""
        for number in range(1, self.plan.twins + 1):
            yield f"twin {number}", self.subject.activations(self.prompts, twin=number)

    @property
    def has_answers(self) -> bool:
        """Whether every item can be scored, those of a third task too."""
        return all(i.answer and i.distractors for i in self.prompts.items)

    def accuracy(self, prompts: PromptSet | None = None) -> dict[str, float]:
        """Share of items whose answer beats every distractor, by task."""
        prompts = prompts or self.prompts
        chosen = self.subject.answers(prompts).chosen
        tasks = np.array([item.task for item in prompts.items])
        return {task: float(chosen[tasks == task].mean()) for task in prompts.count()}

    def beats_chance(self) -> dict[str, bool]:
        """Whether each task's accuracy is above guessing, by an exact one-sided 99 % bound."""
        chosen = self.subject.answers(self.prompts).chosen
        tasks = np.array([item.task for item in self.prompts.items])
        guessing = np.array([1 / (1 + len(item.distractors)) for item in self.prompts.items])
        above = {}
        for task in self.prompts.count():
            hits = chosen[tasks == task]
            low, _ = stats.binomial_interval(int(hits.sum()), len(hits), level=0.98)
            above[task] = low > float(guessing[tasks == task].mean())
        return above

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
        if domain is None or self.prompts.crossed:
            return None
        return self.plan.labelled(draw_crossed(domain, self.plan.items, self.plan.seed))
