"""Numbers that left the range of their dtype: in which layer, and what to do."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.adapter.architectures import first, follow
from harness.adapter.clean import Network
from harness.adapter.encoding import Batch
from harness.models.specs import ModelError


def remedy(dtype: torch.dtype) -> str:
    """What to do about a number that is not finite."""
    if dtype == torch.float16:
        return "float16 ends at 65,504, so try --dtype bfloat16"
    return "try --dtype float32; if it stays, the weights are damaged"


def refuse_overflow(network: Network, batch: Batch, logits: Tensor, prompts: Sequence[str]) -> None:
    """Refuse logits [prompt d_vocab] that are not finite, naming the first layer to blame.

    Raises:
        ModelError: If one is not.
    """
    finite = torch.isfinite(logits).flatten(1).all(1)
    if bool(finite.all()):
        return
    prompt = prompts[int((~finite).nonzero()[0])]
    layer = _first_layer(network, batch)
    where = "logits are not finite" if layer is None else f"layer {layer} is not finite"
    raise ModelError(f"{where} on prompt {prompt!r}: {remedy(network.dtype)}.")


@torch.no_grad()
def _first_layer(network: Network, batch: Batch) -> int | None:
    """The first layer whose output is not finite on a real token; None if all are finite."""
    module, found, real = network.module, [], batch.mask.bool()
    handles = []
    for number, layer in enumerate(follow(module, network.sites.layers)):

        def look(_module: nn.Module, _given: Any, output: Any, number: int = number) -> None:
            values = first(output)
            if not bool(torch.isfinite(values[real.to(values.device)]).all()):
                found.append(number)

        handles.append(layer.register_forward_hook(look))
    try:
        module(**batch.inputs, use_cache=False, logits_to_keep=1)
    finally:
        for handle in handles:
            handle.remove()
    return min(found, default=None)
