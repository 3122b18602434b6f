"""How fast a model is on this machine, from a probe of some seconds."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from harness.materials.difficulty import Difficulty
from harness.materials.items import Item, PromptSet
from harness.materials.sets import drawing_of
from harness.models.architecture import Architecture
from harness.models.specs import LoadOptions, ModelSpec
from harness.study.cost import Kind, Work

if TYPE_CHECKING:
    from harness.adapter import Model

SECONDS = 10.0  # of a probe, at most, where one batch takes less
GROWING = (1, 1, 16, 64, 128)  # prompts of a batch
LONG = 3.0  # seconds of a single prompt beside which the cost of a batch does not count
ENOUGH = 1.0  # seconds of a batch that would tell no more than a smaller one
SAMPLE = 48  # prompts whose tokens are counted
EDITS = 8
FAST = 5_000.0  # tokens a second of the smallest models, which batches slow down
BUSY = 0.8  # share of a core: where the probe got less, other work runs on the machine
# Speeds beside that of activations, where a model is too large to time all in the probe; gradients
# take a forward and a backward pass of every prompt on its own.
GUESSED: Mapping[Kind, float] = {"sweep": 0.9, "gradients": 0.1}
MATERIALS = {
    "published": "geography-published",
    "plain": "cells",
    "crossed": "cells-crossed:lookup-reasoning",
    "cells": "cells",
    "cells-crossed": "cells-crossed:recall-lookup",
}


@dataclass(frozen=True, slots=True)
class Speed:
    """What a run's time is computed from.

    Attributes:
        per_second: Tokens that pass through all layers in a second, by what is measured.
        tokens: Of a prompt, by materials; what prompts share is counted once.
        share: Of a core that the probe was given on a CPU: below 1 where other work takes turns.
    """

    per_second: Mapping[Kind, float]
    tokens: Mapping[str, float]
    share: float = 1.0

    @property
    def said(self) -> str:
        """`3,200 tokens a second`, of prompts that are answered."""
        return f"{self.per_second['answers']:,.0f} tokens a second"

    def seconds(self, work: Work) -> float:
        """What a measurement takes."""
        return work.prompts * work.passes * self.tokens[work.materials] / self.per_second[work.kind]

    def at_length(self, length: float) -> "Speed":
        """The same with prompts of the cells that are so many times as long."""
        cells = ("plain", "crossed", "cells", "cells-crossed")
        longer = {name: length * tokens for name, tokens in self.tokens.items() if name in cells}
        return replace(self, tokens={**self.tokens, **longer})

    @property
    def busy(self) -> bool:
        """Whether other work slowed the probe down, and may be over before the run is."""
        return self.share < BUSY

    def of_another(self, measured: Architecture, other: Architecture) -> "Speed":
        """A guess at the speed of a model of another size on the same machine."""
        larger = parameters(measured) / parameters(other)
        guessed = {kind: min(v * larger, max(v, FAST)) for kind, v in self.per_second.items()}
        return replace(self, per_second=guessed)


def speed_of(
    model: "Model", seconds: float = SECONDS, own: Mapping[str, PromptSet] | None = None
) -> Speed:
    """Measure it: answers, activations, edits and gradients on growing batches of prompts.

    Args:
        model: The loaded model.
        seconds: What the probe may take, where a single batch takes less.
        own: Prompts whose tokens are counted too, by the name of the materials.
    """
    sets = {name: _drawn(real) for name, real in MATERIALS.items()}
    items = sets["crossed"].items[: GROWING[-1]]
    jobs = _jobs(model, items)
    per_second: dict[Kind, float] = {}
    left, started, computed = seconds, time.perf_counter(), time.process_time()
    for kind, (measure, passes) in jobs.items():
        if left <= 0 and kind in GUESSED:
            per_second[kind] = per_second["activations"] * GUESSED[kind]
            continue
        took, spent = probe(measure, len(items), seconds / len(jobs))
        left -= spent
        tokens = tokens_of(model, items[: took.prompts]) * took.prompts
        per_second[kind] = passes * tokens / took.seconds
    share = (time.process_time() - computed) / (time.perf_counter() - started)
    counted = {name: tokens_of(model, prompts.items[:SAMPLE]) for name, prompts in sets.items()}
    own = own or {}
    counted |= {name: tokens_of(model, prompts.items[:SAMPLE]) for name, prompts in own.items()}
    return Speed(per_second, counted, min(share, 1.0) if model.device.type == "cpu" else 1.0)


def _jobs(
    model: "Model", items: Sequence[Item]
) -> Mapping[Kind, tuple[Callable[[int], object], float]]:
    """What is timed, on so many of the items, and how many passes each of them makes."""
    from harness.interventions.edits import zero_ablation  # noqa: PLC0415 - torch is slow to import
    from harness.interventions.sites import Site  # noqa: PLC0415

    heads, layers = model.architecture.heads, model.architecture.layers
    sites = [Site("head", n * layers // EDITS, n % heads) for n in range(EDITS)]
    edits = [(zero_ablation(site),) for site in sites]
    return {
        "answers": (lambda n: model.score(items[:n]), 1.0),
        "activations": (lambda n: model.extract(items[:n]), 1.0),
        "sweep": (
            lambda n: model.sweep(items[:n], edits, partial=True),
            sum(1 - site.layer / layers for site in sites),
        ),
        "gradients": (lambda n: model.path_scores(items[:n], "neuron", steps=1), 1.0),
    }


def speed_before(
    spec: ModelSpec,
    options: LoadOptions,
    seconds: float = SECONDS,
    own: Mapping[str, PromptSet] | None = None,
) -> Speed:
    """The speed of a model that is loaded for it alone; see `speed_of`.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from harness.adapter import Model  # noqa: PLC0415 - torch and nnsight load here

    model = Model.load(spec, options)
    speed = speed_of(model, seconds, own)
    del model
    gc.collect()
    return speed


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that a batch took."""

    prompts: int
    seconds: float


def probe(
    measure: Callable[[int], object],
    most: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Took, float]:
    """The time of the largest batch that can be timed within some seconds; and of all.

    A single prompt comes first, because it pays for what is done once. Then a batch: of one prompt
    alone, what a batch costs in itself would be the most.
    """
    took, spent = Took(0, 0.0), 0.0
    for at, number in enumerate(min(size, most) for size in GROWING):
        left = seconds - spent
        if at == 2 and took.seconds > LONG:
            break
        longer = took.seconds * number / took.prompts if at else 0.0
        if at > 2 and (number == took.prompts or longer > min(left, ENOUGH)):
            break
        started = clock()
        measure(number)
        took = Took(number, max(clock() - started, 1e-6))
        spent += took.seconds
    return took, spent


def tokens_of(model: "Model", items: Sequence[Item]) -> float:
    """Tokens of a prompt, a mean; a prefix that prompts share is counted once."""
    from harness.adapter.prefix_sharing import shared_prefix_trees  # noqa: PLC0415 - loads torch

    trees = shared_prefix_trees(model.encoder.ids(items))
    return sum(len(tree.ids) for tree in trees) / len(items)


def length_at(difficulty: Difficulty) -> float:
    """How long prompts of the cells are at a setting, beside those that a probe counts: in words.

    A model that answers two chains alone is asked prompts of two thirds the length.
    """
    cells = MATERIALS["cells"]
    return _words(f"{cells}@{difficulty}") / _words(cells)


def _words(name: str) -> float:
    """Words of a prompt, a mean; those that it begins with like another are not counted."""
    texts = sorted(item.prompt.split() for item in _drawn(name).items[:SAMPLE])
    shared = sum(_alike(*pair) for pair in pairwise(texts))
    return (sum(map(len, texts)) - shared) / len(texts)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    return len([*takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))])


def _drawn(name: str) -> PromptSet:
    draw = drawing_of(name)
    assert draw is not None
    return draw(SAMPLE, 0)


def parameters(of: Architecture) -> float:
    """Of all layers, roughly: four matrices of attention, three of the MLP."""
    return of.layers * of.d_model * (4.0 * of.d_model + 3.0 * of.neurons)
