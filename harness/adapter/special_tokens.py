"""Special tokens that a tokenizer puts around every text."""

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from harness.models.specs import ModelError

PROBE = "The capital of France"


def append_nothing(tokenizer: PreTrainedTokenizerBase, model: str) -> None:
    """Let nothing follow a text: "the last token" is the prompt's own, not an end-of-text token.

    Args:
        tokenizer: Changed in place, if it appends a token.
        model: The model's name, for messages.

    Raises:
        ModelError: If it appends one and cannot be told not to.
    """
    if _appended(tokenizer) is None:
        return
    if getattr(tokenizer, "add_eos_token", False):
        tokenizer.add_eos_token = False
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        described = json.loads(backend.to_str())
        _cut(described["post_processor"])
        backend.post_processor = Tokenizer.from_str(json.dumps(described)).post_processor
    left = _appended(tokenizer)
    if left is not None:
        raise ModelError(
            f"the tokenizer of {model} puts {left} after every prompt, so that its last token is "
            "not the prompt's own: take that out of the post_processor in tokenizer.json."
        )


def _appended(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The special token that follows a text, if one does."""
    ids = tokenizer(PROBE).input_ids
    alone = tokenizer(PROBE, add_special_tokens=False).input_ids
    if not ids or ids[-1] not in tokenizer.all_special_ids or ids[-1:] == alone[-1:]:
        return None
    return str(tokenizer.convert_ids_to_tokens(ids[-1]))


def _cut(processor: dict[str, Any] | None) -> None:
    """Take what follows the text out of a template of a tokenizer.json, in place."""
    if processor is None:
        return
    for each in processor.get("processors", [processor]):
        if each["type"] == "TemplateProcessing":
            names = [next(iter(piece)) for piece in each["single"]]
            each["single"] = each["single"][: names.index("Sequence") + 1]
