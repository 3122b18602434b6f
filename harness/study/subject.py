"""A model under study: every measurement comes from the store, or is made once and stored."""

import gc
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.activations.extracted import Activations, Answers
from harness.activations.features import FEATURES_VERSION
from harness.materials.items import Item, PromptSet, together
from harness.models.architecture import Architecture, architecture_of
from harness.models.hub import pinned
from harness.models.identity import (
    config_identity,
    content_identity,
    identity_of,
    template_identity,
)
from harness.models.recipes import on_disk
from harness.models.specs import LoadOptions, ModelSpec
from harness.store.store import Store
from harness.study.progress import Progress

if TYPE_CHECKING:
    from harness.adapter import Model

SELF_CHECK_VERSION = 2  # raise it when its names change
ANSWERS_VERSION = 3  # raise it when the arrays of `Answers` change
SHARD = 64  # prompts measured, and saved, at a time
IN_MEMORY = 3  # extractions: consecutive claims often use the same materials
_LIBRARIES = ("torch", "transformers", "nnsight")
_CHAT = ("chat_date", "template_args", "rendered")  # parts of an identity with a chat template
_TEXT = ("tokenizer", "chat_template", "own_code", *_CHAT)  # parts that tokens depend on


@cache
def _keep_imported() -> None:
    """Keep what libraries made when imported: collections after it need not look there again."""
    gc.freeze()


@dataclass(frozen=True, slots=True)
class Answered:
    """A set of prompts and how the model answered it."""

    prompts: PromptSet
    answers: Answers


@dataclass
class Subject:
    """A model under study; torch is imported and weights are loaded only when something is missing.

    Attributes:
        spec: Which model.
        options: How it is loaded.
        store: Where measurements are stored.
        progress: Where it is shown how far a measurement is.
        references: Mean activations by materials, while the model is loaded.
        runs: Edited runs that were measured, by prompts, then by what was edited.
        answered: What the model itself was asked, by the materials' hash.
        once_loaded: Called with the model when it was loaded.
    """

    spec: ModelSpec
    options: LoadOptions
    store: Store
    progress: Progress = field(default_factory=Progress)
    references: dict[str, Any] = field(default_factory=dict)
    runs: dict[tuple[str, str], dict[str, Mapping[str, np.ndarray]]] = field(default_factory=dict)
    answered: dict[str, Answered] = field(default_factory=dict)
    once_loaded: Callable[["Model"], object] = lambda _: None
    _held: dict[tuple[Any, ...], Activations] = field(default_factory=dict)
    _scores: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fix the commit of a hub model, before anything is asked of it."""
        self.spec = pinned(self.spec)

    @cached_property
    def model(self) -> "Model":
        """The loaded model, loaded on first use."""
        from harness.adapter import Model  # noqa: PLC0415 - torch and nnsight load here

        _keep_imported()
        model = Model.load(self._written, self.options)
        self.once_loaded(model)
        return model

    @cached_property
    def _written(self) -> ModelSpec:
        """The model with its weights, which a recipe may have to write first."""
        return on_disk(self.spec, self.store.root)

    @cached_property
    def architecture(self) -> Architecture:
        """Sizes and dtype, read from the configuration alone."""
        stated = architecture_of(self.spec)
        dtype = stated.dtype if self.options.dtype == "auto" else self.options.dtype
        return replace(stated, dtype=dtype)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that a measurement depends on, apart from the prompts; part of its address."""
        return {
            **identity_of(self.spec, self.options, self.store.root),
            **({"rendered": self._rendered} if self.options.chat_template else {}),
            "features": FEATURES_VERSION,
            "versions": {name: version(name) for name in _LIBRARIES},
        }

    @cached_property
    def _rendered(self) -> str:
        """A hash of what the chat template makes of one fixed prompt: the files may not say all."""
        from harness.adapter.chat import probe  # noqa: PLC0415 - transformers loads here

        return hashlib.sha256(probe(self._written, self.options).encode()).hexdigest()

    @cached_property
    def thinking(self) -> str:
        """How to keep the model from thinking before it answers; empty if it does not."""
        if not self.options.chat_template:
            return ""
        from harness.adapter.chat import thinking  # noqa: PLC0415 - transformers loads here

        return thinking(self._written, self.options)

    def forget(self) -> None:
        """Free weights and arrays, before another model is studied."""
        self._held.clear()
        self.references.clear()
        self.runs.clear()
        self._scores.clear()
        with suppress(AttributeError):  # it was not loaded
            del self.model
        gc.collect()

    def record(self) -> dict[str, Any]:
        """The model as a verdict records it."""
        template, content = template_identity(self.spec), self._content
        return {
            "name": self.spec.name,
            "path": str(self.spec.path),
            "revision": self.spec.revision,
            "weights": self.identity["weights"],
            **({"content": content} if content else {}),
            "tokenizer": self.identity["tokenizer"],
            **({"template": template} if template else {}),
            **{name: self.identity[name] for name in _CHAT if name in self.identity},
            "attention": "eager where a pattern is read, else fused",
            **self.architecture.to_json(),
        }

    @cached_property
    def _content(self) -> str | None:
        return content_identity(self.spec, self.store.root)

    def activations(
        self, prompts: PromptSet, twin: int | None = None, beside: PromptSet | None = None
    ) -> Activations:
        """Features of every prompt, of the model or of its untrained twin with this seed.

        Args:
            prompts: The prompts.
            twin: The seed.
            beside: A set of the same stories, to be extracted in one go: what prompts begin with
                is run once.
        """
        what = (prompts.hash, twin)
        if what not in self._held:
            if beside is None:
                self._hold(what, self._extracted(prompts, twin))
            else:
                sets = sorted((prompts, beside), key=lambda each: each.name)
                whole, rows = together(sets)
                arrays = self._extracted(whole, twin)
                for each, at in zip(sets, rows, strict=True):
                    own = {name: array[at] for name, array in arrays.items()}
                    self._hold((each.hash, twin), own)
        return self._held[what]

    def _extracted(self, prompts: PromptSet, twin: int | None) -> Mapping[str, np.ndarray]:
        what = {"kind": "activations", "position": "final", "twin": twin}
        return self.fetch(what, prompts, lambda model, items: model.extract(items).arrays(), twin)

    def _hold(self, what: tuple[str, int | None], arrays: Mapping[str, np.ndarray]) -> None:
        while len(self._held) >= IN_MEMORY:
            del self._held[next(iter(self._held))]
        self._held[what] = Activations.from_arrays(arrays)

    def answers(self, prompts: PromptSet) -> Answers:
        """How each prompt is answered."""
        what = {"kind": "answers", "version": ANSWERS_VERSION, "twin": None}
        answers = Answers.from_arrays(self.fetch(what, prompts, self._score))
        self.answered[prompts.hash] = Answered(prompts, answers)
        return answers

    def _score(self, model: "Model", items: tuple[Item, ...]) -> dict[str, np.ndarray]:
        """Answers to some items; one that was asked in another set is not asked again."""
        asked = [(i.prompt, i.turns, i.answer, i.distractors) for i in items]
        new = {key: item for key, item in zip(asked, items, strict=True) if key not in self._scores}
        if new:
            arrays = model.score(list(new.values())).arrays()
            for row, key in enumerate(new):
                self._scores[key] = {name: array[row] for name, array in arrays.items()}
        rows = [self._scores[key] for key in asked]
        return {name: np.array([row[name] for row in rows]) for name in Answers.__slots__}

    def texts(self, prompts: PromptSet) -> list[str]:
        """Every prompt as the model reads it, through its chat template where it has one."""
        if not self.options.chat_template:
            return [item.prompt for item in prompts.items]
        key = {
            "kind": "texts",
            **{name: self.identity[name] for name in _TEXT if name in self.identity},
            "materials": prompts.hash,
        }
        texts: list[str] = self.store.fetch_json(
            key, lambda: {"texts": [self.model.encoder.text(i) for i in prompts.items]}
        )["texts"]
        return texts

    def self_check(self) -> dict[str, Any]:
        """The load-time checks of the instrument, as numbers."""
        return self.store.fetch_json(
            {**self.identity, "kind": "self-check", "version": SELF_CHECK_VERSION},
            lambda: self.model.self_check().worst(),
        )

    def untunable(self, kind: Literal["head", "neuron"]) -> str:
        """Why the parameters of heads, or of neurons, cannot be tuned; empty if they can."""
        why: str = self.store.fetch_json(
            {**self.identity, "kind": "untunable", "of": kind},
            lambda: {"why": self.model.untunable(kind)},
        )["why"]
        return why

    def token_ids(self, prompts: PromptSet) -> list[list[int]]:
        """Token ids of every prompt, as the model reads them."""
        key = {
            "kind": "tokens",
            **{name: self.identity[name] for name in _TEXT if name in self.identity},
            "materials": prompts.hash,
        }
        stored = self.store.fetch_json(key, lambda: {"ids": self.model.encoder.ids(prompts.items)})
        ids: list[list[int]] = stored["ids"]
        return ids

    def pieces(self, words: Sequence[str]) -> list[int]:
        """How many tokens each word is cut into, with a blank before it."""
        key = {
            "kind": "pieces",
            "tokenizer": self.identity["tokenizer"],
            "words": hashlib.sha256("\n".join(words).encode()).hexdigest(),
        }

        def count() -> dict[str, list[int]]:
            cut = self.model.tokenizer([f" {word}" for word in words], add_special_tokens=False)
            return {"pieces": [len(ids) for ids in cut.input_ids]}

        counts: list[int] = self.store.fetch_json(key, count)["pieces"]
        return counts

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
            # A twin does not depend on the trained weights, only on the architecture and on the
            # random numbers of its device.
            key["weights"] = config_identity(self.spec)
            key["device"] = "cpu" if self.options.tensor_parallel else self.options.device
        built: list[Model] = []  # built once, and only if something is missing
        measured = f"{what['kind']} on {prompts.name}"
        said = measured if twin is None else f"untrained twin {twin}, {measured}"
        with self.progress.measuring(said, len(prompts)) as advance:

            def shard(part: slice) -> Mapping[str, np.ndarray]:
                if not built:
                    built.append(self.model if twin is None else self.model.twin(twin))
                measured = measure(built[0], prompts.items[part])
                advance(part.stop - part.start)
                return measured

            arrays = self.store.fetch(key, len(prompts), shard, shard_size=shard_size)
        if built and twin is not None and built.pop().large:
            gc.collect()
        return arrays
