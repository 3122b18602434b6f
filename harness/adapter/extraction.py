"""Features from one trace a batch: every site of every layer is read and reduced on the device."""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import nnsight
import numpy as np
import torch
from jaxtyping import Float, Int
from nnsight import TransformersModel
from torch import Tensor

from harness.activations.features import head_metrics, layer_features
from harness.adapter.architectures import (
    ATTENTION_CALL,
    LayerReads,
    Sites,
    Tree,
    follow,
    on_tokens,
    read_layers,
    whole_pattern,
)
from harness.adapter.attention import fused_attention
from harness.adapter.encoding import Batch


@dataclass(frozen=True, slots=True)
class BatchFeatures:
    """The arrays of `activations.Activations` for one batch, on the device, float32."""

    layers: Float[Tensor, "batch layer feature"]
    heads: Float[Tensor, "batch layer head metric"]
    gates: Float[Tensor, "batch layer neuron"]
    neurons: Float[Tensor, "batch layer neuron"]
    resid: Float[Tensor, "batch layer d_model"]


def features(engine: TransformersModel, sites: Sites, batch: Batch) -> BatchFeatures:
    """Features of the last token of each prompt.

    Of each layer only that token's values are kept; features are then computed for all layers
    at once. The model is stopped after its last layer.
    """
    some = batch.sees is not None and sites.calls_interface

    def pick(reads: LayerReads) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pattern = reads.pattern if some else reads.pattern[batch.tree, :, batch.last]
        at, row = batch.last.to(reads.resid.device), batch.tree.to(reads.resid.device)
        return pattern, reads.gate[row, at], reads.neurons[row, at], reads.resid[row, at]

    with fused_attention(engine._module) if some else nullcontext():
        pattern_of = partial(_rows, batch) if some else whole_pattern
        kept = _trace(engine, sites, batch, pick, pattern_of, batch.ends)
    row, gates, neurons, resid = (_stack(kind, batch) for kind in zip(*kept, strict=True))
    return BatchFeatures(
        layer_features(resid, row, gates, batch.visible),
        head_metrics(row, batch.visible),
        gates.float(),
        neurons.float(),
        resid.float(),
    )


def _rows(batch: Batch, attention: Tree) -> Float[Tensor, "prompt head key_pos"]:
    """The attention that each prompt's last token pays.

    Only these rows are made, from their queries and keys by the model's eager attention: the first
    prompt's of every tree, then the second's. So a tree's keys are not gathered for each, and a row
    does not depend on how many there are.
    """
    (module, query, key, value, mask), settings = follow(attention, ATTENTION_CALL).inputs
    tree, place = batch.tree.to(query.device), batch.places.to(query.device)
    asked = query.new_zeros(int(place.max()) + 1, len(query), dtype=torch.long)
    asked[place, tree] = batch.last.to(query.device)
    trees = torch.arange(len(query), device=query.device)
    eager = sys.modules[type(module).__module__].eager_attention_forward
    made: list[Tensor] = []
    for at in asked:
        one, seen = (values[trees, :, at][:, :, None] for values in (query, mask))
        made.append(eager(module, one, key, value[..., :1], seen, **settings)[1])
    return on_tokens(attention, torch.cat(made, dim=2)[tree, :, place])


def residuals(
    engine: TransformersModel,
    sites: Sites,
    batch: Batch,
    tokens: Sequence[Sequence[int]],
) -> Float[Tensor, "batch token layer d_model"]:
    """The residual stream after each layer at some tokens of each prompt, float32.

    Args:
        engine: The model.
        sites: Where its parts are.
        batch: The prompts.
        tokens: Of each prompt, as many of each, counted from the left of the unpadded prompt.
    """
    at = [columns[list(some)] for columns, some in zip(batch.columns, tokens, strict=True)]
    named, trees = torch.tensor(np.array(at)), batch.tree[:, None]

    def pick(reads: LayerReads) -> tuple[Tensor]:
        device, decoder = reads.resid.device, sites.decoder
        one = decoder is not None and reads.layer >= decoder
        positions = batch.last[:, None].expand_as(named) if one else named
        return (reads.resid[trees.to(device), positions.to(device)],)

    kept = _trace(engine, sites, batch, pick)
    layers = [values[0].to(batch.ids.device) for values in kept]
    return torch.stack(layers, dim=2).float()


@torch.no_grad()
def _trace(
    engine: TransformersModel,
    sites: Sites,
    batch: Batch,
    reduce: Callable[[LayerReads], tuple[Tensor, ...]],
    pattern_of: Callable[[Tree], Tensor | None] = whole_pattern,
    ends: Int[Tensor, " end"] | None = None,
) -> list[tuple[Tensor, ...]]:
    """`reduce` applied to each layer, in one forward pass that ends after the last layer."""
    with engine.trace(**batch.inputs, use_cache=False) as tracer:
        kept = nnsight.save([])
        for reads in read_layers(engine, sites, pattern_of, ends):
            kept.append(reduce(reads))
        tracer.stop()
    reduced: list[tuple[Tensor, ...]] = kept
    return reduced


def _stack(values: tuple[Tensor, ...], batch: Batch) -> Float[Tensor, "batch layer ..."]:
    """The layers as one tensor, on the batch's device."""
    return torch.stack([value.to(batch.ids.device) for value in values], dim=1)
