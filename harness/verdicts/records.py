"""Verdicts on disk: written whole or line by line, read back as records or as a table.

`verdicts.json` holds a run: `{"schema_version": 1, "verdicts": [...]}`, written at its end by
temp-and-rename. `verdicts.jsonl` holds one record a line, appended as they fall, so that an
interrupted run loses nothing. Both are described by `verdict.schema.json`.
"""

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from harness.files import write_text
from harness.verdicts.plots import Plot
from harness.verdicts.verdict import SCHEMA, SCHEMA_VERSION, Verdict

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]

JSON_NAME = "verdicts.json"
JSONL_NAME = "verdicts.jsonl"
COMPONENTS_NAME = "components.parquet"  # every component's numbers, beside them
CONTROLS_NAME = "controls.json"  # verdicts on models known; absent if there were none
PLOTS_NAME = "plots.json"  # what claims hand over to be drawn; absent if none did


def write_verdicts(path: Path | str, verdicts: Iterable[Verdict | Record]) -> Path:
    """Write a run's verdicts as one JSON file, whole or not at all. Returns its path."""
    path = _file_in(Path(path), JSON_NAME)
    document = {"schema_version": SCHEMA_VERSION, "verdicts": [_record(v) for v in verdicts]}
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        return write_text(path, text + "\n")


def append_jsonl(path: Path | str, verdict: Verdict | Record) -> Path:
    """Append one verdict as one line, on disk before this returns. Safe from several processes.

    A torn last line, left by a process killed while writing, is cut off first.
    """
    path = _file_in(Path(path), JSONL_NAME)
    line = json.dumps(_record(verdict), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path), path.open("a+b") as file:
        _cut_torn_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return path


def write_plots(folder: Path | str, plots: Iterable[Record]) -> Path:
    """Write what claims handed over to be drawn, whole or not at all. Returns the file's path.

    Each is `{model, materials, claim_id, criterion, prediction_id, plot}`:
    see `harness.verdicts.plots`.
    """
    path = Path(folder) / PLOTS_NAME
    text = json.dumps(list(plots), ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_plots(folder: Path | str) -> list[dict[str, Any]]:
    """What `write_plots` wrote into a run's folder; nothing if no claim handed over a figure.

    Raises:
        ValueError: If the file is damaged; names it and the figure.
    """
    path = Path(folder) / PLOTS_NAME
    if not path.exists():
        return []
    try:
        plots = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(plots, list):
        raise ValueError(f"{path} is not a list of figures: it holds a {type(plots).__name__}")
    for number, entry in enumerate(plots):
        _check_plot(entry, f"{path}, figure {number}")
    return plots


def _check_plot(entry: Any, where: str) -> None:
    keys = {"model", "materials", "claim_id", "criterion", "prediction_id", "plot"}
    if not isinstance(entry, dict) or entry.keys() != keys:
        raise ValueError(f"{where} is not a figure: expected {sorted(keys)}")
    try:
        Plot.from_json(entry["plot"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where} is not a figure: {type(error).__name__}: {error}") from None


def read_records(path: Path | str) -> list[dict[str, Any]]:
    """The records of a `verdicts.json`, a `verdicts.jsonl`, or a folder that holds either.

    A folder that holds both gives the file with the later verdict: `verdicts.jsonl` is ahead of
    `verdicts.json` when the last run was interrupted.

    Raises:
        FileNotFoundError: If there is nothing to read.
        ValueError: If a record is not JSON or breaks the schema; names the file, line and field.
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
    return max(found, key=lambda records: max((r["created"] for r in records), default=""))


def read_controls(folder: Path | str) -> list[dict[str, Any]]:
    """The verdicts of a run on models whose verdicts are known; none if it had no controls.

    Raises:
        ValueError: If the file is damaged; names it and the field.
    """
    path = Path(folder) / CONTROLS_NAME
    return _read_file(path) if path.exists() else []


def load_verdicts(path: Path | str) -> "pd.DataFrame":
    """The verdicts of a run as a table, one row a verdict.

    `path` is a `verdicts.json`, a `verdicts.jsonl` or the folder of a run. The effect columns
    (`effect_name`, `effect`, `effect_low`, `effect_high`, `threshold`, `p_adjusted`, `n`, ...) hold
    the first decisive evidence; NaN where a prediction was not measured. `control` and `expected`
    are empty but on models whose circuits are known, which check the instrument.

    Raises:
        FileNotFoundError: If there is nothing to read.
        ValueError: If a record is not JSON or breaks the schema.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that writing a verdict does not need

    table = pd.DataFrame([row(r) for r in read_records(path)], columns=COLUMNS)
    return table.astype(dict.fromkeys(NUMERIC, float))


NUMERIC = (
    "effect",
    "effect_low",
    "effect_high",
    "threshold",
    "p",
    "p_adjusted",
    "alpha",
    "floor",
    "n",
)
COLUMNS = (
    *("model", "materials", "claim_id", "prediction_id", "criterion", "outcome", "reason"),
    *("evidence", "effect_name", "effect", "effect_low", "effect_high", "relation", "threshold"),
    *("p", "p_adjusted", "alpha", "floor", "n", "controls", "controls_failed"),
    *("claim", "prediction", "seconds", "cached", "run_id", "created"),
    *("model_path", "revision", "weights", "architecture", "materials_hash", "plan_hash"),
    *("control", "expected"),
)


def row(record: Record) -> dict[str, Any]:
    """One verdict as one flat row; see `load_verdicts` for its columns."""
    evidence = first_decisive(record) or {}
    effect = evidence.get("effect") or {}
    low, high = effect.get("interval") or (None, None)
    model, materials = record["model"], record["materials"]
    flat = {name: record.get(name) for name in COLUMNS if name in record}
    return flat | {
        "model": model.get("name"),
        "materials": materials.get("name"),
        "evidence": evidence.get("name"),
        "effect_name": effect.get("name"),
        "effect": effect.get("value"),
        "effect_low": low,
        "effect_high": high,
        **{k: evidence.get(k) for k in ("relation", "threshold", "p", "p_adjusted", "alpha")},
        **{k: evidence.get(k) for k in ("floor", "n")},
        "controls": len(record["controls"]),
        "controls_failed": sum(c["passed"] is False for c in record["controls"]),
        "model_path": model.get("path"),
        "revision": model.get("revision"),
        "weights": model.get("weights"),
        "architecture": model.get("architecture"),
        "materials_hash": materials.get("hash"),
        "plan_hash": record["plan"].get("hash"),
        "control": (record.get("control") or {}).get("role"),
        "expected": (record.get("control") or {}).get("expected"),
    }


def first_decisive(record: Record) -> dict[str, Any] | None:
    """The first piece of evidence the verdict rests on, or the first at all, or None."""
    evidence = list(record["evidence"])
    return next((e for e in evidence if e["decisive"]), evidence[0] if evidence else None)


def validate(record: Record, where: str = "the record") -> None:
    """Check one record against the schema.

    Raises:
        ValueError: Naming `where`, the field and what is wrong with it.
    """
    fault = next(iter(sorted(_validator().iter_errors(record), key=lambda e: list(e.path))), None)
    if fault is not None:
        field = ".".join(str(part) for part in fault.absolute_path) or "the record"
        raise ValueError(f"{where} is not a verdict: {field}: {fault.message[:300]}")


@cache
def _validator() -> Any:
    import jsonschema  # noqa: PLC0415 - needed for reading only

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    of_a_record = {"$ref": "#/$defs/verdict", "$defs": schema["$defs"]}
    return jsonschema.Draft202012Validator(of_a_record)


def _record(verdict: Verdict | Record) -> Record:
    return verdict.to_json() if isinstance(verdict, Verdict) else verdict


def _read_file(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    records = _lines(path, text) if path.suffix == ".jsonl" else _document(path, text)
    for where, record in records:
        validate(record, where)
    return [record for _, record in records]


def _document(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("verdicts"), list):
        raise ValueError(f'{path} is not a file of verdicts: expected {{"verdicts": [...]}}')
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema_version {document.get('schema_version')!r}; "
            f"this version reads {SCHEMA_VERSION}"
        )
    return [(f"{path}, verdict {i}", record) for i, record in enumerate(document["verdicts"])]


def _lines(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
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
        try:
            records.append((f"{path}, line {number}", json.loads(line)))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number} is not JSON: {error}") from None
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


def _lock(path: Path) -> FileLock:
    return FileLock(path.with_name(path.name + ".lock"))
