"""Greedy generation of bounded length; the residual stream may be edited meanwhile."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from harness.adapter.architectures import Sites, first, follow
from harness.adapter.attention import fused_attention
from harness.adapter.encoding import Batch
from harness.adapter.scoring import last_tokens_only
from harness.interventions.edits import Edit, EditContext, EditSet
from harness.interventions.sites import EditError


def generate(
    module: PreTrainedModel,
    sites: Sites,
    batch: Batch,
    tokenizer: Any,
    most: int,
    edits: EditSet = (),
) -> list[str]:
    """What the model writes after each prompt, `most` tokens at most, special tokens left out.

    Greedy, whatever the model's own generation settings say. Edits apply to every token, also to
    the generated ones. A prefix that prompts share is read once.
    """
    ends = getattr(module.generation_config, "eos_token_id", None) or tokenizer.eos_token_id
    with torch.no_grad(), fused_attention(module), ExitStack() as stack:
        for edit in edits:
            stack.enter_context(_hooked(module, sites, edit))
        written = _greedy(module, batch, most, torch.tensor(ends if ends is not None else []))
    written = written.where(written >= 0, tokenizer.pad_token_id)
    texts: list[str] = tokenizer.batch_decode(written, skip_special_tokens=True)
    return texts


def _greedy(
    module: PreTrainedModel, batch: Batch, most: int, ends: Int[Tensor, "..."]
) -> Int[Tensor, "prompt token"]:
    """The most probable tokens, one after the other; -1 after one of `ends`."""
    with last_tokens_only(module, batch.tree, batch.last):
        output = module(**batch.inputs, use_cache=True)
    cache, seen = output.past_key_values, batch.visible.long()
    cache.batch_select_indices(batch.tree.to(seen.device))
    place, ends = seen.sum(1, keepdim=True), ends.to(seen.device)
    written = [output.logits[:, -1].argmax(-1).to(seen.device)]
    ended = torch.isin(written[-1], ends)
    while len(written) < most and not bool(ended.all()):
        seen = torch.cat([seen, torch.ones_like(place)], dim=1)
        output = module(
            input_ids=written[-1].clamp_min(0)[:, None],
            attention_mask=seen,
            position_ids=place + len(written) - 1,
            past_key_values=cache,
            use_cache=True,
        )
        written.append(output.logits[:, -1].argmax(-1).to(seen.device).masked_fill(ended, -1))
        ended |= torch.isin(written[-1], ends)
    return torch.stack(written, dim=1)


@contextmanager
def _hooked(module: PreTrainedModel, sites: Sites, edit: Edit) -> Iterator[None]:
    if edit.site.kind != "resid" or edit.site.layer < 0 or edit.positions != "all" or edit.source:
        raise EditError(
            f"{edit} cannot be made while generating: only edits of the residual stream after a "
            "layer, at all positions, from no other run."
        )

    def change(_module: Any, _inputs: Any, output: Any) -> Any:
        values: Tensor = edit.function(first(output).clone(), EditContext()).to(first(output))
        return (values, *output[1:]) if isinstance(output, tuple) else values

    layer = follow(module, sites.layers)[edit.site.layer]
    handle = layer.register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()
