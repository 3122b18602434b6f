"""From activations to cells: one number for each prompt, for each place and metric in the model.

A *cell* is one number a prompt (a feature of a layer, a metric of a head, the value of a neuron); a
*component* (layer, head, neuron) has one or more cells. Positive effects mean more under the
treated task (recall), negative ones more under the control task (reasoning).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from jaxtyping import Float, Int

from harness import stats
from harness.activations.extracted import Activations
from harness.activations.features import (
    HEAD_METRICS,
    LAYER_FEATURES,
    controlled_names,
    feature_names,
    published_names,
)
from harness.verdicts.components import ComponentKind


@dataclass(frozen=True, slots=True)
class Cells:
    """Many cells of one kind. The cells of a component are consecutive, one for each metric."""

    kind: ComponentKind
    values: Float[np.ndarray, "prompt cell"]
    layer: Int[np.ndarray, " cell"]
    index: Int[np.ndarray, " cell"]
    metrics: tuple[str, ...]

    @property
    def constant(self) -> int:
        """Number of cells with the same value on every prompt: there d is undefined, no effect."""
        return int(stats.constant_cells(self.values).sum())

    def rows(self, keep: Int[np.ndarray, " kept"]) -> Self:
        """The same cells on some of the prompts."""
        return replace(self, values=self.values[keep])


def _select(array: np.ndarray, stored: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    return array[..., [stored.index(name) for name in wanted]]


def layer_cells(activations: Activations, features: Sequence[str]) -> Cells:
    """One cell for each layer and feature."""
    values = _select(activations.layers, feature_names(LAYER_FEATURES), features)
    prompts, layers, count = values.shape
    layer = np.repeat(np.arange(layers), count)
    return Cells(
        "layer", values.reshape(prompts, -1), layer, np.full(len(layer), -1), tuple(features)
    )


def head_cells(activations: Activations, metrics: Sequence[str]) -> Cells:
    """One cell for each head and metric."""
    values = _select(activations.heads, feature_names(HEAD_METRICS), metrics)
    prompts, layers, heads, count = values.shape
    layer = np.repeat(np.arange(layers), heads * count)
    index = np.tile(np.repeat(np.arange(heads), count), layers)
    return Cells("head", values.reshape(prompts, -1), layer, index, tuple(metrics))


def neuron_cells(activations: Activations, which: Literal["gates", "neurons"]) -> Cells:
    """One cell for each neuron: its gate (published) or what it writes (controlled)."""
    values = activations.gates if which == "gates" else activations.neurons
    prompts, layers, neurons = values.shape
    layer = np.repeat(np.arange(layers), neurons)
    index = np.tile(np.arange(neurons), layers)
    return Cells("neuron", values.reshape(prompts, -1), layer, index, (which,))


def published_cells(kind: ComponentKind, activations: Activations) -> Cells:
    """The cells of the published criterion."""
    if kind == "layer":
        return layer_cells(activations, published_names(LAYER_FEATURES))
    if kind == "head":
        return head_cells(activations, published_names(HEAD_METRICS))
    return neuron_cells(activations, "gates")


def controlled_cells(kind: ComponentKind, activations: Activations) -> Cells:
    """The cells of the controlled criterion."""
    if kind == "layer":
        return layer_cells(activations, controlled_names(LAYER_FEATURES))
    if kind == "head":
        return head_cells(activations, controlled_names(HEAD_METRICS))
    return neuron_cells(activations, "neurons")
