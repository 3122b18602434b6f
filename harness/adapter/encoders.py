"""Encoders (BERT): every token sees all others, and an answer is asked as a masked token."""

from typing import Any

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

OF_DECODERS = ("use_cache", "past_key_values", "logits_to_keep")


def is_encoder(config: PretrainedConfig) -> bool:
    """Whether it is the configuration of an encoder alone."""
    masked = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return masked and not config.is_encoder_decoder and not getattr(config, "is_decoder", False)


def take_decoders_arguments(module: PreTrainedModel) -> None:
    """Let an encoder be called as decoders are: what it does not take is left out.

    Positions are those of its own table, whose first rows may belong to padding (RoBERTa).
    """
    first = first_position(module)

    def adapt(
        _module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        named = {name: value for name, value in named.items() if name not in OF_DECODERS}
        if "position_ids" in named:
            named["position_ids"] = named["position_ids"] + first
        return given, named

    module.register_forward_pre_hook(adapt, with_kwargs=True)


def first_position(module: PreTrainedModel) -> int:
    """The row of a prompt's first token in the table of positions."""
    tables = (m for n, m in module.named_modules() if n.endswith("position_embeddings"))
    padding = getattr(next(tables, None), "padding_idx", None)
    return 0 if padding is None else padding + 1
