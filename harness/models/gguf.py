"""GGUF files: what the header says of a model, read without torch and without the tensors.

The `gguf` package reads a header too, but takes 6 to 25 seconds for one with a vocabulary: here
arrays are passed over. Source: the format's specification, version 2 and 3
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

import hashlib
import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.foreign import border
from harness.models.specs import ModelError

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
# struct codes of the scalar value types, by their number in the format
SCALARS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
# general.file_type: how most of the tensors are stored
FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 32: "BF16"},
}
# Names in config.json of what a header calls `<architecture>.<name>`.
CONFIG_NAMES = {
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
}
# What an architecture is called in a GGUF file, where transformers says something else.
RENAMED = {"gemma3": "gemma3_text"}


def header(path: Path) -> Mapping[str, Any]:
    """The header's values by name; of an array, its length.

    Raises:
        ModelError: If the file is no GGUF file of version 2 or 3, or ends within its header.
    """
    return _read(path).values


def header_hash(path: Path) -> str:
    """SHA-256 of the header's bytes, which hold sizes, vocabulary and chat template.

    Raises:
        ModelError: If the header cannot be read.
    """
    return _read(path).sha256


def parameters(path: Path) -> int:
    """How many numbers the tensors hold.

    Raises:
        ModelError: If the header cannot be read.
    """
    return _read(path).parameters


def stated_configuration(path: Path) -> dict[str, Any]:
    """What the header states of config.json, under the names that it has there.

    Raises:
        ModelError: If the header cannot be read.
    """
    values = header(path)
    name = str(values.get("general.architecture", ""))
    stated = {ours: values.get(f"{name}.{theirs}") for ours, theirs in CONFIG_NAMES.items()}
    return {
        **{key: value for key, value in stated.items() if value is not None},
        "model_type": RENAMED.get(name, name),
        "vocab_size": values.get("tokenizer.ggml.tokens"),
        "dtype": "float32",  # transformers reads every quantisation into it
    }


def quantisation(path: Path) -> str:
    """How most of the tensors are stored, such as Q4_K_M; "unknown" where no name is known.

    Raises:
        ModelError: If the header cannot be read.
    """
    return FILE_TYPES.get(header(path).get("general.file_type", -1), "unknown")


def bos_token(path: Path) -> int | None:
    """Number of the token that the file puts before every text; None where it asks for none.

    Raises:
        ModelError: If the header cannot be read.
    """
    values = header(path)
    asked = values.get("tokenizer.ggml.add_bos_token", False)
    return values.get("tokenizer.ggml.bos_token_id") if asked else None


@dataclass(frozen=True, slots=True)
class _Header:
    values: Mapping[str, Any]
    parameters: int
    sha256: str


def _read(path: Path) -> _Header:
    with border(path, "a GGUF file that can be read", "copy it again", ModelError):
        state = path.stat()
        return _read_once(path, state.st_ino, state.st_ctime_ns)


@cache
def _read_once(path: Path, inode: int, changed: int) -> _Header:
    del inode, changed  # the file's state, so that another file under the same name is read
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ModelError(
                f"{path} does not begin with the letters GGUF, so it is no GGUF file: copy it "
                "again, or give the file of the model."
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            reader = _Reader(content)
            try:
                values, end = reader.values(), reader.at
                parameters = reader.parameters()
            except Exception as error:  # of any kind: the file is not ours
                raise ModelError(
                    f"the header of {path} cannot be read ({error}): copy the file again."
                ) from error
            return _Header(values, parameters, hashlib.sha256(content[:end]).hexdigest())


class _Reader:
    """A header, read from front to back."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at, self.tensors = content, 4, 0

    def values(self) -> dict[str, Any]:
        version = self.take("I")
        if version not in (2, 3):
            raise struct.error(f"version {version}, expected 2 or 3")
        self.tensors, count = self.take("Q"), self.take("Q")
        return {self.text(): self.value(self.take("I")) for _ in range(count)}

    def parameters(self) -> int:
        """Numbers in all tensors, whose shapes follow the values."""
        return sum(self._tensor() for _ in range(self.tensors))

    def _tensor(self) -> int:
        self.text()
        shape = [self.take("Q") for _ in range(self.take("I"))]
        self.take("I"), self.take("Q")  # type and place
        return math.prod(shape)

    def take(self, code: str) -> Any:
        (number,) = struct.unpack_from(f"<{code}", self.content, self.at)
        self.at += struct.calcsize(code)
        return number

    def text(self) -> str:
        length = self.take("Q")
        start, self.at = self.at, self.at + length
        if self.at > len(self.content):
            raise struct.error("it is cut off")
        return self.content[start : self.at].decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.passed_over()
        return self.take(SCALARS[kind])

    def passed_over(self) -> int:
        """The length of an array whose entries are skipped."""
        kind, length = self.take("I"), self.take("Q")
        if kind in SCALARS:
            self.at += length * struct.calcsize(SCALARS[kind])
        else:
            for _ in range(length):
                self.value(kind)
        if self.at > len(self.content):
            raise struct.error("it is cut off")
        return int(length)
