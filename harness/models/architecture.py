"""The sizes of a model, as its configuration states them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.models import gguf
from harness.models.hub import config_file, model_file
from harness.models.specs import ModelError, ModelSpec, read_json

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")  # names of their number


@dataclass(frozen=True, slots=True)
class Architecture:
    """The kind of a transformer and its sizes.

    Attributes:
        name: The `model_type` of transformers, such as `qwen2`.
        layers: How many; of an encoder-decoder, those of the encoder, then those of the decoder.
        heads: Query heads of each layer.
        kv_heads: Key-value heads of each layer.
        neurons: Of each layer's MLP, those of all experts together.
        d_model: Width of the residual stream.
        d_vocab: Tokens in the vocabulary.
        dtype: Of the weights; float32 where the configuration does not state it.
        quantisation: How the weights are stored, where it is not in `dtype`: such as Q4_K_M.
        encoder_layers: How many of the layers are an encoder's that has a decoder beside it.
    """

    name: str
    layers: int
    heads: int
    kv_heads: int
    neurons: int
    d_model: int
    d_vocab: int
    dtype: str = "float32"
    quantisation: str = ""
    encoder_layers: int = 0

    def to_json(self) -> dict[str, Any]:
        """What a verdict records of it."""
        return {
            "architecture": self.name,
            "layers": self.layers,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "neurons": self.neurons,
            "d_model": self.d_model,
            "dtype": self.dtype,
            **({"quantisation": self.quantisation} if self.quantisation else {}),
            **({"encoder_layers": self.encoder_layers} if self.encoder_layers else {}),
        }


def architecture_of(spec: ModelSpec) -> Architecture:
    """The architecture that a model's config.json or GGUF file states.

    Raises:
        ModelError: If it cannot be fetched or read, does not state a size, or says that the weights
            are quantised otherwise than in a GGUF file.
    """
    config = configuration(spec)
    refuse_quantised(config, spec.name)
    stated = stated_in(config, spec.name)
    if spec.gguf_file is not None:
        stated = replace(stated, quantisation=gguf.quantisation(spec.gguf_file))
    return stated


def configuration(spec: ModelSpec) -> Mapping[str, Any]:
    """The model's config.json; of a model with several parts, such as images and text, all of it.

    Of a GGUF file, what its header states, under the names of config.json.

    Raises:
        ModelError: If it cannot be fetched or read.
    """
    if spec.gguf_file is not None:
        return gguf.stated_configuration(spec.gguf_file)
    return read_json(config_file(spec))


def refuse_quantised(config: Mapping[str, Any], model: str) -> None:
    """Refuse weights that are packed: the suite reads and changes plain ones.

    Raises:
        ModelError: If the configuration has a `quantization_config`.
    """
    parts = (config, text_part(config, model))
    stated = next((p["quantization_config"] for p in parts if "quantization_config" in p), None)
    if stated is None:
        return
    method = stated.get("quant_method") if isinstance(stated, Mapping) else None
    raise ModelError(
        f"{model} is quantised ({method or 'method not stated'}), and only plain weights can be "
        "measured: give the release that it was made from, or its GGUF file."
    )


def refuse_code_elsewhere(spec: ModelSpec) -> None:
    """Refuse a model whose Python code lies in another repository, where it may change unseen.

    Raises:
        ModelError: If its configuration, or its tokenizer's, names such code.
    """
    beside = None if spec.gguf_file else model_file(spec, "tokenizer_config.json")
    for config in (configuration(spec), read_json(beside) if beside else {}):
        named = json.dumps(config.get("auto_map") or {})
        if "--" in named:  # OWNER/NAME--MODULE.CLASS
            raise ModelError(
                f"{spec.name} runs code of another repository ({named[:200]}), which may change "
                "between two runs: copy that code into the model's folder and name it there."
            )


def text_part(config: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """The part of a configuration on text; the whole where it has no parts.

    Raises:
        ModelError: If that part is no JSON object.
    """
    part = config.get("text_config") or config
    if not isinstance(part, Mapping):
        raise ModelError(
            f"the configuration of {model!r} states text_config {part!r:.40}, expected a JSON "
            "object: copy or download it again."
        )
    return part


def stated_in(config: Mapping[str, Any], model: str) -> Architecture:
    """The architecture that a configuration states, under the names of either GPT-2 or Llama.

    Args:
        config: The content of a config.json.
        model: The model's name, for messages.

    Raises:
        ModelError: If a size is missing.
    """
    text = text_part(config, model)
    d_model = size(text, model, "hidden_size", "n_embd", "d_model", "dim")
    heads = size(text, model, *("num_attention_heads", "n_head", "num_heads", "n_heads"))
    # GPT-2's configuration states no width of the MLP unless it is not the usual one.
    widths = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "hidden_dim")
    neurons = size(text, model, *widths, default=4 * d_model)
    experts = size(text, model, *EXPERTS, default=0)
    if experts:
        neurons = experts * size(text, model, "moe_intermediate_size", default=neurons)
    layers = size(text, model, *("num_hidden_layers", "n_layer", "num_layers", "n_layers"))
    decoder = 0
    if text.get("is_encoder_decoder"):
        decoder = size(text, model, "num_decoder_layers", "decoder_layers", default=layers)
    stated = (c.get(name) for c in (text, config) for name in ("dtype", "torch_dtype"))
    return Architecture(
        name=str(text.get("model_type") or config.get("model_type") or "unknown"),
        layers=layers + decoder,
        heads=heads,
        kv_heads=_kv_heads(text, model, heads),
        neurons=neurons,
        d_model=d_model,
        d_vocab=size(text, model, "vocab_size"),
        dtype=str(next(filter(None, stated), "float32")),
        encoder_layers=layers if decoder else 0,
    )


def _kv_heads(text: Mapping[str, Any], model: str, heads: int) -> int:
    if text.get("multi_query") and not text.get("new_decoder_architecture"):
        return 1
    return size(text, model, "num_key_value_heads", "num_kv_heads", default=heads)


def size(config: Mapping[str, Any], model: str, *names: str, default: int | None = None) -> int:
    """The first of these entries of a configuration that is stated.

    Raises:
        ModelError: If none is and there is no default, or it is no size.
    """
    value = next((config[name] for name in names if config.get(name) is not None), default)
    if value is None:
        raise ModelError(
            f"the configuration of {model!r} states no {names[0]}, expected a whole number: copy "
            "or download it again, or give a model in the format of transformers."
        )
    if value != default and (type(value) is not int or value < 1):
        raise ModelError(
            f"the configuration of {model!r} states {names[0]} {value!r:.40}, expected a whole "
            "number of at least 1: copy or download it again."
        )
    return value
