"""One forward pass without edits, keeping what edited passes start from and patch from."""

from dataclasses import dataclass
from typing import Any

import nnsight
import numpy as np
import torch
from jaxtyping import Float, Int
from nnsight import TransformersModel
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from harness.adapter.architectures import (
    Sites,
    first,
    follow,
    narrow_attention,
    narrow_mlp,
)
from harness.adapter.chunks import known_stores
from harness.adapter.editing import KEPT_STORES, SourceValues, read_store
from harness.adapter.encoding import Batch, Encoder
from harness.adapter.scoring import last_tokens_only
from harness.models.architecture import Architecture

KEPT_BYTES = 1 << 29  # of clean runs: all those of a small model's circuits, none of a large model


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network, with what is needed to run prompts through it and to reach its parts."""

    engine: TransformersModel  # nnsight's view of the transformers model
    sites: Sites
    encoder: Encoder
    architecture: Architecture
    device: torch.device

    @property
    def module(self) -> PreTrainedModel:
        """The bare transformers model, for which nnsight has no public name."""
        return self.engine._module

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        dtype: torch.dtype = next(self.module.parameters()).dtype
        return dtype

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.architecture.layers

    @property
    def heads(self) -> int:
        """Query heads of each layer."""
        return self.architecture.heads

    @property
    def neurons(self) -> int:
        """Neurons of each layer."""
        return self.architecture.neurons

    def sees(self, width: int) -> bool:
        """Whether a token depends on those before it alone, and on all of `width` of them."""
        return self.sites.causal and (self.window is None or self.window >= width)

    @property
    def window(self) -> int | None:
        """Tokens that a sliding-window layer sees; None if there is no such layer."""
        config = self.module.config.get_text_config()
        window: int | None = getattr(config, "sliding_window", None)
        return window


@dataclass(frozen=True, slots=True)
class Clean:
    """A batch run without edits.

    Attributes:
        resid: The embedding, then the residual stream after each layer [tree pos d_model].
        cache: Keys and values of every layer; None if tokens also see those after them.
        logits: Of each prompt's last token, float32.
        stores: Tensors that edits patch from, or that edited passes start from.
    """

    resid: list[Tensor]
    cache: DynamicCache | None
    logits: Float[Tensor, "prompt d_vocab"]
    stores: dict[SourceValues, Tensor]

    @property
    def size(self) -> int:
        """Bytes."""
        layers = () if self.cache is None else self.cache.layers
        cached = (values for layer in layers for values in (layer.keys, layer.values))
        return sum(t.nbytes for t in (*self.resid, *cached, self.logits, *self.stores.values()))


def run_clean(
    network: Network, batch: Batch, wanted: set[SourceValues], *, whole: bool = False
) -> Clean:
    """Run a batch without edits, keeping the residual stream, keys and values, and `wanted`.

    What is kept of the last layer is right where prompts end; elsewhere only if `whole`: nothing
    reads it there, but means over all tokens.
    """
    inputs = {**batch.inputs, "use_cache": True, "past_key_values": DynamicCache()}
    last, sites = network.layers - 1, network.sites
    narrow_too = not whole and not any(
        (s, last) in wanted for s in ("neurons", "feedforward", "mlp")
    )
    with (
        last_tokens_only(network.module, batch.tree, batch.last),
        network.engine.trace(**inputs) as tracer,
    ):
        resid = nnsight.save([])
        stores = nnsight.save({})
        for number, layer in enumerate(follow(network.engine, sites.layers)):
            if number == 0:
                resid.append(layer.input.clone())
            if number == last and not whole:
                narrow_attention(layer, sites, batch.ends)
            for store in KEPT_STORES:
                if (store, number) in wanted:
                    stores[store, number] = read_store(layer, sites, store).clone()
            if number == last and narrow_too:
                narrow_mlp(layer, sites, batch.ends)
            resid.append(first(layer.output))
        output = nnsight.save(tracer.result)
    for store, number in wanted:
        if store == "resid":
            stores["resid", number] = resid[number + 1]
    logits = output.logits[:, 0].float().to(batch.ids.device)
    return Clean(resid, getattr(output, "past_key_values", None), logits, stores)


class CleanRuns:
    """The last runs without edits: sweeps that ask of the same prompts start from the same run.

    Only for weights that stay as they are. A run holds more than the sweep that made it wants: also
    what a sweep of heads in any layer starts from, or one of neurons in every layer.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        layers = range(network.layers)
        self._starts = set.union(known_stores(0, 2), *(known_stores(n, 1) for n in layers))
        self._kept: dict[tuple[Any, ...], Clean] = {}  # the last used one is the last

    def of(self, batch: Batch, wanted: set[SourceValues]) -> Clean:
        """The run of a batch with fused attention, which holds at least what is wanted."""
        where = (batch.ids.cpu().numpy(), batch.tree.cpu().numpy(), *batch.columns)
        key = batch.ids.shape, *(each.tobytes() for each in where)
        clean = self._kept.pop(key, None)
        if clean is None or not wanted <= clean.stores.keys():
            more = clean.stores if clean else self._starts
            clean = run_clean(self.network, batch, wanted.union(more))
        self._kept[key] = clean
        while sum(kept.size for kept in self._kept.values()) > KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        return clean


@dataclass(frozen=True, slots=True)
class Taken:
    """Tensors of a batch of trees, rearranged to one row for each of some of its prompts.

    Values at padding are arbitrary, as in any run.
    """

    tree: Int[Tensor, "prompt 1"]
    columns: Int[Tensor, "prompt pos"]
    prompts: list[int]

    def __call__(self, values: Float[Tensor, "tree pos ..."]) -> Float[Tensor, "prompt pos ..."]:
        """The rearranged tensor."""
        return values[self.tree, self.columns]

    def run(self, clean: Clean) -> Clean:
        """The rearranged clean run."""
        cache = DynamicCache()
        assert clean.cache is not None  # only decoders have trees
        for number, layer in enumerate(clean.cache.layers):
            keys, values = (self(x.transpose(1, 2)) for x in (layer.keys, layer.values))
            cache.update(keys.transpose(1, 2), values.transpose(1, 2), number)
        stores = {at: self(values) for at, values in clean.stores.items()}
        return Clean(list(map(self, clean.resid)), cache, clean.logits[self.prompts], stores)


def taken(batch: Batch, alone: Batch) -> Taken:
    """How to take the prompts of `alone` out of `batch`, which also holds them."""
    width, order = alone.ids.shape[1], {row: place for place, row in enumerate(batch.rows)}
    prompts = [order[row] for row in alone.rows]
    columns = np.zeros((len(prompts), width), dtype=np.int64)
    for place, prompt in enumerate(prompts):
        columns[place, width - len(batch.columns[prompt]) :] = batch.columns[prompt]
    return Taken(batch.tree[prompts][:, None], torch.from_numpy(columns), prompts)
