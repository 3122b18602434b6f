"""One forward of a batch as it is, keeping what edited forwards are resumed and patched from."""

from dataclasses import dataclass

import nnsight
import torch
from jaxtyping import Float
from nnsight import TransformersModel
from torch import Tensor
from transformers import DynamicCache

from harness.adapter.editing import KEPT_STORES, Store, read_store
from harness.adapter.encoding import Batch, Encoder
from harness.adapter.sites import Sites, first, follow


@dataclass(frozen=True, slots=True)
class Network:
    """The model as the sweep needs it."""

    engine: TransformersModel
    sites: Sites
    encoder: Encoder
    layers: int
    heads: int
    neurons: int
    device: torch.device

    @property
    def window(self) -> int | None:
        """Tokens that a sliding-window layer sees, if there is one."""
        found: int | None = getattr(
            self.engine._module.config.get_text_config(), "sliding_window", None
        )
        return found


@dataclass(frozen=True, slots=True)
class Clean:
    """A batch run as it is.

    Attributes:
        resid: The embedding, then the residual stream after each layer [prompt pos d_model].
        cache: Keys and values of every layer.
        logits: Of the last token, float32.
        stores: Tensors that edits patch from or forwards are resumed from.
    """

    resid: list[Tensor]
    cache: DynamicCache
    logits: Float[Tensor, "prompt d_vocab"]
    stores: dict[Store, Tensor]


def run_clean(network: Network, batch: Batch, wanted: set[Store]) -> Clean:
    """Run a batch as it is, keeping the residual stream, keys and values, and `wanted`."""
    inputs = {**batch.inputs, "use_cache": True, "past_key_values": DynamicCache()}
    with network.engine.trace(**inputs, logits_to_keep=1) as tracer:
        resid = nnsight.save([])
        stores = nnsight.save({})
        for number, layer in enumerate(follow(network.engine, network.sites.layers)):
            if number == 0:
                resid.append(layer.input.clone())
            for store in KEPT_STORES:
                if (store, number) in wanted:
                    stores[store, number] = read_store(layer, network.sites, store).clone()
            resid.append(first(layer.output))
        output = nnsight.save(tracer.result)
    for store, number in wanted:
        if store == "resid":
            stores["resid", number] = resid[number + 1]
    logits = output.logits[:, -1].float().to(batch.ids.device)
    return Clean(resid, output.past_key_values, logits, stores)
