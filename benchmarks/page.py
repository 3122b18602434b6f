"""Sections of docs/results.md and the README that are made by code, between marks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
PAGE = README.parent / "docs" / "results.md"
END = "<!-- end -->"


def put_between(start: str, section: str, page: Path | None = None) -> None:
    """Write a section between its mark and the next end.

    Raises:
        ValueError: If the page has no such place.
    """
    page = page or PAGE
    before, rest = _around(start, page)
    page.write_text(f"{before}{start}\n{section}\n{END}{rest[1]}", encoding="utf-8")


def between(start: str, page: Path | None = None) -> str:
    """The section that stands there now."""
    return _around(start, page or PAGE)[1][0].strip()


def _around(start: str, page: Path) -> tuple[str, tuple[str, str]]:
    before, found, rest = page.read_text(encoding="utf-8").partition(start)
    section, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f"{page} has no place for the section: expected {start!r} and {END!r}.")
    return before, (section, after)


def table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; empty without rows."""
    lines = [_line(heads), _line(["---"] * len(heads)), *map(_line, rows)]
    return "\n".join(lines) if len(lines) > 2 else ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '∣').replace(chr(10), ' ') for cell in cells)} |"
