"""The border of files that others wrote: prompts, models, caches, earlier runs, calibrations.

Whatever goes wrong with one becomes an error of this project that says which file, what is wrong
with it, what was expected and what to do. `tests/test_border.py` checks that every reader is here.
"""

import json
import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

WHY = 200  # characters of a library's own words
# Control characters but line ends, marks that turn the direction of text, halves of surrogates.
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
LARGEST = 1e300  # of numbers in a record: beyond it, sums and squares end in infinity


class ForeignError(ValueError):
    """A file of others that cannot be used; the message is one sentence with the remedy."""


def printable(text: str) -> str:
    r"""The text with what could steer or break a terminal written as escapes, such as `\x1b`."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def why(error: BaseException) -> str:
    """The reason of an error that a library raised, in a few words."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(getattr(error, "msg", "") or error)
    if text.startswith("Exceeds the limit"):  # Python goes on about its own settings
        return f"a number of more than {sys.get_int_max_str_digits():,} digits"
    return " ".join(text.split())[:WHY] or type(error).__name__


@contextmanager
def border(
    path: Path | str, expected: str, remedy: str, kind: type[ForeignError] = ForeignError
) -> Iterator[None]:
    """Turn any failure while a file is read into the project's own error.

    Args:
        path: The file.
        expected: What it should be, such as "a table of samples".
        remedy: What to do, as an imperative.
        kind: The error to raise; what already is one of ours keeps its message.
    """
    try:
        yield
    except kind:
        raise
    except ForeignError as error:
        raise kind(str(error)) from error
    except Exception as error:
        raise kind(f"{path} is not {expected}: {why(error)}; {remedy}.") from error


def json_at(path: Path, expected: str, remedy: str, kind: type[ForeignError] = ForeignError) -> Any:
    """The content of a JSON file.

    Raises:
        ForeignError: Of this kind, if it cannot be read or is not JSON.
    """
    with border(path, expected, remedy, kind):
        return parsed(path.read_bytes())


def parsed(content: bytes | str) -> Any:
    """JSON as others write it: numbers may be infinite or not-a-number.

    Raises:
        ValueError: If it is none; says so.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({why(error)})") from error


def strictly_parsed(content: str) -> Any:
    """JSON as this suite writes it: finite numbers, and text that can be written again.

    Raises:
        ValueError: If it is none; says what is wrong.
    """
    try:
        value = json.loads(
            content, parse_constant=_no_number, parse_float=_finite, parse_int=_bounded
        )
        if "\\ud" in content.lower():  # half a surrogate can be read and never written
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({why(error)})") from error
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not abs(number) <= LARGEST:
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _bounded(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST:
        raise ValueError(f"the number {text[:20]}... is too large")
    return number


def table_at(
    path: Path,
    numbers: Mapping[str, bool],
    texts: tuple[str, ...],
    expected: str,
    remedy: str,
    infinite: Collection[str] = (),
    added: Mapping[str, str] | None = None,
) -> "pd.DataFrame":
    """Columns of a parquet file, texts as categories.

    Args:
        path: The file.
        numbers: The columns that hold numbers (or truth values), and whether each must be finite;
            gaps in one that need not be are not-a-number.
        texts: Those that hold text.
        expected: What the file should be, such as "a table of samples".
        remedy: What to do, as an imperative.
        infinite: Columns of numbers that may be infinite.
        added: Texts that older files lack, with what each holds for them.

    Raises:
        ForeignError: If it is no such table; names the column.
    """
    with border(path, expected, remedy):
        import pyarrow.parquet  # noqa: PLC0415 - a second to import

        there = pyarrow.parquet.read_schema(path).names
        lacking = {name: text for name, text in (added or {}).items() if name not in there}
        texts = tuple(name for name in texts if name not in lacking)
        for name in (*texts, *numbers):
            if name not in there:
                raise ValueError(f"it has no column {name!r}")
        with pyarrow.parquet.ParquetFile(path, read_dictionary=list(texts)) as file:
            table = file.read(columns=[*texts, *numbers])
        for name, finite in numbers.items():
            if not finite and table.column(name).null_count:
                at = table.schema.get_field_index(name)
                table = table.set_column(at, name, table.column(name).cast("float64"))
        frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
        for name, finite in numbers.items():
            column = frame[name]
            if name in infinite and column.dtype.kind == "f":
                column = column.where(column.abs() != math.inf, 0)
            _check_numbers(column, name, finite)
        for name in texts:
            _check_texts(frame[name], name)
        return frame.assign(**lacking)


def _check_numbers(column: "pd.Series[Any]", name: str, finite: bool) -> None:
    if not len(column):  # a table of nothing has no types
        return
    if column.dtype.kind not in "biuf":
        raise ValueError(f"column {name!r} holds {column.dtype}, expected numbers")
    wrong = ~(column.abs() <= LARGEST) if finite else column.abs().gt(LARGEST)
    if column.dtype.kind == "f" and wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(f"row {row + 1}, column {name!r} is {column.iloc[row]}, expected a number")


def _check_texts(column: "pd.Series[Any]", name: str) -> None:
    categories = column.cat.categories if hasattr(column, "cat") else column
    wrong = [value for value in categories if not isinstance(value, str)]
    if wrong or column.isna().any():
        held = f"{wrong[0]!r:.40}" if wrong else "gaps"
        raise ValueError(f"column {name!r} holds {held}, expected text")
