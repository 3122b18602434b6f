"""How large a model is, without loading it: parameters and bytes of its weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.models import specs
from harness.models.specs import ModelError, ModelSpec

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Size:
    """A model's size.

    Attributes:
        parameters: How many numbers its weights are.
        exact: Counted in the files; False if worked out from the configuration's sizes, which is
            right for the common decoders and near for others.
        on_disk: Bytes of the weight files; None if they are not on this machine.
    """

    parameters: int
    exact: bool
    on_disk: int | None

    def needs(self, dtype: str) -> int:
        """Bytes that its weights take in that dtype."""
        return self.parameters * BYTES[dtype]


def size_of(spec: ModelSpec) -> Size:
    """Counted in the headers of its files if they are here, else from config.json.

    Raises:
        ModelError: If config.json cannot be had, or does not state the sizes.
    """
    folder = specs.local_folder(spec)
    files = _present(folder) if folder is not None else []
    if files:
        on_disk = sum(path.stat().st_size for path in files)
        return Size(sum(map(_in_header, files)), exact=True, on_disk=on_disk)
    return Size(parameters_of(specs.configuration(spec), spec.name), exact=False, on_disk=None)


def _present(folder: Path) -> list[Path]:
    try:
        return specs.weight_files(folder)
    except ModelError:  # a hub model of which only the configuration was fetched
        return []


def _in_header(path: Path) -> int:
    """Numbers in a safetensors file, from its header alone."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        whole = 8 + length + max((t["data_offsets"][1] for t in header.values()), default=0)
        if path.stat().st_size < whole:
            raise ValueError(f"cut off: {path.stat().st_size:,} of {whole:,} bytes")
        return sum(math.prod(t["shape"]) for t in header.values())
    except (OSError, ValueError, KeyError, MemoryError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors file ({error}): copy it again."
        ) from None


def parameters_of(config: Mapping[str, Any], name: str) -> int:
    """Parameters of a decoder with these sizes: embeddings, attention, MLP, norms.

    Biases and anything unusual are left out; experts are counted, shared ones too.

    Raises:
        ModelError: If a size is missing.
    """

    def first(*names: str, default: int | None = None) -> int:
        value = next((config[n] for n in names if config.get(n) is not None), default)
        if value is None:
            raise ModelError(f"the configuration of {name!r} states no {names[0]}.")
        return int(value)

    d_model = first("hidden_size", "n_embd")
    layers, heads = (
        first("num_hidden_layers", "n_layer"),
        first("num_attention_heads", "n_head"),
    )
    d_head = first("head_dim", default=d_model // heads)
    kv_heads = first("num_key_value_heads", default=heads)
    neurons = first("intermediate_size", "n_inner", default=4 * d_model)
    vocabulary = first("vocab_size")
    gated = str(config.get("model_type", "")) not in ("gpt2", "gpt_neox", "opt", "phi")
    matrices = 3 if gated else 2
    attention = d_model * d_head * (2 * heads + 2 * kv_heads)
    experts = first("num_local_experts", "num_experts", "n_routed_experts", default=1)
    width = first("moe_intermediate_size", default=neurons) if experts > 1 else neurons
    shared = first("shared_expert_intermediate_size", default=0)
    mlp = matrices * d_model * (width * experts + shared)
    # Transformers ties the two unless the configuration says otherwise.
    embeddings = vocabulary * d_model * (1 if config.get("tie_word_embeddings", True) else 2)
    positions = first("n_positions", default=0) * d_model if not gated else 0
    return embeddings + positions + layers * (attention + mlp + 2 * d_model) + d_model
