"""Edits by other means: torch hooks on the bare model, each prompt alone and unpadded, every layer
and position run. Shares no code with the adapter or with `harness.interventions.edits`."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

LAYERS = {"gpt2": "transformer.h", "gpt_neox": "gpt_neox.layers"}
HEAD_MIX = {"gpt2": "attn.c_proj", "gpt_neox": "attention.dense"}
NEURON_MIX = {"gpt2": "mlp.c_proj", "gpt_neox": "mlp.dense_4h_to_h"}
ATTENTION = {"gpt2": "attn", "gpt_neox": "attention"}
POST_NORMS = ("gemma2", "gemma3_text", "olmo2")

Change = Callable[[torch.Tensor], torch.Tensor]  # [pos ...] of one prompt


@contextmanager
def hooked(module: Any, kind: str, layer: int, change: Change):
    """Replace a site's whole tensor [pos ...] by `change` of it."""
    name = module.config.model_type
    block = module.get_submodule(LAYERS.get(name, "model.layers"))[max(layer, 0)]

    def output(_module: Any, _inputs: Any, found: Any) -> Any:
        if isinstance(found, tuple):
            return (change(found[0][0])[None], *found[1:])
        return change(found[0])[None]

    def given(_module: Any, inputs: Any) -> Any:
        return (change(inputs[0][0])[None], *inputs[1:])

    if kind in ("head", "neuron"):
        paths = HEAD_MIX if kind == "head" else NEURON_MIX
        default = "self_attn.o_proj" if kind == "head" else "mlp.down_proj"
        handle = block.get_submodule(paths.get(name, default)).register_forward_pre_hook(given)
    elif kind == "resid" and layer < 0:
        handle = block.register_forward_pre_hook(given)
    elif kind == "resid":
        handle = block.register_forward_hook(output)
    else:
        place = ATTENTION.get(name, "self_attn") if kind == "attn" else "mlp"
        if name in POST_NORMS:
            part = "attention" if kind == "attn" else "feedforward"
            place = f"post_{part}_layernorm"
        handle = block.get_submodule(place).register_forward_hook(output)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def values(module: Any, ids: Sequence[int], kind: str, layer: int) -> torch.Tensor:
    """A site's whole tensor in one prompt."""
    seen: list[torch.Tensor] = []

    def keep(found: torch.Tensor) -> torch.Tensor:
        seen.append(found.clone())
        return found

    with hooked(module, kind, layer, keep):
        module(input_ids=torch.tensor([list(ids)]), use_cache=False)
    return seen[0]


@torch.no_grad()
def last_logits(module: Any, ids: Sequence[int], *edits: tuple[str, int, Change]) -> torch.Tensor:
    """Logits after the prompt with whole-tensor changes at (kind, layer)."""
    if not edits:
        return module(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1]
    (kind, layer, change), *rest = edits
    with hooked(module, kind, layer, change):
        return last_logits(module, ids, *rest)


def change(
    kind: str,
    index: Any,
    positions: Sequence[int],
    heads: int,
    function: Callable[[torch.Tensor], torch.Tensor],
) -> Change:
    """`function` of the site's values at some positions, all else as it was."""

    def whole(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        part = slice(None)
        if kind == "head":
            size = tensor.shape[-1] // heads
            part = slice(index * size, (index + 1) * size)
        elif index is not None:
            part = list(index)
        rows = tensor[positions]
        rows[:, part] = function(rows[:, part])
        tensor[positions] = rows
        return tensor

    return partial(whole)
