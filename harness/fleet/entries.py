"""FILE.toml of a fleet: which models, with which options."""

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.fleet.steps import PLACE, available, chosen
from harness.foreign import ForeignError, border
from harness.models.specs import ModelError

KEYS = ("options", "store", "entry")
ENTRY_KEYS = ("name", "model", "models", "steps", "options")
OURS = ("--model", "--report", "--cache-dir", "--budget", "-n", "--numprocesses")  # set, or spoilt
STEP, RELEASE = "training step", "release"
EXAMPLE = "docs/scale.md has examples"


class FleetError(ForeignError):
    """A fleet that cannot be run; the message is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Point:
    """A model of an entry.

    Attributes:
        label: As the file names it; reports show it.
        model: As `--model` is given it.
        step: Training step, where the entry has steps.
    """

    label: str
    model: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """A model, checkpoints of one training, or releases, oldest first.

    Attributes:
        name: In reports.
        points: Its models; of a wrong entry none.
        axis: What they are ordered by; empty for one model.
        between: Every step there is, for `--bisect`.
        options: Options of pytest that this entry adds.
        fault: What is wrong with it, in a sentence.
    """

    name: str
    points: tuple[Point, ...] = ()
    axis: str = ""
    between: tuple[Point, ...] = ()
    options: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A whole file.

    Attributes:
        options: Options of pytest for all entries.
        store: Where all of them store measurements; None is the user's cache.
        url: The store, where it is a URL that fsspec knows.
    """

    entries: tuple[FleetEntry, ...]
    options: tuple[str, ...] = ()
    store: Path | None = None
    url: str = ""


def read_fleet(path: Path) -> Fleet:
    """The fleet that a file describes. A wrong entry carries its fault; the others are as they are.

    Raises:
        FleetError: If the file is not TOML, or nothing of it can be run.
    """
    with border(path, "a fleet", f"write it as TOML; {EXAMPLE}", FleetError):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = [key for key in table if key not in KEYS]
    if unknown:
        raise FleetError(f"{path} has {unknown[0]!r}, expected {', '.join(KEYS)}; {EXAMPLE}.")
    written = table.get("entry")
    if not isinstance(written, list) or not written:
        raise FleetError(f"{path} has no [[entry]]: give each model one; {EXAMPLE}.")
    try:
        options = options_of(table.get("options", ""))
    except FleetError as error:
        raise FleetError(f"{path}: {error}") from None
    entries = [_entry(each, number, path.parent) for number, each in enumerate(written, start=1)]
    store = table.get("store")
    if store is not None and not isinstance(store, str):
        raise FleetError(f"{path}: store is {store!r}, expected the path of a folder or a URL.")
    if store is not None and "://" in store:
        return Fleet(_each_once(entries), options, url=store)
    return Fleet(_each_once(entries), options, None if store is None else path.parent / store)


def _each_once(entries: Sequence[FleetEntry]) -> tuple[FleetEntry, ...]:
    """Entries of which every name is one: a second entry of a name gets a number."""
    seen: dict[str, int] = {}
    found = []
    for entry in entries:
        seen[entry.name] = seen.get(entry.name, 0) + 1
        name = entry.name if seen[entry.name] == 1 else f"{entry.name} ({seen[entry.name]})"
        values = (entry.points, entry.axis, entry.between, entry.options, entry.fault)
        found.append(FleetEntry(name, *values))
    return tuple(found)


def options_of(text: Any) -> tuple[str, ...]:
    """Options as on the command line.

    Raises:
        FleetError: If the text cannot be split, or has an option that the fleet sets itself.
    """
    if not isinstance(text, str):
        raise FleetError(f"options is {text!r}, expected a text as on the command line.")
    try:
        options = tuple(shlex.split(text))
    except ValueError as error:
        raise FleetError(f"options {text!r} cannot be split ({error}): check quotes.") from None
    for option in options:
        if option.partition("=")[0] in OURS or (option[:2] == "-n" and option[2:].isdigit()):
            raise FleetError(
                f"options has {option}, which a fleet decides itself: leave it out "
                "(a model belongs into [[entry]], the folder of measurements into store)."
            )
    return options


def _entry(written: Any, number: int, folder: Path) -> FleetEntry:
    name = str(written.get("name") or "") if isinstance(written, Mapping) else ""
    try:
        return _read_entry(written, name, folder)
    except (FleetError, ModelError) as error:
        return FleetEntry(name or _named(written) or f"entry {number}", fault=str(error))


def _named(written: Any) -> str:
    model = written.get("model") if isinstance(written, Mapping) else None
    return model if isinstance(model, str) else ""


def _read_entry(written: Any, name: str, folder: Path) -> FleetEntry:
    if not isinstance(written, Mapping):
        raise FleetError(f"the entry is {written!r}, expected a table [[entry]].")
    unknown = [key for key in written if key not in ENTRY_KEYS]
    if unknown:
        raise FleetError(f"{unknown[0]!r} is no key of an entry: expected {', '.join(ENTRY_KEYS)}.")
    options = options_of(written.get("options", ""))
    model, models = written.get("model"), written.get("models")
    if isinstance(models, list) and models and all(isinstance(m, str) for m in models):
        if model is not None:
            raise FleetError("it has both model and models: give one of them.")
        points = tuple(_point(text, folder) for text in dict.fromkeys(models))
        return FleetEntry(name or f"{models[0]} to {models[-1]}", points, RELEASE, (), options)
    if not isinstance(model, str) or not model:
        raise FleetError("it names no model: give model, a text, or models, a list of texts.")
    if PLACE not in model:
        if "steps" in written:
            raise FleetError(f"it has steps, but model {model!r} has no {PLACE} in its name.")
        return FleetEntry(name or model, (_point(model, folder),), options=options)
    between = available(model, folder)
    steps = chosen(written.get("steps", "all"), between, model)
    return FleetEntry(
        name or model.replace(PLACE, "*"),
        tuple(_at(model, step, folder) for step in steps),
        STEP,
        tuple(_at(model, step, folder) for step in between or ()),
        options,
    )


def _at(model: str, step: int, folder: Path) -> Point:
    found = _point(model.replace(PLACE, str(step)), folder)
    return Point(found.label, found.model, step)


def _point(text: str, folder: Path) -> Point:
    """A model; a path is taken from the folder of the file."""
    path = folder / Path(text).expanduser()
    is_path = path.exists() or text.startswith((".", "/", "~"))
    return Point(text, str(path.resolve()) if is_path else text)
