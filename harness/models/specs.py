"""Model names as people type them, and what can be known of a model without loading it.

Nothing here imports torch or transformers: a run in which everything is cached starts in the
time these functions take.
"""

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.files import ROOT, write_text

TABLE = Path(__file__).with_name("models.toml")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
FILES_HASHED = "weights-identity.json"  # the memo, in the cache folder


class ModelError(ValueError):
    """A model that cannot be used; the message is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model somebody asked for.

    Attributes:
        name: As it was typed, and as it is shown.
        path: A local folder, absolute, or a hub id.
        revision: Branch, tag or commit of a hub model; None is its main branch.
        is_local: Whether `path` is a folder.
    """

    name: str
    path: str
    revision: str | None = None
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load and run a model.

    Attributes:
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        device_map: Accelerate's placement over several devices, e.g. `auto`; overrides device.
        dtype: `auto` (as the checkpoint says), float32, bfloat16 or float16.
        batch_size: Prompts a forward; None starts from what memory allows and halves when it
            runs out.
        trust_remote_code: Let the model's own Python files run.
        chat_template: Put each prompt through the tokenizer's chat template.
        remote: Run on NDIF's servers through nnsight.
    """

    device: str = "auto"
    device_map: str | None = None
    dtype: str = "auto"
    batch_size: int | None = None
    trust_remote_code: bool = False
    chat_template: bool = False
    remote: bool = False


@cache
def aliases() -> Mapping[str, Mapping[str, str]]:
    """The tables of models.toml: `embedded` and `controls` (folders), and `hub` (ids)."""
    table: dict[str, dict[str, str]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return table


def resolve(text: str) -> ModelSpec:
    """The model that `text` names: an alias, a local folder or a hub id, with `@revision`.

    Raises:
        ModelError: If no such model is known, or a folder holds none that can be loaded.
    """
    if Path(text).expanduser().is_dir():  # before "@" is looked for: folders may have one
        return _local(text, Path(text), None)
    typed, _, revision = text.partition("@")
    if "@" in text and not revision:
        raise ModelError(f"model {text!r} ends in '@': name a revision after it, or leave it out.")
    for table in ("embedded", "controls"):
        if typed in aliases()[table]:
            return _local(text, ROOT / aliases()[table][typed], revision or None)
    if typed in aliases()["hub"]:
        return ModelSpec(text, aliases()["hub"][typed], revision or None)
    if Path(typed).expanduser().is_dir():
        return _local(text, Path(typed), revision or None)
    if typed.startswith((".", "/", "~")) or typed.endswith("/"):
        raise ModelError(f"there is no folder {typed!r}: check the path given to --model.")
    if HUB_ID.fullmatch(typed):
        return ModelSpec(text, typed, revision or None)
    raise ModelError(_unknown(typed))


def _unknown(typed: str) -> str:
    known = [name for table in aliases().values() for name in table]
    near = difflib.get_close_matches(typed, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(known)}"
    return f"no model is called {typed!r}: {hint}; a hub id (org/name) or a folder works too."


def _local(text: str, folder: Path, revision: str | None) -> ModelSpec:
    folder = folder.expanduser().resolve()
    if revision:
        raise ModelError(
            f"model {text!r} is a folder, which has no revision {revision!r}: "
            f"leave out '@{revision}'."
        )
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json, so it is not a model: "
            "give the folder that save_pretrained wrote."
        )
    weight_files(folder)
    return ModelSpec(text, str(folder), None, is_local=True)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a local model, by name.

    Raises:
        ModelError: If there are none, if one of a sharded model is missing, or if the weights
            are there as a pickle only, which is never loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    index = folder / INDEX
    if index.is_file():
        shards = set(_read_json(index)["weight_map"].values())
        missing = sorted(name for name in shards if not (folder / name).is_file())
        if missing:
            raise ModelError(
                f"{folder} is incomplete: {INDEX} names {missing[0]}, which is not there "
                f"({len(missing)} of {len(shards)} files missing); download or copy it again."
            )
    if files:
        return files
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ModelError(
            f"{folder} has its weights only as a pickle ({pickles[0]}), which can run code when "
            "it is read: save them again with save_pretrained (safetensors)."
        )
    raise ModelError(f"{folder} has a config.json but no weights: expected *.safetensors there.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}): copy it again.") from error
    return read


def local_folder(spec: ModelSpec) -> Path | None:
    """The folder the model's files lie in, if they are on this machine; no network."""
    if spec.is_local:
        return Path(spec.path)
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - a second run needs it not

    found = try_to_load_from_cache(spec.path, "config.json", revision=spec.revision)
    return Path(found).parent if isinstance(found, str) else None


def weights_identity(spec: ModelSpec, cache_dir: Path) -> str:
    """What the weights are: `hub:<commit>`, or `sha256:<hash>` of a folder's files.

    A folder's hash covers its safetensors files and config.json. Each file is hashed once and
    remembered in `cache_dir` by path, size and time of change, to the nanosecond.

    Raises:
        ModelError: If the hub has to be asked for the commit and does not answer.
    """
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
    """SHA-256 over tokenizer.json and tokenizer_config.json, those of the two that exist."""
    digest = hashlib.sha256()
    for name in TOKENIZER_FILES:
        path = _file(spec, name)
        digest.update(f"{name}\n".encode() + (path.read_bytes() if path else b""))
    return digest.hexdigest()


def config_identity(spec: ModelSpec) -> str:
    """SHA-256 of config.json: what an untrained twin depends on."""
    path = _file(spec, "config.json")
    if path is None:
        raise ModelError(f"model {spec.name!r} has no config.json: is it a transformers model?")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def architecture_facts(spec: ModelSpec) -> dict[str, Any]:
    """What config.json says: architecture, layers, heads, kv_heads, neurons, d_model, dtype.

    `neurons` is the number in each layer. Values the file does not state are None.

    Raises:
        ModelError: If config.json cannot be had or read.
    """
    whole, config = _configurations(spec)

    def first(*names: str) -> str | int | None:
        return next((config[n] for n in names if config.get(n) is not None), None)

    heads, d_model = first("num_attention_heads", "n_head"), first("hidden_size", "n_embd")
    neurons = first("intermediate_size", "n_inner")
    if neurons is None and isinstance(d_model, int):
        neurons = 4 * d_model  # GPT-2's, unless it says otherwise
    return {
        "architecture": first("model_type") or whole.get("model_type"),
        "layers": first("num_hidden_layers", "n_layer"),
        "heads": heads,
        "kv_heads": first("num_key_value_heads") or heads,
        "neurons": neurons,
        "d_model": d_model,
        "dtype": first("dtype", "torch_dtype") or whole.get("dtype") or whole.get("torch_dtype"),
    }


def configuration(spec: ModelSpec) -> Mapping[str, Any]:
    """config.json; of a model that also sees, the part on text.

    Raises:
        ModelError: If it cannot be had or read.
    """
    return _configurations(spec)[1]


def _configurations(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole of config.json, and its part on text."""
    path = _file(spec, "config.json")
    if path is None:
        raise ModelError(f"model {spec.name!r} has no config.json: is it a transformers model?")
    whole = _read_json(path)
    return whole, whole.get("text_config") or whole


def _file(spec: ModelSpec, name: str) -> Path | None:
    """A small file of the model, fetched from the hub if it is not here; None if it has none."""
    folder = local_folder(spec)
    if folder is not None and (spec.is_local or (folder / name).is_file()):
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(hf_hub_download(spec.path, name, revision=spec.revision))
    except LocalEntryNotFoundError as error:  # a subclass of the next, but means: no network
        raise hub_error(spec, error) from error
    except EntryNotFoundError:
        return None
    except Exception as error:
        raise hub_error(spec, error) from error


def hub_error(spec: ModelSpec, error: BaseException) -> ModelError:
    """One sentence for whatever kept a hub model from us, looking through chained causes."""
    from huggingface_hub import errors  # noqa: PLC0415

    at = f" at revision {spec.revision!r}" if spec.revision else ""
    sentences: tuple[tuple[type[BaseException], str], ...] = (
        (
            errors.GatedRepoError,
            f"{spec.path} is gated: accept its licence at https://huggingface.co/{spec.path} "
            "and log in with `hf auth login`.",
        ),
        (
            errors.RevisionNotFoundError,
            f"{spec.path} has no revision {spec.revision!r}: "
            f"see https://huggingface.co/{spec.path}/commits/main for those it has.",
        ),
        (
            errors.RepositoryNotFoundError,
            f"the hub has no model {spec.path!r}, or it is private: "
            "check the spelling, or log in with `hf auth login`.",
        ),
    )
    chain = list(_causes(error))
    for kind, sentence in sentences:
        if any(isinstance(cause, kind) for cause in chain):
            return ModelError(sentence)
    return ModelError(
        f"{spec.path}{at} is not on this machine and the hub cannot be reached: "
        "connect, or give the folder of a local copy to --model."
    )


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _hash_files(files: list[Path], cache_dir: Path) -> str:
    """SHA-256 over the names and hashes of the files, each hashed at most once."""
    memo_path = cache_dir / FILES_HASHED
    try:
        memo: dict[str, dict[str, Any]] = json.loads(memo_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no memo, or a damaged one: hash again
        memo = {}
    digest, changed = hashlib.sha256(), False
    for path in files:
        state = path.stat()
        key = {"size": state.st_size, "mtime_ns": state.st_mtime_ns}
        row = memo.get(str(path), {})
        if {name: row.get(name) for name in key} != key or "sha256" not in row:
            with path.open("rb") as file:
                row = {**key, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            memo[str(path)], changed = row, True
        digest.update(f"{path.name} {row['sha256']}\n".encode())
    if changed:
        write_text(memo_path, json.dumps(memo, indent=1))
    return digest.hexdigest()
