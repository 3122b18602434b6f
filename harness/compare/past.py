"""Earlier runs: baselines, numbered and named in a folder, or any run's folder of verdicts.

A baseline is a run's folder without its report: `.baselines/0001_release-1/` holds
`verdicts.json`, `samples.parquet`, `components.parquet` (the model's rows, not its twins') and
`plots.json`. So a path to a report's folder serves wherever a baseline's name does.
"""

import difflib
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.foreign import ForeignError, border
from harness.verdicts import records, samples
from harness.verdicts.components import COMPONENTS_NAME, COSTS, MODEL, REMEDY, read_components
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ".baselines"
EXPECTED = "a baseline of this suite"
LAST = "LAST"
# Files of a run, besides its components.
_KEPT = (records.JSON_NAME, records.CONTROLS_NAME, records.PLOTS_NAME, samples.SAMPLES_NAME)
NUMBERED = re.compile(r"(\d{4,})_(.+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


class BaselineError(ForeignError):
    """An earlier run that cannot be compared with; the message is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Past:
    """A run as it lies on disk."""

    name: str
    source: Path  # the file or folder that was read
    folder: Path
    verdicts: Sequence[Verdict]

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models, in the order of its verdicts."""
        return tuple(dict.fromkeys(r.model.name for r in self.verdicts))

    def samples(self) -> dict[samples.Address, dict[str, float]]:
        """Values by sample, where its predictions have them.

        Raises:
            BaselineError: If the file is damaged.
        """
        with border(self.folder, EXPECTED, REMEDY, BaselineError):
            return samples.read_samples(self.folder)

    def components(self, *sources: str) -> "pd.DataFrame | None":
        """Every component of its models, from the tables of these sources; None if there are none.

        Args:
            sources: By default `MODEL` alone.
        """
        with border(self.folder, EXPECTED, REMEDY, BaselineError):
            table = read_components(self.folder)
        return None if table is None else table[table["source"].isin(sources or (MODEL,))]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The run that is compared with, and how.

    Attributes:
        models: Model of this run to model of the baseline.
        shared: Whether a different number of items is allowed, on the samples both runs have.
    """

    past: Past
    models: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False


def find(text: str, folder: Path) -> Past:
    """The run that `text` names: a path, a baseline's name or number, or LAST.

    A name that was saved more than once is the latest of them.

    Raises:
        BaselineError: If there is none, or its files are damaged.
    """
    kept = listing(folder)
    named = [p for p in kept if text == LAST or text in (p.name, *_parts(p))]
    if named:  # before paths are looked at: a model's folder may have a baseline's name
        return _read(named[-1].name, named[-1], named[-1])
    path = Path(text).expanduser()
    if path.is_file():
        return _read(path.resolve().parent.name, path, path.parent)
    if path.is_dir():
        return _read(path.resolve().name, path, path)
    raise BaselineError(_unknown(text, kept, folder))


def listing(folder: Path) -> list[Path]:
    """The baselines of a folder by number."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if p.is_dir() and NUMBERED.fullmatch(p.name)]
    return sorted(found, key=lambda p: int(_parts(p)[0]))


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a baseline.

    Raises:
        BaselineError: Saying what can.
    """
    if not _NAME.fullmatch(name) or name == LAST or NUMBERED.fullmatch(name) or name.isdigit():
        raise BaselineError(
            f"{name!r} cannot name a baseline: expected letters, digits, '.', '_' and '-' (it gets "
            f"a number of its own), and not {LAST}."
        )


def keep(run: Path, name: str, folder: Path) -> Path:
    """Keep a run's folder as the next baseline of that name, whole or not at all.

    Returns:
        The baseline's folder.
    """
    check_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{name}.{uuid.uuid4().hex[:12]}.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        for file in _KEPT:
            if (run / file).exists():
                shutil.copy2(run / file, scratch / file)
        table = Past(name, run, run, ()).components(MODEL, COSTS)
        if table is not None:
            table.to_parquet(scratch / COMPONENTS_NAME, index=False)
        return _numbered(scratch, name, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _numbered(scratch: Path, name: str, folder: Path) -> Path:
    """Give it the next number; another run that took it in the meantime keeps it."""
    while True:
        taken = listing(folder)
        number = int(_parts(taken[-1])[0]) + 1 if taken else 1
        target = folder / f"{number:04}_{name}"
        try:
            return scratch.rename(target)
        except OSError:
            if not target.exists():
                raise


def _parts(path: Path) -> tuple[str, str]:
    """Number and name of a baseline."""
    found = NUMBERED.fullmatch(path.name)
    assert found is not None
    return found[1], found[2]


def _read(name: str, path: Path, folder: Path) -> Past:
    with border(path, EXPECTED, REMEDY, BaselineError):
        found = records.read_verdicts(path)
    if not found:
        raise BaselineError(
            f"{path} holds no verdicts: there is nothing to compare with; give a run that has some."
        )
    return Past(name, path.resolve(), folder.resolve(), found)


def _unknown(text: str, kept: Sequence[Path], folder: Path) -> str:
    if not kept:
        return (
            f"there is no baseline {text!r}: {folder} holds none; keep a run with "
            "`pytest hypotheses/ --save-baseline NAME`, or give the path of a verdicts.json."
        )
    known = [p.name for p in kept]
    near = difflib.get_close_matches(text, [*known, *(_parts(p)[1] for p in kept)], n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(known)}"
    return f"there is no baseline {text!r} in {folder}: {hint}; a path works too."
