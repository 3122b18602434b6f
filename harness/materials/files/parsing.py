"""Reading the raw rows of a prompt file with their line numbers, and a list of its faults.

`columns` says what the columns mean, `rows` makes items of rows.
"""

import codecs
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from harness.foreign import printable, why
from harness.materials.items import MaterialsError

SHOWN = 10  # faults shown in one message
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATORS = (",", ";", "\t")  # ; where the comma is the decimal sign, tabs from spreadsheets
Row = tuple[int, Mapping[str, Any]]  # line number, values by column
Accept = Callable[[int, Sequence[str]], bool]  # whether rows under a header can be read


@dataclass(slots=True)
class Faults:
    """The faults of a file: the first few, or all, and the number of the rest.

    Attributes:
        limit: How many are kept; None keeps all.
    """

    path: Path
    unit: str = "line"
    limit: int | None = SHOWN
    count: int = 0
    shown: list[str] = field(default_factory=list)
    once: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def add(self, line: int, text: str) -> None:
        """Note a fault of a line; line 0 is the whole file and comes first."""
        self.count += 1
        text = printable(text)
        if not line:
            self.shown.insert(0, f"{self.path.name}: {text}")
            self.once = {k: (at, n, place + 1) for k, (at, n, place) in self.once.items()}
        elif self.limit is None or len(self.shown) < self.limit:
            self.shown.append(f"{self.path.name}, {self.unit} {line}: {text}")

    def add_once(self, line: int, text: str) -> None:
        """Note what may be wrong with every line: the first, and how many more there are."""
        first, lines, shown = self.once.get(text, (line, 0, -1))
        if not lines:
            self.count += 1
            shown = len(self.shown)
            self.shown.append("")
        more = f" and {lines:,} more" if lines else ""
        self.shown[shown] = f"{self.path.name}, {self.unit} {first}{more}: {text}"
        self.once[text] = (first, lines + 1, shown)

    def complain(self, remedy: str = "") -> None:
        """Raise if there are faults; the message says how to see all of them."""
        if not self.count:
            return
        rest = self.count - len(self.shown)
        more = [f"... and {rest} more{f'; {remedy}' if remedy else ''}"] if rest else []
        noun = "fault" if self.count == 1 else "faults"
        lines = "\n  ".join([*self.shown, *more])
        raise MaterialsError(f"{self.path} has {self.count} {noun}:\n  {lines}")


class Wrong(Exception):
    """A value that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that no Python value can be made of; harmless in a column nobody reads."""

    reason: str

    def __repr__(self) -> str:
        return f"a value that cannot be read ({self.reason})"


def short(value: Any, width: int = 60) -> str:
    """The value as Python writes it, cut to a width."""
    try:
        text = repr(value)
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of 5,000 digits
        text = repr(Unreadable(why(error)))
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    """Decoded lines with their numbers; undecodable bytes are replaced by marks."""
    with path.open("rb") as file:
        if file.read(2) in UTF_16:  # as spreadsheets save "Unicode text"
            with path.open(encoding="utf-16", errors="replace") as text:
                yield from enumerate(text, 1)
            return
        file.seek(0)
        for number, raw in enumerate(file, 1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                faults.add_once(number, "not UTF-8; save the file as UTF-8")
                yield number, raw.decode("utf-8", errors="replace")


def _read_jsonl(path: Path, faults: Faults, _accept: Accept) -> Iterator[Row]:
    for number, line in _lines(path, faults):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (RecursionError, ValueError) as error:
            faults.add(number, f"not valid JSON ({why(error)}): {short(line.strip())}")
            continue
        if not isinstance(row, dict):
            faults.add(number, f"{short(row)}: expected a JSON object")
            continue
        yield number, row


def _read_csv(path: Path, faults: Faults, accept: Accept) -> Iterator[Row]:
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        lines = (line for _, line in _lines(path, faults))
        top = next(lines, "")
        reader = csv.reader(chain([top], lines), delimiter=separator(top), strict=True)
        header: list[str] = []
        started = 1
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:  # the rest cannot be split into rows
                faults.add(started, f"not valid CSV ({error})")
                return
            if cells is None:
                return
            if cells and not header:
                header = [cell.strip() for cell in cells]
                if not _differ(started, header, faults) or not accept(started, header):
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


def separator(header: str) -> str:
    """What divides the fields of a header: the separator that occurs most often in it."""
    return max(SEPARATORS, key=header.count)


def _read_parquet(path: Path, faults: Faults, accept: Accept) -> Iterator[Row]:
    import pyarrow.parquet  # noqa: PLC0415  (a second to import)

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except ValueError as error:  # includes pyarrow's own
        faults.add(0, f"not a parquet file ({error})")
        return
    with file:
        header = file.schema_arrow.names
        if not _differ(0, header, faults) or not accept(0, header):
            return
        number = 0
        for batch in file.iter_batches(batch_size=4096):
            columns = [_values(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                number += 1
                yield number, dict(zip(header, values, strict=True))


def _values(column: Any) -> list[Any]:
    """The values of a parquet column; `Unreadable` for what Python cannot hold, as some dates."""
    try:
        values: list[Any] = column.to_pylist()
    except Exception:  # any of pyarrow's, by the type of the column; then one by one
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except Exception as error:  # any of pyarrow's
        return Unreadable(why(error))


def _differ(line: int, header: Sequence[str], faults: Faults) -> bool:
    twice = {column: n for column, n in Counter(header).items() if n > 1}
    for column, n in twice.items():
        faults.add(line, f"column {column!r} is there {n} times")
    return not twice


def rows_of(path: Path, faults: Faults, accept: Accept) -> Iterator[Row]:
    """The rows of a file by their line numbers, until it ends or cannot be read on.

    The one border of foreign files: whatever a reader's library raises is a fault of the file.

    Raises:
        OSError: If the file cannot be opened or read.
    """
    line = 0
    try:
        for line, row in READERS[path.suffix.lower()](path, faults, accept):
            yield line, row
    except OSError:
        raise
    except Exception as error:  # of a library, on a file that is none
        faults.add(line and line + 1, f"cannot be read ({why(error)})")


READERS: dict[str, Callable[[Path, Faults, Accept], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
