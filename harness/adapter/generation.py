"""Greedy generation of bounded length; the model may be edited meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from harness.adapter.architectures import first, follow
from harness.adapter.attention import fused_attention
from harness.adapter.clean import Network
from harness.adapter.editing import SourceValues, mix_of, put, store_at, values_of
from harness.adapter.encoding import Batch
from harness.adapter.scoring import last_tokens_only
from harness.interventions.edits import Edit, EditSet
from harness.interventions.sites import EditError

EDITED = ("resid", "head", "neuron")  # kinds of sites


def generate(network: Network, batch: Batch, most: int, edits: EditSet = ()) -> list[str]:
    """What the model writes after each prompt, `most` tokens at most, special tokens left out.

    Greedy, whatever the model's own generation settings say. Edits apply to every token, also to
    the generated ones. A prefix that prompts share is read once.

    Raises:
        EditError: If an edit cannot be made while generating.
    """
    module, tokenizer = network.module, network.encoder.tokenizer
    ends = getattr(module.generation_config, "eos_token_id", None) or tokenizer.eos_token_id
    with torch.no_grad(), fused_attention(module), ExitStack() as stack:
        for place, some in _by_tensor(edits, network.layers).items():
            stack.enter_context(_hooked(network, place, some))
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


def _by_tensor(edits: EditSet, layers: int) -> dict[SourceValues, list[Edit]]:
    """The edits by the tensor that holds their site, each tensor's in order."""
    found: dict[SourceValues, list[Edit]] = {}
    for edit in edits:
        inside = edit.site.kind in EDITED and 0 <= edit.site.layer < layers
        if not inside or edit.positions != "all" or edit.source:
            raise EditError(
                f"{edit} cannot be made while generating: only edits of heads, of neurons and of "
                f"the residual stream after one of the {layers} layers, at all positions, from no "
                "other run."
            )
        found.setdefault(store_at(edit.site), []).append(edit)
    return found


@contextmanager
def _hooked(network: Network, place: SourceValues, edits: Sequence[Edit]) -> Iterator[None]:
    """Edit one tensor in every forward pass: the prompt's, and that of each token written."""
    store, number = place
    layer = follow(network.module, network.sites.layers)[number]

    def changed(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        for edit in edits:
            values = values_of(tensor, edit.site, network.heads)
            edited = edit.function(values.clone(), None).to(values)
            put(tensor, edit.site, network.heads, edited)
        return tensor

    def after(_module: Any, _inputs: Any, output: Any) -> Any:
        values = changed(first(output))
        return (values, *output[1:]) if isinstance(output, tuple) else values

    def before(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (changed(given[0]), *given[1:])

    if store == "resid":
        handle = layer.register_forward_hook(after)
    else:
        handle = mix_of(layer, network.sites, store).register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()
