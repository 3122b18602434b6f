"""The size of a model without loading it: parameters, and bytes of its weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.foreign import parsed, why
from harness.models import gguf
from harness.models.architecture import configuration, size, stated_in, text_part
from harness.models.hub import local_folder
from harness.models.specs import ModelError, ModelSpec, weight_files

UNGATED = ("gpt2", "gpt_neox", "opt", "phi")  # architectures whose MLP has two matrices, not three
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Size:
    """A model's size.

    Attributes:
        parameters: How many the model has.
        exact: Whether they were counted in the weight files. Otherwise they are computed from the
            configuration: exact for common decoders, approximate for others.
        on_disk: Bytes of the weight files; None if they are not on this machine.
    """

    parameters: int
    exact: bool
    on_disk: int | None

    def needs(self, dtype: str) -> int:
        """Bytes of memory that the weights take in a dtype."""
        return self.parameters * BYTES[dtype]


def size_of(spec: ModelSpec) -> Size:
    """The size, from the headers of the weight files if they are here, else from config.json.

    Raises:
        ModelError: If config.json cannot be fetched, or does not state a size.
    """
    if spec.gguf_file is not None:
        counted, on_disk = gguf.parameters(spec.gguf_file), spec.gguf_file.stat().st_size
        return Size(counted, exact=True, on_disk=on_disk)
    folder = local_folder(spec)
    files = _present(folder) if folder is not None else []
    if files:
        on_disk = sum(path.stat().st_size for path in files)
        return Size(sum(map(_in_header, files)), exact=True, on_disk=on_disk)
    return Size(parameters_of(configuration(spec), spec.name), exact=False, on_disk=None)


def _present(folder: Path) -> list[Path]:
    try:
        return weight_files(folder)
    except ModelError:  # a hub model of which only the configuration was fetched
        return []


def _in_header(path: Path) -> int:
    """Parameters in a safetensors file, read from its header."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = parsed(file.read(length))
        header.pop("__metadata__", None)
        expected = 8 + length + max((t["data_offsets"][1] for t in header.values()), default=0)
        if path.stat().st_size < expected:
            raise ValueError(f"cut off: {path.stat().st_size:,} of {expected:,} bytes")
        return sum(math.prod(t["shape"]) for t in header.values())
    except Exception as error:  # of any kind: the file is not ours
        raise ModelError(
            f"{path} is not a whole safetensors file ({why(error)}): copy it again."
        ) from None


def parameters_of(config: Mapping[str, Any], model: str) -> int:
    """Parameters of a decoder with these sizes: embeddings, attention, MLP, norms.

    Biases and unusual parts are left out; experts are counted, shared ones too.

    Args:
        config: The content of a config.json.
        model: The model's name, for messages.

    Raises:
        ModelError: If a size is missing.
    """
    sizes, text = stated_in(config, model), text_part(config, model)
    gated = sizes.name not in UNGATED
    d_head = size(text, model, "head_dim", default=sizes.d_model // sizes.heads)
    attention = sizes.d_model * d_head * (2 * sizes.heads + 2 * sizes.kv_heads)
    neurons = sizes.neurons  # of all experts
    neurons += size(text, model, "shared_expert_intermediate_size", default=0)
    mlp = (3 if gated else 2) * sizes.d_model * neurons
    # Transformers ties input and output embeddings unless the configuration says otherwise.
    embeddings = sizes.d_vocab * sizes.d_model * (1 if text.get("tie_word_embeddings", True) else 2)
    positions = 0 if gated else size(text, model, "n_positions", default=0) * sizes.d_model
    norms = (2 * sizes.layers + 1) * sizes.d_model
    return embeddings + positions + sizes.layers * (attention + mlp) + norms
