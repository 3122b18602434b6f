"""Files of the store: written under a temporary name and renamed, checked when they are read."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from harness.files import replacing
from harness.foreign import parsed, why

_KEPT = "biufc"  # numpy's kinds: boolean, integers, floats, complex
WRITE_ERRORS = (OSError, SafetensorError)


class DamagedError(Exception):
    """A stored part that is damaged; the message says how."""


def plain(name: str, array: np.ndarray) -> np.ndarray:
    """A contiguous array: safetensors copies memory and ignores strides."""
    array = np.asarray(array)
    if array.dtype.kind not in _KEPT or array.dtype.itemsize > 8:
        raise ValueError(
            f"array {name!r} is of type {array.dtype}: expected numbers of at most 64 bits"
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    stem = f"shard-{number:05d}"
    return folder / f"{stem}.safetensors", folder / f"{stem}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_shard(
    folder: Path, number: int, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write the shard, then its sidecar; a run that is killed between them measures it again."""
    path, sidecar = _paths(folder, number)
    with replacing(path) as temporary:
        safetensors.numpy.save_file(dict(arrays), temporary)
        described = {
            "address": folder.name,
            "shard": number,
            "sha256": _sha256(temporary),
            "bytes": temporary.stat().st_size,
            "arrays": {k: [str(v.dtype), list(v.shape)] for k, v in arrays.items()},
            **key,
        }
    with replacing(sidecar) as temporary:
        temporary.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def read_shard(folder: Path, number: int) -> dict[str, np.ndarray] | None:
    """The arrays of a shard, None if it was never written to its end: the sidecar comes last.

    Raises:
        DamagedError: If it differs from what was written.
    """
    path, sidecar = _paths(folder, number)
    with _damaged():
        if not sidecar.exists():
            return None
        described = _sidecar(sidecar)
        if not path.exists():
            raise DamagedError("its file is missing")
        if (described.get("address"), described.get("shard")) != (folder.name, number):
            raise DamagedError("its sidecar belongs to another shard")
        size = path.stat().st_size
        if size != described.get("bytes"):
            raise DamagedError(f"{size} bytes instead of {described.get('bytes')}")
        if _sha256(path) != described.get("sha256"):
            raise DamagedError("sha256 differs")
        arrays: dict[str, np.ndarray] = safetensors.numpy.load_file(path)
    return arrays


@contextmanager
def _damaged() -> Iterator[None]:
    """Turn any failure into damage: what is stored may be anybody's."""
    try:
        yield
    except DamagedError:
        raise
    except Exception as error:
        raise DamagedError(why(error)) from None


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        described = parsed(path.read_bytes())
    except ValueError:
        raise DamagedError(f"{path.name} is not JSON") from None
    if not isinstance(described, dict):
        raise DamagedError(f"{path.name} is not a JSON object")
    return described


def write_json(path: Path, key: Mapping[str, Any], text: str) -> None:
    """Write the text of a JSON result, with its hash and key."""
    described = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "value": text, **key}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> str | None:
    """The stored text, None if there is none; raises as `read_shard` does."""
    with _damaged():
        if not path.exists():
            return None
        described = _sidecar(path)
        text = described.get("value")
        if not isinstance(text, str):
            raise DamagedError(f"{path.name} holds no value")
        if hashlib.sha256(text.encode()).hexdigest() != described.get("sha256"):
            raise DamagedError("sha256 differs")
        if not isinstance(parsed(text), dict):
            raise DamagedError("its value is no JSON object")
    return text
