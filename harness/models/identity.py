"""Which weights, tokenizer and configuration a model has, as hashes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.models import gguf
from harness.models.hub import config_file, hub_error, local_folder, model_file
from harness.models.specs import ModelSpec, weight_files

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
FILES_HASHED = "weights-identity.json"  # file hashes already computed, in the cache folder


def weights_identity(spec: ModelSpec, cache_dir: Path) -> str:
    """Identity of the weights: `hub:<commit>`, or `sha256:<hash>` of a local folder's files.

    A folder's hash covers its safetensors files and config.json, or its GGUF file. A file is hashed
    again only if its path, size or time of change differs from what is noted in `cache_dir`.

    Raises:
        ModelError: If the hub has to be asked for the commit and does not answer.
    """
    if spec.gguf_file is not None:
        return "sha256:" + _hash_files([spec.gguf_file], cache_dir)
    folder = local_folder(spec)
    if spec.is_local and folder is not None:
        return "sha256:" + _hash_files([*weight_files(folder), folder / "config.json"], cache_dir)
    if folder is not None:
        return f"hub:{folder.name}"  # the cache names its snapshot folders by commit
    from huggingface_hub import HfApi  # noqa: PLC0415

    try:
        return f"hub:{HfApi().model_info(spec.path, revision=spec.revision).sha}"
    except Exception as error:
        raise hub_error(spec, error) from error


def tokenizer_identity(spec: ModelSpec) -> str:
    """SHA-256 over tokenizer.json and tokenizer_config.json; either may be absent.

    A GGUF file holds its tokenizer in its header, which is hashed instead.
    """
    if spec.gguf_file is not None:
        return gguf.header_hash(spec.gguf_file)
    digest = hashlib.sha256()
    for name in TOKENIZER_FILES:
        path = model_file(spec, name)
        digest.update(f"{name}\n".encode() + (path.read_bytes() if path else b""))
    return digest.hexdigest()


def config_identity(spec: ModelSpec) -> str:
    """SHA-256 of config.json or of a GGUF file's header: what an untrained twin depends on."""
    if spec.gguf_file is not None:
        return gguf.header_hash(spec.gguf_file)
    return hashlib.sha256(config_file(spec).read_bytes()).hexdigest()


def _hash_files(files: list[Path], cache_dir: Path) -> str:
    """SHA-256 over the names and hashes of the files; only new or changed files are read."""
    noted_path = cache_dir / FILES_HASHED
    try:
        noted: dict[str, dict[str, Any]] = json.loads(noted_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or damaged: hash all files again
        noted = {}
    digest, changed = hashlib.sha256(), False
    for path in files:
        state = path.stat()
        key = {"size": state.st_size, "mtime_ns": state.st_mtime_ns}
        row = noted.get(str(path), {})
        if {name: row.get(name) for name in key} != key or "sha256" not in row:
            with path.open("rb") as file:
                row = {**key, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            noted[str(path)], changed = row, True
        digest.update(f"{path.name} {row['sha256']}\n".encode())
    if changed:
        write_text(noted_path, json.dumps(noted, indent=1))
    return digest.hexdigest()
