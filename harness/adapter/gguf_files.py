"""What transformers leaves to be done when it loads a GGUF file."""

from importlib.util import find_spec

import transformers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from harness.models.specs import ModelError, ModelSpec


def put_bos_before(tokenizer: PreTrainedTokenizerBase, bos: int | None) -> None:
    """Let the tokenizer put a token before every text.

    What transformers makes of a GGUF file's tokenizer forgets that the file asks for one. Gemma 3
    then answers few of the questions that it can answer.
    """
    if bos is None:
        return
    name = tokenizer.convert_ids_to_tokens(bos)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{name} $A", pair=f"{name} $A {name} $B", special_tokens=[(name, bos)]
    )


def gguf_problem(spec: ModelSpec, text: str) -> ModelError | None:
    """Why a GGUF file cannot be loaded, if the reason is one of its own.

    Args:
        spec: The model.
        text: What transformers says.
    """
    if find_spec("gguf") is None:
        return ModelError(
            f"{spec.name} is a GGUF file, which needs the package gguf: pip install gguf."
        )
    if "GGUF model with architecture" in text or "Unknown gguf model_type" in text:
        return ModelError(
            f"transformers {transformers.__version__} cannot read the architecture of the GGUF "
            f"file {spec.name} ({text[:200]}): use the safetensors version of the model."
        )
    return None
