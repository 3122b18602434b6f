"""Which weights, tokenizer and configuration a model has, as hashes."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.models import gguf, hub
from harness.models.hub import config_file, local_folder, model_file
from harness.models.specs import ModelError, ModelSpec, read_json, weight_files

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
CHAT_DATE = "2024-07-26"  # what chat templates are told that today is; Llama's own default
TEMPLATES = ("chat_template*", "additional_chat_templates/*")
# What else makes the tokens of a text, where a model has it.
MORE_FILES = (
    *("special_tokens_map.json", "added_tokens.json", "vocab*", "merges*"),
    *("*.model", "*.tiktoken", *TEMPLATES),
)
CODE = "*.py"  # of the model's own, run with --trust-remote-code
FILES_HASHED = "weights-identity.json"  # file hashes already computed, in the cache folder


def weights_identity(spec: ModelSpec, cache_dir: Path) -> str:
    """Identity of the weights: `hub:<commit>`, or `sha256:<hash>` of a local folder's files.

    A folder's hash covers its safetensors files, config.json and Python files, or its GGUF file. A
    file is hashed again only if its path, inode, size or a time differs from what is noted in
    `cache_dir`.

    Raises:
        ModelError: If the hub has to be asked for the commit and does not answer.
    """
    if spec.gguf_file is not None:
        return "sha256:" + _hash_files([spec.gguf_file], cache_dir)
    folder = local_folder(spec)
    if spec.is_local and folder is not None:
        files = [*weight_files(folder), folder / "config.json", *_present(folder, (CODE,))]
        return "sha256:" + _hash_files(files, cache_dir)
    return f"hub:{_commit(spec)}"


def _commit(spec: ModelSpec) -> str:
    commit = hub.pinned(spec).commit
    if commit is None:
        raise hub.hub_error(spec, OSError("no commit"))
    return commit


def tokenizer_identity(spec: ModelSpec) -> str:
    """SHA-256 over every file that decides which tokens a text becomes, chat templates included.

    Of a GGUF file, which holds its tokenizer in its header, the header is hashed instead of
    tokenizer.json. Of a hub model, the commit stands for the files that only some models have.
    """
    if spec.gguf_file is not None:
        header = gguf.header_hash(spec.gguf_file)
        more = _present(Path(spec.path), MORE_FILES)
        return _digest(more, start=header) if more else header
    spec = hub.pinned(spec)
    named = ((name, model_file(spec, name)) for name in TOKENIZER_FILES)
    digest = hashlib.sha256()
    for name, path in named:
        digest.update(f"{name}\n".encode() + (path.read_bytes() if path else b""))
    if not spec.is_local:
        digest.update(f"commit {_commit(spec)}\n".encode())
        return digest.hexdigest()
    more = _present(Path(spec.path), (*MORE_FILES, CODE))
    return _digest(more, start=digest.hexdigest()) if more else digest.hexdigest()


def template_identity(spec: ModelSpec) -> str | None:
    """SHA-256 over the chat templates; None if there are none on this machine."""
    folder = local_folder(spec)
    if folder is None:
        return None
    files = _present(folder, TEMPLATES)
    inside = _template_inside(spec, folder)
    return _digest(files, start=inside) if files or inside else None


def _template_inside(spec: ModelSpec, folder: Path) -> str:
    """What the GGUF file or tokenizer_config.json says of a chat template, as text."""
    if spec.gguf_file is not None:
        return str(gguf.header(spec.gguf_file).get("tokenizer.chat_template") or "")
    path = folder / "tokenizer_config.json"
    stated = read_json(path).get("chat_template") if path.is_file() else None
    return json.dumps(stated) if stated else ""


def _present(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The files of these names, sorted, each once."""
    return sorted({path for p in patterns for path in folder.glob(p) if path.is_file()})


def _digest(files: list[Path], start: str) -> str:
    """SHA-256 over a text and the names and contents of files."""
    digest = hashlib.sha256(start.encode())
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def same_weights(specs: Sequence[ModelSpec], cache_dir: Path) -> dict[str, str]:
    """Of each model with the weights of an earlier one, the earlier one's name, without network.

    Only files of the same total size are hashed.
    """
    found: dict[str, str] = {}
    by_size: dict[int, list[tuple[ModelSpec, list[Path]]]] = {}
    for spec in specs:
        files = _weights_here(spec)
        if files:
            size = sum(path.stat().st_size for path in files)
            by_size.setdefault(size, []).append((spec, files))
    for alike in by_size.values():
        if len(alike) < 2:
            continue
        first: dict[str, str] = {}
        for spec, files in alike:
            name = first.setdefault(_hash_files(files, cache_dir), spec.name)
            if name != spec.name:
                found[spec.name] = name
    return found


def _weights_here(spec: ModelSpec) -> list[Path]:
    if spec.gguf_file is not None:
        return [spec.gguf_file]
    folder = local_folder(spec)
    try:
        return [] if folder is None else weight_files(folder)
    except ModelError:  # a hub model of which only the configuration was fetched
        return []


def config_identity(spec: ModelSpec) -> str:
    """SHA-256 of config.json or of a GGUF file's header: what an untrained twin depends on."""
    if spec.gguf_file is not None:
        return gguf.header_hash(spec.gguf_file)
    return hashlib.sha256(config_file(spec).read_bytes()).hexdigest()


def _hash_files(files: list[Path], cache_dir: Path) -> str:
    """SHA-256 over the names and hashes of the files; only new or changed files are read."""
    noted_path = cache_dir / FILES_HASHED
    noted, digest, changed = _noted(noted_path), hashlib.sha256(), False
    for path in files:
        state = path.stat()
        # Size and time of change can be set by hand (tar and rsync do); these two cannot.
        key = {
            "size": state.st_size,
            "mtime_ns": state.st_mtime_ns,
            "ctime_ns": state.st_ctime_ns,
            "inode": state.st_ino,
        }
        row = noted.get(str(path))
        if not isinstance(row, dict) or {**key, "sha256": row.get("sha256")} != row:
            with path.open("rb") as file:
                row = {**key, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            noted[str(path)], changed = row, True
        digest.update(f"{path.name} {row['sha256']}\n".encode())
    if changed:
        with suppress(OSError):  # the store says once that the folder cannot be written
            write_text(noted_path, json.dumps(noted, indent=1))
    return digest.hexdigest()


def _noted(path: Path) -> dict[str, Any]:
    """The hashes noted in a file; none where it is absent, damaged or of another shape."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}
