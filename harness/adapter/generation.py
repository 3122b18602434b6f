"""Greedy generation of bounded length; the residual stream may be edited meanwhile."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from harness.adapter.architectures import Sites, first, follow
from harness.adapter.encoding import Batch
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
    the generated ones.
    """
    own = module.generation_config
    settings = GenerationConfig(
        max_new_tokens=most,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=getattr(own, "eos_token_id", None) or tokenizer.eos_token_id,
        bos_token_id=getattr(own, "bos_token_id", None),
    )
    with torch.no_grad(), ExitStack() as stack:
        for edit in edits:
            stack.enter_context(_hooked(module, sites, edit))
        written = module.generate(
            input_ids=batch.ids, attention_mask=batch.mask, generation_config=settings
        )
    texts: list[str] = tokenizer.batch_decode(
        written[:, batch.ids.shape[1] :], skip_special_tokens=True
    )
    return texts


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
