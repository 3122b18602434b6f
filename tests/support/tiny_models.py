"""Tiny random models of every supported architecture, saved as a user's folder would be."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AddedToken

from fixtures.training import corpus
from fixtures.training.tokenizer import word_tokenizer
from harness.adapter import Model
from harness.adapter.loading import language_model
from harness.materials.items import Item

CONFIGS = {
    "qwen2": "Qwen2Config",
    "llama": "LlamaConfig",
    "mistral": "MistralConfig",
    "qwen3": "Qwen3Config",
    "olmo": "OlmoConfig",
    "olmo2": "Olmo2Config",
    "gemma2": "Gemma2Config",
    "gemma3_text": "Gemma3TextConfig",
    "phi3": "Phi3Config",
    "gpt2": "GPT2Config",
    "gpt_neox": "GPTNeoXConfig",
}


def item(prompt: str, answer: str = "", *distractors: str, **fields: object) -> Item:
    return Item(
        id=prompt[:20] or "empty",
        task="recall",
        prompt=prompt,
        pair=prompt,
        answer=answer,
        distractors=distractors,
        **fields,
    )


ITEMS = (
    item("What is the capital of France?", "Paris", "Rome", "New Delhi", subject=(23, 29)),
    item("Rome", "Buenos Aires", "Oslo", subject=(0, 4)),
    item(
        "If X is the capital of Japan and Japan is in Asia, what continent is X in?",
        "Asia",
        "South America",
        "Europe",
        subject=(23, 28),
    ),
    item("The name of an unknown zebra is", "Zoë", "Bern", subject=(23, 28)),
    item(
        "Question 1: where is Peru? The answer is",
        "South America",
        "North America",
        "Asia",
        subject=(21, 25),
    ),
)


def largest_difference(found, expected) -> float:
    return max(
        float(np.abs(a - b).max())
        for a, b in zip(found.arrays().values(), expected.arrays().values(), strict=True)
    )


def config(kind: str, vocab_size: int, **more: Any) -> Any:
    """Two layers of four heads, two key-value heads where the architecture shares them."""
    special = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    if kind == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
    else:
        shape = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
        }
        if kind.startswith("gemma"):
            shape["head_dim"] = 8
        if kind == "gpt_neox":
            del shape["num_key_value_heads"]
    return getattr(transformers, CONFIGS[kind])(
        vocab_size=vocab_size, **{**shape, **special, **more}
    )


# Read by their modules' names alone or by a row, besides those above.
MANY = (
    *("apertus", "arcee", "bloom", "codegen", "cohere", "cohere2", "exaone4", "falcon"),
    *("flex_olmo", "gemma", "glm", "glm4", "gpt_bigcode", "gpt_neo", "gpt_oss", "gptj"),
    *("granite", "granitemoe", "helium", "hunyuan_v1_dense", "ministral", "ministral3"),
    *("mixtral", "nemotron", "olmo3", "olmoe", "opt", "persimmon", "phi", "qwen2_moe"),
    *("qwen3_moe", "seed_oss", "smollm3", "stablelm", "starcoder2"),
)
# Encoders, asked at a masked token, and encoder-decoders.
ENCODERS = (
    *("bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert"),
    *("modernbert", "nomic_bert", "roberta", "roberta-prelayernorm", "xlm-roberta"),
    "xlm-roberta-xl",
)
ENCODER_DECODERS = ("mt5", "t5", "umt5")
# Sizes under every name that an architecture's configuration may give them.
SIZES = {
    **dict.fromkeys(("hidden_size", "n_embd", "word_embed_proj_dim", "d_model", "dim"), 32),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"), 48),
    **dict.fromkeys(("d_ff", "hidden_dim"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads"), 4),
    **{"num_decoder_layers": 3, "d_kv": 8, "embedding_size": 32},
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 512),
    **dict.fromkeys(("num_experts", "num_local_experts"), 4),
    **{"num_key_value_heads": 2, "head_dim": 8, "rotary_dim": 8, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 24, "shared_expert_intermediate_size": 16},
    "attention_types": [[["global"], 2]],
}


def any_config(kind: str, vocab_size: int) -> Any:
    """A configuration of any architecture, in the sizes that it states."""
    configuration = transformers.models.auto.configuration_auto.CONFIG_MAPPING[kind]
    stated = configuration().to_dict()
    special = {"vocab_size": vocab_size, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    special |= {name: 0 for name in stated if name in ("cls_token_id", "sep_token_id")}
    special |= {"decoder_start_token_id": 0} if stated.get("is_encoder_decoder") else {}
    return configuration(**{k: v for k, v in SIZES.items() if k in stated}, **special)


def save(folder: Path, kind: str = "qwen2", seed: int = 0, **more: Any) -> Path:
    """Write a random model and the word-level tokenizer; weights large enough to matter."""
    words, tokenizer = _tokenizer(kind in ENCODERS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = config if kind in CONFIGS else any_config
        stated = made(kind, words, **more)
        model = language_model(stated).from_config(stated)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    for name, content in tokenizer.items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _tokenizer(masks: bool) -> tuple[int, dict[str, bytes]]:
    """How many tokens it has, and its files; made once a process."""
    tokenizer = word_tokenizer(corpus.vocabulary())
    if masks:
        mask = AddedToken("<mask>", lstrip=True)  # it takes the space before it, as RoBERTa's does
        tokenizer.add_special_tokens({"mask_token": mask})
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return len(tokenizer), {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def in_batches(model: Model, size: int) -> Model:
    """The same weights, which run so many prompts at once."""
    options = replace(model.options, batch_size=size)
    return Model(model.spec, options, model.engine, model.tokenizer)
