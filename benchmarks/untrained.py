"""An untrained model of a given shape: what a run costs does not hang on what it has learnt."""

from pathlib import Path

from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from harness.adapter import LoadOptions, Model
from harness.models.specs import resolve


def untrained(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    width: int,
    mlp: int,
    layers: int,
    heads: int,
    kv_heads: int,
    vocabulary: int | None = None,
) -> Model:
    """Loaded from a folder that it is saved to; by default with as many words as the tokenizer."""
    config = Qwen2Config(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
