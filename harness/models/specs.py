"""Which model a name means, and how it is to be loaded.

Nothing in this package imports torch or transformers, so that a run whose measurements are all
cached starts at once.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.files import DATA
from harness.foreign import ForeignError, json_at, why

TABLE = Path(__file__).with_name("models.toml")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
SHOWN = 200  # characters of a name or a reason
ADAPTER = "adapter_config.json"
INDEX = "model.safetensors.index.json"
GGUF = ".gguf"
WRITTEN = "written:"  # begins a row of models.toml whose weights a script writes
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class ModelError(ForeignError):
    """A model that cannot be used; the message is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that a run asks for.

    Attributes:
        name: As it was typed; reports show it.
        path: A local folder, absolute, or a hub id.
        revision: Branch, tag or commit of a hub model; None is its main branch.
        is_local: Whether `path` is a folder.
        gguf: Name of the GGUF file in the folder, where the model is one.
        commit: Of a hub model, once it was looked up: what `revision` meant then.
        unasked: Whether that is the commit on this machine because the hub did not answer.
        recipe: Name of an organism whose weights do not ship; `recipes.on_disk` writes them.
    """

    name: str
    path: str
    revision: str | None = None
    is_local: bool = False
    gguf: str | None = None
    commit: str | None = None
    unasked: bool = False
    recipe: str = ""

    @property
    def fixed(self) -> str | None:
        """The commit of a hub model if it was looked up, else the revision that was asked for."""
        return self.commit or self.revision

    @property
    def gguf_file(self) -> Path | None:
        """The GGUF file, where the model is one."""
        return None if self.gguf is None else Path(self.path) / self.gguf


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load and run a model.

    Attributes:
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        device_map: Accelerate's placement over several devices, e.g. `auto`; overrides `device`.
        tensor_parallel: Whether weights are divided over the processes that torchrun started.
        dtype: `auto` (as the checkpoint says), float32, bfloat16 or float16.
        batch_size: Prompts in a forward pass; None starts from what memory allows and halves the
            number each time memory runs out.
        trust_remote_code: Run the Python files that come with the model.
        chat_template: Apply the tokenizer's chat template to each prompt.
        template_args: Names and values that the template is given, such as `enable_thinking`.
    """

    device: str = "auto"
    device_map: str | None = None
    tensor_parallel: bool = False
    dtype: str = "auto"
    batch_size: int | None = None
    trust_remote_code: bool = False
    chat_template: bool = False
    template_args: tuple[tuple[str, Any], ...] = ()


@cache
def aliases() -> Mapping[str, Mapping[str, str]]:
    """The tables of models.toml: `embedded` and `reference` (folders), and `hub` (ids).

    A reference model `written:NAME` is written when it is loaded, see `harness.models.recipes`.
    """
    table: dict[str, dict[str, str]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return table


def ships(spec: ModelSpec) -> bool:
    """Whether it is an embedded or a reference model: the models that plans were tuned on."""
    if not spec.is_local or spec.recipe:
        return bool(spec.recipe)
    folders = [DATA / f for table in ("embedded", "reference") for f in aliases()[table].values()]
    return Path(spec.path).resolve() in [folder.resolve() for folder in folders]


def resolve(text: str) -> ModelSpec:
    """The model that `text` names: an alias, a folder, a GGUF file or a hub id, with `@revision`.

    Raises:
        ModelError: If no such model is known, or the folder holds no model that can be loaded.
    """
    try:
        return _resolved(text)
    except ModelError:
        raise
    except Exception as error:  # too long a name, links in a circle, ...
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        raise ModelError(
            f"{shown!r} cannot be read as a model ({why(error)}): check the path given to --model."
        ) from error


def _resolved(text: str) -> ModelSpec:
    if Path(text).expanduser().is_dir():  # first, since a folder's name may hold an "@"
        return _local(text, Path(text), None)
    if text.endswith(GGUF):
        return _gguf(text, Path(text))
    typed, _, revision = text.partition("@")
    if "@" in text and not revision:
        raise ModelError(f"model {text!r} ends in '@': name a revision after it, or leave it out.")
    for table in ("embedded", "reference"):
        if typed in aliases()[table]:
            return _shipped(text, aliases()[table][typed], revision or None)
    if typed in aliases()["hub"]:
        return ModelSpec(text, aliases()["hub"][typed], revision or None)
    if Path(typed).expanduser().is_dir():
        return _local(text, Path(typed), revision or None)
    if typed.startswith((".", "/", "~")) or typed.endswith("/"):
        raise ModelError(f"there is no folder {typed!r}: check the path given to --model.")
    if HUB_ID.fullmatch(typed):
        return ModelSpec(text, typed, revision or None)
    raise ModelError(_unknown(typed))


def _shipped(text: str, row: str, revision: str | None) -> ModelSpec:
    """The model of a row of models.toml."""
    _, is_written, name = row.partition(WRITTEN)
    if not is_written:
        return _local(text, DATA / row, revision)
    folder = DATA / "fixtures" / "organisms" / name
    _no_revision(text, revision)
    return ModelSpec(text, str(folder), is_local=True, recipe=name)


def _no_revision(text: str, revision: str | None) -> None:
    if revision:
        raise ModelError(
            f"model {text!r} is a folder, which has no revision {revision!r}: "
            f"leave out '@{revision}'."
        )


def _unknown(typed: str) -> str:
    known = [name for table in aliases().values() for name in table]
    near = difflib.get_close_matches(typed, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(known)}"
    also = "a hub id (org/name), a folder or a GGUF file works too"
    return f"no model is called {typed!r}: {hint}; {also}."


def _local(text: str, folder: Path, revision: str | None) -> ModelSpec:
    folder = folder.expanduser().resolve()
    _no_revision(text, revision)
    if (folder / ADAPTER).is_file():
        raise adapter_error(str(folder), folder / ADAPTER)
    if not (folder / "config.json").is_file():
        files = sorted(folder.glob(f"*{GGUF}"))
        if len(files) > 1:
            raise ModelError(
                f"{folder} holds {len(files)} GGUF files: give one of them, "
                f"such as {folder / files[0].name}."
            )
        if files:
            return _gguf(text, files[0])
        raise ModelError(
            f"{folder} has no config.json, so it is not a model: "
            "give the folder that save_pretrained wrote."
        )
    read_json(folder / "config.json")  # now, not in every prediction
    weight_files(folder)
    return ModelSpec(text, str(folder), None, is_local=True)


def adapter_error(named: str, file: Path) -> ModelError:
    """Why an adapter cannot be loaded, from its adapter_config.json."""
    base = read_json(file).get("base_model_name_or_path") or "its base model"
    return ModelError(
        f"{named} is an adapter to {base}, not a whole model: merge the two (peft: "
        "merge_and_unload, then save_pretrained) and give that folder."
    )


def _gguf(text: str, file: Path) -> ModelSpec:
    file = file.expanduser().resolve()
    if not file.is_file():
        raise ModelError(f"there is no file {text!r}: check the path given to --model.")
    return ModelSpec(text, str(file.parent), None, is_local=True, gguf=file.name)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a local model, by name.

    Raises:
        ModelError: If there are none, if one of a sharded model is missing, or if the weights
            are there only as a pickle, which is never loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    dangling = [path.name for path in files if not path.is_file()]
    if dangling:
        raise ModelError(
            f"{folder} is incomplete: {dangling[0]} is a folder or a link to nothing; download or "
            "copy it again."
        )
    index = folder / INDEX
    if index.is_file():
        shards = _shards(index)
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


def _shards(index: Path) -> set[str]:
    """Names of the files that an index names."""
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ModelError(
            f"{index} has no weight_map from tensors to files, expected an object of texts: copy "
            "it again."
        )
    return set(named.values())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that is a file of a model.

    Raises:
        ModelError: If it cannot be read, or is no object.
    """
    read = json_at(path, "a JSON object", "copy it again", ModelError)
    if not isinstance(read, dict):
        raise ModelError(
            f"{path} holds {json.dumps(read)[:40]}, expected a JSON object: copy it again."
        )
    return read
