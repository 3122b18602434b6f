"""The components of a run as files of their own, one a claim and model."""

import re
from pathlib import Path

from harness.foreign import ForeignError
from harness.verdicts.components import COMPONENTS_NAME, read_components

_FOLDER = "components"


def write_components(folder: Path, suffix: str) -> list[Path]:
    """Split `components.parquet`; the files, named `h2_mini-qwen.csv`, in the run's `components`.

    Each has every criterion, set of materials, kind and twin of its claim on its model.

    Raises:
        ForeignError: If the run saved no components, or they are damaged.
    """
    table = read_components(folder)
    if table is None:
        path = folder / COMPONENTS_NAME
        raise ForeignError(f"{path} is not there: this run saved no components.")
    written: list[Path] = []
    (folder / _FOLDER).mkdir(exist_ok=True)
    for (claim, model), rows in table.groupby(["claim_id", "model"], observed=True, sort=True):
        out = _free(folder / _FOLDER / f"{claim}_{_plain(str(model))}.{suffix}", written)
        if suffix == "csv":
            rows.to_csv(out, index=False)
        else:
            rows.to_parquet(out, index=False)
        written.append(out)
    return written


def _plain(name: str) -> str:
    """A model's name without what is no part of a file's: `org/model@rev` is `org-model-rev`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def _free(path: Path, taken: list[Path]) -> Path:
    """The path, numbered if two names came out alike."""
    again, number = path, 2
    while again in taken:
        again, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return again
