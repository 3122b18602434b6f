"""The rows of a prompt file as items; whatever is wrong with one is kept with its line number."""

import csv
import difflib
import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.prompts import DISCOVERY, EVALUATION, Item, MaterialsError

REQUIRED = ("prompt", "task")
TEXTS = ("subject", "domain", "pair", "template", "question", "answer", "split", "id")
LISTS = ("distractors", "premises")
COLUMNS = (*REQUIRED, *TEXTS, *LISTS, "score")
SPLITS = (DISCOVERY, EVALUATION)
SHOWN = 10  # faults in one message
SEPARATOR = "|"
Row = tuple[int, Mapping[str, Any]]  # line number, values by column


@dataclass(slots=True)
class Faults:
    """What is wrong with a file; keeps the first few and counts the rest."""

    path: Path
    unit: str = "line"
    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        """Note a fault of a line."""
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown.append(f"{self.path.name}, {self.unit} {line}: {text}")

    def complain(self) -> None:
        """Raise if there was any."""
        if not self.count:
            return
        rest = self.count - len(self.shown)
        more = [f"... and {rest} more"] if rest else []
        noun = "fault" if self.count == 1 else "faults"
        lines = "\n  ".join([*self.shown, *more])
        raise MaterialsError(f"{self.path} has {self.count} {noun}:\n  {lines}")


def _lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    """Decoded lines with their numbers; the text of a bad one stands in with marks."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                faults.add(number, f"byte {error.start + 1} is not UTF-8; save the file as UTF-8")
                yield number, raw.decode("utf-8", errors="replace")


def _read_jsonl(path: Path, faults: Faults) -> Iterator[Row]:
    unknown: set[str] = set()
    for number, line in _lines(path, faults):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except RecursionError:
            faults.add(number, "not valid JSON (nested too deep)")
            continue
        except ValueError as error:
            reason = getattr(error, "msg", str(error))
            faults.add(number, f"not valid JSON ({reason}): {_short(line.strip())}")
            continue
        if not isinstance(row, dict):
            faults.add(number, f"{_short(row)}: expected a JSON object")
            continue
        _check_columns(number, [c for c in row if c not in unknown], faults)
        unknown |= row.keys() - set(COLUMNS)
        yield number, row


def _read_csv(path: Path, faults: Faults) -> Iterator[Row]:
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        reader = csv.reader((line for _, line in _lines(path, faults)), strict=True)
        header: list[str] = []
        started = 1
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:  # what follows cannot be told apart
                faults.add(started, f"not valid CSV ({error})")
                return
            if cells is None:
                return
            if cells and not header:
                header = [cell.strip() for cell in cells]
                if not _check_header(started, header, faults):
                    return
            elif cells and len(cells) != len(header):
                faults.add(
                    started,
                    f"{len(cells)} fields: expected {len(header)} as in the header; text with "
                    "commas belongs in double quotes",
                )
            elif cells:
                yield started, dict(zip(header, cells, strict=True))
            started = reader.line_num + 1
    finally:
        csv.field_size_limit(limit)


def _read_parquet(path: Path, faults: Faults) -> Iterator[Row]:
    import pyarrow.parquet  # noqa: PLC0415  (a second to import)

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except ValueError as error:  # includes pyarrow's own
        faults.add(0, f"not a parquet file ({error})")
        return
    with file:
        if not _check_header(0, file.schema_arrow.names, faults):
            return
        number = 0
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row


READERS: dict[str, Callable[[Path, Faults], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def _check_columns(line: int, columns: Iterable[str], faults: Faults) -> None:
    for column in columns:
        if column in COLUMNS:
            continue
        near = difflib.get_close_matches(column.strip().lower(), COLUMNS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(COLUMNS)}"
        faults.add(line, f"unknown column {column!r}; {hint}")


def _check_header(line: int, header: Sequence[str], faults: Faults) -> bool:
    """Whether rows under this header can be read."""
    before = faults.count
    _check_columns(line, header, faults)
    for column, n in Counter(header).items():
        if n > 1:
            faults.add(line, f"column {column!r} is there {n} times")
    for column in REQUIRED:
        if column not in header:
            faults.add(line, f"no column {column!r}: expected {' and '.join(REQUIRED)}")
    return faults.count == before


class _Wrong(Exception):
    """What is wrong with one value."""


def item_of(line: int, row: Mapping[str, Any], faults: Faults) -> Item | None:
    """The item of a row; None if something is wrong with it, which is then among the faults."""
    before = faults.count

    def value(column: str, convert: Callable[[str, Any], Any]) -> Any:
        try:
            return convert(column, row.get(column))
        except _Wrong as wrong:
            faults.add(line, str(wrong))
            return convert(column, None) if column not in REQUIRED else ""

    for column in REQUIRED:
        value(column, _required)
    texts = {column: value(column, _text) for column in TEXTS}
    lists = {column: value(column, _list) for column in LISTS}
    score = value("score", _score)
    if lists["distractors"] and not texts["answer"]:
        faults.add(line, "distractors without an answer; give the answer or leave both out")
    if texts["answer"] and texts["answer"] in lists["distractors"]:
        faults.add(line, f"the answer {texts['answer']!r} is among its distractors")
    if texts["split"] not in ("", *SPLITS):
        faults.add(line, f"split is {texts['split']!r}: expected {' or '.join(SPLITS)}")
    if faults.count > before:
        return None
    prompt, task = row["prompt"].rstrip(), _text("task", row["task"])
    at = prompt.rfind(texts["subject"]) if texts["subject"] else -1
    content = json.dumps([prompt, task, texts["pair"], texts["template"]])
    name = texts["id"] or hashlib.sha256(content.encode()).hexdigest()[:16]
    return Item(
        id=name,
        task=task,
        prompt=prompt,
        pair=texts["pair"] or name,
        template=texts["template"],
        domain=texts["domain"] or (texts["subject"] if at < 0 else ""),
        entities=(texts["subject"],) if at >= 0 else (),
        question=texts["question"],
        answer=texts["answer"],
        distractors=lists["distractors"],
        subject=(at, at + len(texts["subject"])) if at >= 0 else None,
        premises=lists["premises"],
        hops=0,
        split=texts["split"],
        score=score,
    )


def _required(column: str, value: Any) -> str:
    if value is None:
        raise _Wrong(f"no {column}: expected {'the text' if column == 'prompt' else 'a label'}")
    if column == "prompt" and not isinstance(value, str):
        raise _Wrong(f"prompt is {_short(value)}: expected text")
    text = _text(column, value)
    if not text:
        raise _Wrong(f"the {column} is empty")
    return text


def _text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):  # "answer": 4, "pair": 17
        return str(value)
    if not isinstance(value, str):
        raise _Wrong(f"{column} is {_short(value)}: expected text in quotes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Wrong(f"{column} holds half a surrogate pair: {_short(ascii(value))}") from None
    return value.strip()


def _list(column: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = _text(column, value)
        if not value.startswith("["):
            return tuple(part for p in value.split(SEPARATOR) if (part := p.strip()))
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _Wrong(f"{column} is not a JSON list: {_short(value)}") from None
    if not isinstance(value, list):
        raise _Wrong(f"{column} is {_short(value)}: expected a list of texts")
    texts = tuple(_text(f"an entry of {column}", entry) for entry in value)
    if not all(texts):
        raise _Wrong(f"{column} holds an empty entry: {_short(value)}")
    return texts


def _score(column: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Wrong(f"{column} is {_short(value)}: expected a number") from None
    if not math.isfinite(number):
        raise _Wrong(f"{column} is {_short(value)}: expected a finite number")
    return number


def _short(value: Any, width: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
