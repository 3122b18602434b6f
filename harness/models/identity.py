"""Everything that a model's numbers depend on, as hashes: weights, tokenizer, code, templates."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TypeGuard

from harness.files import write_text
from harness.foreign import border, parsed
from harness.models import gguf, hub
from harness.models.architecture import architecture_of, configuration
from harness.models.hub import config_file, local_folder, model_file
from harness.models.recipes import recipe_hash
from harness.models.specs import LoadOptions, ModelError, ModelSpec, read_json, weight_files

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
CHAT_DATE = "2024-07-26"  # what chat templates are told that today is; Llama's own default
TEMPLATES = ("chat_template*", "additional_chat_templates/*")
# What else makes the tokens of a text, where a model has it.
MORE_FILES = (
    *("special_tokens_map.json", "added_tokens.json", "vocab*", "merges*"),
    *("*.model", "*.tiktoken", *TEMPLATES),
)
CODE = "*.py"  # of the model's own, run with --trust-remote-code
GENERATION = "generation_config.json"  # says where a generated text ends
FILES_HASHED = "weights-identity.json"  # file hashes already computed, in the cache folder
SHA256 = re.compile("[0-9a-f]{64}")


def identity_of(spec: ModelSpec, load: LoadOptions, cache_dir: Path) -> dict[str, Any]:
    """The one identity of a model as it is loaded: what has another one has other numbers.

    The cache's addresses and the fingerprints of reference models are made of it. Adapters and
    quantised weights are in none, since they are refused; a GGUF file's are in its hash.

    Raises:
        ModelError: If a file cannot be read, or the hub does not answer.
    """
    stated = architecture_of(spec).dtype  # of what a recipe makes, its configuration ships
    own_code = load.trust_remote_code and "auto_map" in configuration(spec)
    chat = {"chat_date": CHAT_DATE, "template_args": dict(load.template_args)}
    return {
        "weights": weights_identity(spec, cache_dir),
        "tokenizer": tokenizer_identity(spec),
        "dtype": stated if load.dtype == "auto" else load.dtype,
        "attention": "eager",
        "chat_template": load.chat_template,
        **(chat if load.chat_template else {}),
        **({"own_code": True} if own_code else {}),
    }


def weights_identity(spec: ModelSpec, cache_dir: Path) -> str:
    """Identity of the weights: `hub:<commit>`, or `sha256:<hash>` of a local folder's files.

    Of weights that a script writes it is `recipe:<name>:<hash>`, the hash of the script.
    A folder's hash covers its safetensors files, both configurations and Python files, or its GGUF
    file. A file is hashed again only if its machine, path, inode, size or a time differs from what
    is noted in `cache_dir`.

    Raises:
        ModelError: If a file cannot be read, or the hub has to be asked and does not answer.
    """
    if spec.recipe:
        return f"recipe:{spec.recipe}:{recipe_hash()}"
    if not spec.is_local:
        return f"hub:{_commit(spec)}"
    with _model_border(spec):
        if spec.gguf_file is not None:
            return "sha256:" + _hash_files([spec.gguf_file], cache_dir)
        folder = Path(spec.path)
        more = _present(folder, (CODE, GENERATION))
        files = [*weight_files(folder), folder / "config.json", *more]
        return "sha256:" + _hash_files(files, cache_dir)


def _model_border(spec: ModelSpec) -> AbstractContextManager[None]:
    return border(spec.path, "a model that can be read", "copy or download it again", ModelError)


def _commit(spec: ModelSpec) -> str:
    commit = hub.pinned(spec).commit
    if commit is None:
        raise hub.hub_error(spec, OSError("no commit"))
    return commit


def tokenizer_identity(spec: ModelSpec) -> str:
    """SHA-256 over every file that decides which tokens a text becomes, chat templates included.

    Of a GGUF file, which holds its tokenizer in its header, the header is hashed instead of
    tokenizer.json. Of a hub model, the commit stands for the files that only some models have.

    Raises:
        ModelError: If a file cannot be read, or the hub has to be asked and does not answer.
    """
    if spec.recipe:
        return recipe_hash()
    with _model_border(spec):
        return _tokenizer_hash(spec)


def _tokenizer_hash(spec: ModelSpec) -> str:
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
    """SHA-256 over the chat templates; None if there are none on this machine.

    Raises:
        ModelError: If a file cannot be read.
    """
    with _model_border(spec):
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


def content_identity(spec: ModelSpec, cache_dir: Path) -> str | None:
    """SHA-256 over the weight files alone, whatever release they are in; None if they are not here.

    Of a hub model nothing is read: the hub's cache names large files by their SHA-256.

    Raises:
        ModelError: If a file cannot be read.
    """
    files = _weights_here(spec)
    if not files:
        return None
    with _model_border(spec):
        if spec.is_local:
            return _hash_files(files, cache_dir)
        names = [path.resolve().name for path in files]
        if not all(SHA256.fullmatch(name) for name in names):
            return None
        rows = (f"{path.name} {name}\n" for path, name in zip(files, names, strict=True))
        return hashlib.sha256("".join(rows).encode()).hexdigest()


def same_weights(specs: Sequence[ModelSpec], cache_dir: Path) -> dict[str, str]:
    """Of each model with the weights of an earlier one, the earlier one's name, without network.

    Only files of the same total size are hashed.
    """
    found: dict[str, str] = {}
    by_size: dict[int, list[tuple[ModelSpec, list[Path]]]] = {}
    for spec in specs:
        files = _weights_here(spec)
        if files:
            with _model_border(spec):
                size = sum(path.stat().st_size for path in files)
            by_size.setdefault(size, []).append((spec, files))
    for alike in by_size.values():
        if len(alike) < 2:
            continue
        first: dict[str, str] = {}
        for spec, files in alike:
            with _model_border(spec):
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
    with _model_border(spec):
        if spec.gguf_file is not None:
            return gguf.header_hash(spec.gguf_file)
        return hashlib.sha256(config_file(spec).read_bytes()).hexdigest()


def _hash_files(files: list[Path], cache_dir: Path) -> str:
    """SHA-256 over the names and hashes of the files; only new or changed files are read."""
    noted_path = cache_dir / FILES_HASHED
    noted, digest, changed = _noted(noted_path), hashlib.sha256(), False
    for path in files:
        key = _state_of(path)
        place = f"{platform.node()} {path}"  # machines may share a cache and differ in this file
        row = noted.get(place)
        if _is_of(row, key):
            sha256 = row["sha256"]
        else:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            noted[place], changed = {**key, "sha256": sha256}, True
        digest.update(f"{path.name} {sha256}\n".encode())
    if changed:
        with suppress(OSError):  # the store says once that the folder cannot be written
            write_text(noted_path, json.dumps(noted, indent=1))
    return digest.hexdigest()


def _state_of(path: Path) -> dict[str, int]:
    """What changes with a file's content; size and mtime can be set by hand, the others cannot."""
    state = path.stat()
    return {
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "ctime_ns": state.st_ctime_ns,
        "inode": state.st_ino,
    }


def _is_of(row: Any, key: Mapping[str, int]) -> TypeGuard[Mapping[str, str]]:
    """Whether a noted row is the hash of a file in this state."""
    if not isinstance(row, Mapping):
        return False
    sha256 = row.get("sha256")
    return row == {**key, "sha256": sha256} and bool(SHA256.fullmatch(str(sha256)))


def _noted(path: Path) -> dict[str, Any]:
    """The hashes noted in a file; none where it is absent, damaged or of another shape."""
    try:
        noted = parsed(path.read_bytes())
    except Exception:  # of any kind: the hashes are computed again
        return {}
    return noted if isinstance(noted, dict) else {}
