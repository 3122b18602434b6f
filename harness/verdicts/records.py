"""Verdicts on disk: written whole or line by line, and read back.

`verdicts.json` holds a run: what the file is, then its verdicts, written at its end by
temp-and-rename. `verdicts.jsonl` holds one record a line, appended as verdicts fall, so that an
interrupted run loses nothing. Both are described by `verdict.schema.json`.
"""

import json
import os
import warnings
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.foreign import ForeignError, border, strictly_parsed
from harness.verdicts.components import REMEDY
from harness.verdicts.plots import PlacedPlot
from harness.verdicts.primaries import primaries_of
from harness.verdicts.verdict import SCHEMA, SCHEMA_VERSION, Verdict

JSON_NAME = "verdicts.json"
JSONL_NAME = "verdicts.jsonl"
CONTROLS_NAME = "controls.json"  # verdicts on reference models; absent if there were none
CONTROL_LINES_NAME = "controls.jsonl"  # the same while a run goes on
ANSWERS_NAME = "answers.parquet"  # what the models were asked and answered
PLOTS_NAME = "plots.json"  # what claims hand over to be drawn; absent if none did

DISTRIBUTION = "recall-or-reasoning"
ABOUT = (
    "Verdicts on hypotheses about what happens inside language models: each is one prediction, "
    "tested on one model and one set of materials."
)
HOW_TO_READ = (
    "In Python: `harness.load_verdicts(path)` gives a table, one row a verdict. By hand: each "
    "entry of `verdicts` has its `outcome` and `reason`, the `evidence` it rests on (what was "
    "measured, and the threshold), `controls` and `gates`. A null number is not defined (NaN)."
)


def package_version(name: str) -> str:
    """The installed version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def write_verdicts(path: Path | str, verdicts: Iterable[Verdict]) -> Path:
    """Write a run's verdicts as one JSON file, whole or not at all. Returns its path."""
    path, verdicts = _file_in(Path(path), JSON_NAME), list(verdicts)
    document = {
        "about": ABOUT,
        "suite": f"{DISTRIBUTION} {package_version(DISTRIBUTION)}",
        "schema": f"harness/verdicts/{SCHEMA.name}",
        "how_to_read": HOW_TO_READ,
        "schema_version": SCHEMA_VERSION,
        "primaries": primaries_of(verdicts).to_json(),
        "verdicts": [verdict.to_json() for verdict in verdicts],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text(path, text + "\n")


def append_jsonl(path: Path | str, verdict: Verdict) -> Path:
    """Append one verdict as one line, on disk before this returns.

    A torn last line, left by a process killed while writing, is cut off first. One process writes
    into a folder: the one that holds it, or collects what others measured.
    """
    path = _file_in(Path(path), JSONL_NAME)
    text = json.dumps(verdict.to_json(), ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _cut_torn_line(file)
        file.write(text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return path


def write_plots(folder: Path | str, plots: Iterable[PlacedPlot]) -> Path:
    """Write what claims handed over to be drawn, whole or not at all. Returns the file's path."""
    path = Path(folder) / PLOTS_NAME
    text = json.dumps([plot.to_json() for plot in plots], ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_plots(folder: Path | str) -> list[PlacedPlot]:
    """What `write_plots` wrote into a run's folder; nothing if no claim handed over a figure.

    Raises:
        ForeignError: If the file is damaged; names it and the figure.
    """
    path = Path(folder) / PLOTS_NAME
    if not path.exists():
        return []
    with border(path, "a list of figures", REMEDY):
        plots = strictly_parsed(path.read_text(encoding="utf-8"))
        if not isinstance(plots, list):
            raise ValueError(f"it holds a {type(plots).__name__}")
    return [_plot(entry, f"{path}, figure {number}") for number, entry in enumerate(plots)]


def _plot(entry: Any, where: str) -> PlacedPlot:
    with border(where, "a figure", REMEDY):
        return PlacedPlot.from_json(entry)


def read_verdicts(path: Path | str) -> list[Verdict]:
    """The verdicts of a `verdicts.json`, a `verdicts.jsonl`, or a folder that holds either.

    A folder that holds both gives the file with the later verdict: `verdicts.jsonl` is ahead of
    `verdicts.json` when the last run was interrupted.

    Raises:
        FileNotFoundError: If there is nothing to read.
        ForeignError: If a record is not JSON or breaks the schema; names file, line and field.
    """
    path = Path(path)
    if not path.is_dir():
        return _read_file(path)
    found = [_read_file(f) for f in (path / JSON_NAME, path / JSONL_NAME) if f.exists()]
    if not found:
        raise FileNotFoundError(
            f"{path} holds neither {JSON_NAME} nor {JSONL_NAME}; "
            "run `pytest hypotheses/` with its report written there"
        )
    return max(found, key=lambda verdicts: max((v.created for v in verdicts), default=""))


def read_controls(folder: Path | str) -> list[Verdict]:
    """The verdicts of a run on reference models; none if it had no reference models.

    Raises:
        ForeignError: If the file is damaged; names it and the field.
    """
    both = (Path(folder) / name for name in (CONTROLS_NAME, CONTROL_LINES_NAME))
    path = next((path for path in both if path.exists()), None)
    return _read_file(path) if path else []


def validate(record: Any, where: str = "the record") -> None:
    """Check one record against the schema.

    Raises:
        ForeignError: Naming `where`, the field and what is wrong with it.
    """
    fault = next(iter(sorted(_validator().iter_errors(record), key=lambda e: list(e.path))), None)
    if fault is not None:
        field = ".".join(str(part) for part in fault.absolute_path) or "the record"
        raise ForeignError(f"{where} is not a verdict: {field}: {fault.message[:300]}; {REMEDY}.")


@cache
def _validator() -> Any:
    import jsonschema  # noqa: PLC0415 - needed for reading only

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    of_a_record = {"$ref": "#/$defs/verdict", "$defs": schema["$defs"]}
    return jsonschema.Draft202012Validator(of_a_record)


def verdict_of(record: Any, where: str = "the record") -> Verdict:
    """The verdict of one JSON record.

    Raises:
        ForeignError: If it breaks the schema; names `where`, the field and what is wrong with it.
    """
    with border(where, "a verdict", REMEDY):
        validate(record, where)
        return Verdict.from_json(record)


def _read_file(path: Path) -> list[Verdict]:
    with border(path, "a file of verdicts", REMEDY):
        text = path.read_text(encoding="utf-8")
        records = _lines(path, text) if path.suffix == ".jsonl" else _document(path, text)
        return [verdict_of(record, where) for where, record in records]


def _document(path: Path, text: str) -> list[tuple[str, Any]]:
    document = strictly_parsed(text)
    if not isinstance(document, dict) or not isinstance(document.get("verdicts"), list):
        raise ForeignError(
            f'{path} is not a file of verdicts: expected {{"verdicts": [...]}}; {REMEDY}.'
        )
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ForeignError(
            f"{path} has schema_version {document.get('schema_version')!r:.40}; "
            f"this version reads {SCHEMA_VERSION}"
        )
    return [(f"{path}, verdict {i}", record) for i, record in enumerate(document["verdicts"])]


def _lines(path: Path, text: str) -> list[tuple[str, Any]]:
    *lines, torn = text.split("\n")
    if torn.strip():
        warnings.warn(
            f"{path}: line {len(lines) + 1} was cut off while being written and is left out",
            stacklevel=4,
        )
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        with border(f"{path}, line {number}", "a verdict", REMEDY):
            records.append((f"{path}, line {number}", strictly_parsed(line)))
    return records


def _cut_torn_line(file: Any) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


def _file_in(path: Path, name: str) -> Path:
    return path / name if path.is_dir() or not path.suffix else path
