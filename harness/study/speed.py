"""How fast a model is on this machine, from a probe of some seconds."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.interventions.edits import zero_ablation
from harness.interventions.sites import Site
from harness.materials.items import Item, PromptSet
from harness.materials.sets import drawing_of
from harness.models.architecture import Architecture
from harness.models.specs import LoadOptions, ModelSpec
from harness.study.cost import Kind, Work

if TYPE_CHECKING:
    from harness.adapter import Model

SECONDS = 10.0  # of a probe, at most, where one batch takes less
GROWING = (4, 4, 16, 64, 128)  # prompts of a batch
SAMPLE = 48  # prompts whose tokens are counted
EDITS = 8
FAST = 5_000.0  # tokens a second of the smallest models, which batches slow down
MATERIALS = {
    "published": "geography-published",
    "plain": "geography",
    "crossed": "geography-crossed",
    "cells": "cells",
    "cells-crossed": "cells-crossed:recall-lookup",
}


@dataclass(frozen=True, slots=True)
class Speed:
    """What a run's time is computed from.

    Attributes:
        per_second: Tokens that pass through all layers in a second, by what is measured.
        tokens: Of a prompt, by materials; what prompts share is counted once.
    """

    per_second: Mapping[Kind, float]
    tokens: Mapping[str, float]

    @property
    def said(self) -> str:
        """`3,200 tokens a second`, of prompts that are answered."""
        return f"{self.per_second['answers']:,.0f} tokens a second"

    def seconds(self, work: Work) -> float:
        """What a measurement takes."""
        return work.prompts * work.passes * self.tokens[work.materials] / self.per_second[work.kind]

    def of_another(self, measured: Architecture, other: Architecture) -> "Speed":
        """A guess at the speed of a model of another size on the same machine."""
        larger = _parameters(measured) / _parameters(other)
        guessed = {kind: min(v * larger, max(v, FAST)) for kind, v in self.per_second.items()}
        return replace(self, per_second=guessed)


def speed_of(model: "Model", seconds: float = SECONDS, own: PromptSet | None = None) -> Speed:
    """Measure it: answers, activations, edits and gradients on growing batches of prompts.

    Args:
        model: The loaded model.
        seconds: What the probe may take.
        own: Prompts that the run asks in place of the plain and crossed ones.
    """
    sets = {name: _drawn(real) for name, real in MATERIALS.items()}
    if own is not None:
        sets |= {"plain": own, "crossed": own}
    items = sets["crossed"].items[: GROWING[-1]]
    heads, layers = model.architecture.heads, model.architecture.layers
    sites = [Site("head", n * layers // EDITS, n % heads) for n in range(EDITS)]
    edits = [(zero_ablation(site),) for site in sites]
    passes = sum(1 - site.layer / layers for site in sites)
    each: Mapping[Kind, tuple[Callable[[Sequence[Item]], object], float]] = {
        "answers": (model.score, 1.0),
        "activations": (model.extract, 1.0),
        "sweep": (lambda some: model.sweep(some, edits, partial=True), passes),
        "gradients": (lambda some: model.path_scores(some, "neuron", steps=1), 1.0),
    }

    def timed(kind: Kind) -> float:
        measure, weight = each[kind]
        took = probe(lambda n: measure(items[:n]), len(items), seconds / len(each))
        return weight * tokens_of(model, items[: took.prompts]) * took.prompts / took.seconds

    return Speed(
        per_second={kind: timed(kind) for kind in each},
        tokens={name: tokens_of(model, prompts.items[:SAMPLE]) for name, prompts in sets.items()},
    )


def speed_before(spec: ModelSpec, options: LoadOptions, seconds: float = SECONDS) -> Speed:
    """The speed of a model that is loaded for it alone.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from harness.adapter import Model  # noqa: PLC0415 - torch and nnsight load here

    model = Model.load(spec, options)
    speed = speed_of(model, seconds)
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
) -> Took:
    """The time of the largest batch that can be timed within some seconds.

    The first size is timed twice where there is time, because it pays for what is done once.
    """
    took, left = Took(0, 0.0), seconds
    for number in (min(size, most) for size in GROWING):
        if took.prompts and took.seconds * number / took.prompts > left:
            break
        started = clock()
        measure(number)
        took = Took(number, max(clock() - started, 1e-6))
        left -= took.seconds
    return took


def tokens_of(model: "Model", items: Sequence[Item]) -> float:
    """Tokens of a prompt, a mean; a prefix that prompts share is counted once."""
    from harness.adapter.prefix_sharing import shared_prefix_trees  # noqa: PLC0415 - loads torch

    trees = shared_prefix_trees(model.encoder.ids(items))
    return sum(len(tree.ids) for tree in trees) / len(items)


def _drawn(name: str) -> PromptSet:
    draw = drawing_of(name)
    assert draw is not None
    return draw(SAMPLE, 0)


def _parameters(of: Architecture) -> float:
    """Of all layers, roughly: four matrices of attention, three of the MLP."""
    return of.layers * of.d_model * (4.0 * of.d_model + 3.0 * of.neurons)
