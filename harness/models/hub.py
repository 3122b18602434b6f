"""Where the files of a model are: on this machine, or on the Hugging Face hub."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from harness.files import write_text
from harness.models.specs import ADAPTER, PICKLES, ModelError, ModelSpec, adapter_error

COMMIT = re.compile("[0-9a-f]{40}")
ANSWERS_WITHIN = 10  # seconds, when the hub is asked for a commit


def pinned(spec: ModelSpec) -> ModelSpec:
    """A hub model at one commit, so that loading, the cache and the record mean the same files.

    The hub is asked what its branch or tag is now. If it does not answer, the commit is the one on
    this machine. A model that is nowhere is left as it is: loading it says why.
    """
    if spec.is_local or spec.commit is not None:
        return spec
    if spec.revision is not None and COMMIT.fullmatch(spec.revision):
        return replace(spec, commit=spec.revision)
    from huggingface_hub import HfApi  # noqa: PLC0415

    try:
        commit = HfApi().model_info(spec.path, revision=spec.revision, timeout=ANSWERS_WITHIN).sha
    except Exception:  # of many kinds, and all of them mean: take what is here
        folder = local_folder(spec)
        return spec if folder is None else replace(spec, commit=folder.name, unasked=True)
    return replace(spec, commit=commit)


def remember(spec: ModelSpec) -> None:
    """Note which commit a branch was at, now that its files are here, for runs without network.

    The hub's library does so where files are fetched by branch; those of a commit leave no note.
    """
    if spec.is_local or spec.commit in (None, spec.revision) or spec.unasked:
        return
    folder = local_folder(spec)
    if folder is not None:
        with suppress(OSError):  # a cache that cannot be written
            write_text(folder.parents[1] / "refs" / (spec.revision or "main"), folder.name)


def local_folder(spec: ModelSpec) -> Path | None:
    """The folder with the model's files; None if they are not on this machine. No network."""
    if spec.is_local:
        return Path(spec.path)
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - only hub models need it

    path = try_to_load_from_cache(spec.path, "config.json", revision=spec.fixed)
    return Path(path).parent if isinstance(path, str) else None


def config_file(spec: ModelSpec) -> Path:
    """The model's config.json, fetched from the hub if it is not on this machine.

    Raises:
        ModelError: If the model has none, or the hub does not give it.
    """
    path = model_file(spec, "config.json")
    if path is None:
        adapter = model_file(spec, ADAPTER)
        if adapter is not None:
            raise adapter_error(spec.path, adapter)
        raise ModelError(f"model {spec.name!r} has no config.json: is it a transformers model?")
    return path


def model_file(spec: ModelSpec, name: str) -> Path | None:
    """A small file of the model, fetched from the hub if necessary; None if the model has none.

    Raises:
        ModelError: If the hub does not give it.
    """
    folder = local_folder(spec)
    if folder is not None and (spec.is_local or (folder / name).is_file()):
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import HfApi, hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        # Without network this fails at once, where a download tries six times in half a minute.
        HfApi().model_info(spec.path, revision=spec.fixed, timeout=ANSWERS_WITHIN)
        return Path(hf_hub_download(spec.path, name, revision=spec.fixed))
    except LocalEntryNotFoundError as error:  # a subclass of the next one, but it means: no network
        raise hub_error(spec, error) from error
    except EntryNotFoundError:
        return None
    except Exception as error:
        raise hub_error(spec, error) from error


def pickle_error(spec: ModelSpec) -> ModelError | None:
    """The error for a hub model whose weights are there only as a pickle; None if they are not."""
    folder, names = local_folder(spec), []
    if folder is not None:
        names = [path.name for path in folder.iterdir()]
    from huggingface_hub import HfApi  # noqa: PLC0415

    with suppress(Exception):  # without network, what is on this machine has to do
        names += HfApi().list_repo_files(spec.path, revision=spec.fixed)
    pickles = [name for name in sorted(names) if any(fnmatch(name, p) for p in PICKLES)]
    if not pickles or any(name.endswith(".safetensors") for name in names):
        return None
    at = spec.fixed or "its main branch"
    return ModelError(
        f"{spec.path} has its weights only as a pickle ({pickles[0]}) at revision {at}, which can "
        "run code when it is read: give a revision with safetensors, or save them again with "
        "save_pretrained."
    )


def hub_error(spec: ModelSpec, error: BaseException) -> ModelError:
    """Why a hub model could not be fetched, as one sentence; chained causes are searched too."""
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
            f"see https://huggingface.co/{spec.path}/commits/main for its revisions.",
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
