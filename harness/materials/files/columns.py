"""Names of columns in prompt files: ours, obvious synonyms, or those that the user gives."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from harness.materials.files.parsing import Faults
from harness.materials.items import MaterialsError

REQUIRED = ("prompt", "task")
CELL = ("relation", "source", "steps")  # what is asked, where the answer is, steps to it
TEXTS = (
    *("subject", "domain", "pair", "template", "question", "split", "id"),
    *("relation", "source"),
)
LISTS = ("distractors", "premises")
CHOICES = ("answer", "options", "answer_index")
COLUMNS = (*REQUIRED, *TEXTS, *CHOICES, *LISTS, "score", "steps")
LETTERS = "abcdefghij"  # columns that hold an option each, as in MMLU
# Understood where a file has no column of our name; case and spaces do not matter.
PUBLISHED_SCORE = "memory_reason_score"  # of the public labelled sets: 1 is reasoning only
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "task": ("label", "type", "class"),
    "options": ("choices", *(f"a_to_{last}" for last in LETTERS[1:])),
    "answer_index": ("answer_idx",),
    "domain": ("category", "topic"),
    "id": ("question_id",),
    "score": (PUBLISHED_SCORE,),
}
# Other names of our tasks in the task column, in lower case.
LABELS: Mapping[str, str] = {
    "recall": "recall",
    "memory": "recall",
    "memorization": "recall",
    "memorisation": "recall",
    "reasoning": "reasoning",
}
MISSPELT = 0.8  # similarity to one of our columns that is missing
OPTION = "--prompt-columns"


def parse_columns(given: Iterable[str]) -> dict[str, str]:
    """Our column names to a file's, from texts such as `task=label,options=choices`.

    An empty name (`id=`) means that the file has no such column, whatever its columns are called.

    Raises:
        MaterialsError: If a text is no such pair, or names a column that we do not have.
    """
    columns: dict[str, str] = {}
    for text in given:
        for part in re.split(r",(?=\s*\w+\s*=)", text):
            ours, sign, theirs = (piece.strip() for piece in part.partition("="))
            if not sign:
                raise MaterialsError(
                    f"{OPTION} {part.strip()!r}: expected OURS=THEIRS, such as task=label."
                )
            if ours not in COLUMNS:
                near = difflib.get_close_matches(ours.lower(), COLUMNS, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}" if near else f"expected {', '.join(COLUMNS)}"
                raise MaterialsError(
                    f"{OPTION} {part.strip()!r}: {ours!r} is none of our columns; {hint}."
                )
            if columns.setdefault(ours, theirs) != theirs:
                raise MaterialsError(
                    f"{OPTION} names two columns for {ours}, {columns[ours]!r} and {theirs!r}: "
                    "expected one."
                )
    return columns


@dataclass(slots=True)
class Names:
    """The columns of one file, as its rows show them.

    Attributes:
        given: Our names to theirs, given by the user.
        used: Our names to theirs, as found so far.
        unread: Columns that are not understood, in order of appearance, each with the column of
            ours that is missing and sounds like it, or nothing.
        labels: Values of the task column, and the tasks that they were understood as.
        other_sources: Values of the source column that say no source of ours.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    other_sources: dict[str, None] = field(default_factory=dict)
    _layouts: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)

    def layout(self, line: int, keys: tuple[str, ...], faults: Faults) -> Mapping[str, str]:
        """Our names to theirs for rows with these columns; each column's faults are noted once."""
        if keys in self._layouts:
            return self._layouts[keys]
        found = self._layouts[keys] = self._found(line, keys, faults)
        self.used |= found
        for key in keys:
            if key in found.values() or key in self._named:
                continue
            self._named.add(key)
            absent = [c for c in COLUMNS if c not in {*found, *self.given, *CELL}]
            absent += OTHER_NAMES["task"] if "task" in absent else ()
            if near := _alike(key, absent):
                faults.add(line, f"unknown column {key!r}; did you mean {near[0]!r}?")
            cell = [c for c in CELL if c not in {*found, *self.given}]
            self.unread[key] = "".join(_alike(key, cell))
        return found

    def accept(self, line: int, header: Sequence[str], faults: Faults) -> bool:
        """Whether rows under this header can be read; if not, faults are noted."""
        before = faults.count
        found = self.layout(line, tuple(header), faults)
        self.complete(faults)
        if faults.count > before and self.given:
            return False
        if "prompt" not in found and "question" not in found:
            faults.add(line, "no column 'prompt' or 'question'" + named_instead("prompt"))
        if "task" not in found and not has_published_score(found):
            faults.add(line, "no column 'task'" + named_instead("task"))
        return faults.count == before

    def complete(self, faults: Faults) -> None:
        """Note columns that the user gave and that never occurred."""
        seen = dict.fromkeys(key for keys in self._layouts for key in keys)
        for ours, theirs in self.given.items():
            if theirs and seen and theirs not in seen:
                near = difflib.get_close_matches(theirs, seen, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(seen)}"
                faults.add(0, f"no column {theirs!r}, which {OPTION} names for {ours}; {hint}")

    def _found(self, line: int, keys: Sequence[str], faults: Faults) -> dict[str, str]:
        taken = set(self.given.values())
        free = {_plain(key): key for key in keys if key not in taken}
        free |= {
            key: key for key in keys if key not in taken
        }  # an exact name has priority over a similar one
        found = {ours: theirs for ours, theirs in self.given.items() if theirs and theirs in keys}
        for ours in COLUMNS:
            if ours in self.given:
                continue
            if ours in free:
                found[ours] = free[ours]
                continue
            if ours == "domain" and "subject" in free:  # the more specific of the two
                continue
            others = [free[name] for name in OTHER_NAMES.get(ours, ()) if name in free]
            if ours == "task" and len(others) > 1:
                both = " and ".join(repr(other) for other in others)
                if not any(other in self._named for other in others):
                    faults.add(
                        line, f"columns {both} could each be the task; say {OPTION} task=..."
                    )
                self._named |= set(others)
            elif others:
                found[ours] = others[0]
        return found


def named_instead(ours: str) -> str:
    """What to do where a column is missing, the end of a sentence."""
    return f": if it has another name, say {OPTION} {ours}=NAME"


def lettered_columns(keys: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The columns A, B, C, ... of a row that has its options in them; empty if it has not.

    Args:
        keys: Columns of the row.
        given: Our names to theirs, given by the user.
    """
    plain = {_plain(key): key for key in keys}
    found = list(takewhile(bool, (plain.get(letter, "") for letter in LETTERS)))
    known = {*plain, *given}
    listed = known & {"distractors", "options", *OTHER_NAMES["options"]}
    answered = known & {"answer", "answer_index", *OTHER_NAMES["answer_index"]}
    taken = set(given.values()) & set(found)
    return found if len(found) > 1 and answered and not listed and not taken else []


def with_options(row: Mapping[str, Any], lettered: Sequence[str]) -> dict[str, Any]:
    """The row with its lettered columns in one, `A to D`; empty ones at the end are no options."""
    options = [row[column] for column in lettered]
    while options and options[-1] in (None, ""):
        options.pop()
    rest = {key: value for key, value in row.items() if key not in lettered}
    return {**rest, f"{lettered[0]} to {lettered[-1]}": options}


def has_published_score(layout: Mapping[str, str]) -> bool:
    """Whether `score` is that of the public labelled sets, where 0.5 divides the tasks."""
    return _plain(layout.get("score", "")) == PUBLISHED_SCORE


def _alike(key: str, ours: Sequence[str]) -> list[str]:
    """Which of our columns a column may be a misspelling of: one or none."""
    return difflib.get_close_matches(_plain(key), ours, n=1, cutoff=MISSPELT)


def _plain(column: str) -> str:
    return column.strip().lower().replace(" ", "_")
