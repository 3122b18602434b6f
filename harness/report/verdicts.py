"""Verdicts taken together: the word they make up, their order, their criteria."""

import re
from collections.abc import Iterable
from typing import TypeVar

from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.verdict import Verdict

T = TypeVar("T")
GRADE = re.compile(r"evidence of grade (\w+)")

CRITERIA = [str(c) for c in Criterion]


def overall(outcomes: Iterable[str | None]) -> str:
    """One word for several predictions: all must be supported, one refuted is enough to refute."""
    found = set(outcomes)
    ranked = (Outcome.REFUTED, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED, Outcome.SUPPORTED)
    return next((str(o) for o in ranked if o in found), "")


def beside(record: Verdict) -> list[str]:
    """What stands beside the deciding number: how easily the rule passes, and the grade."""
    said = [note for note in record.notes if note.startswith("severity:")]
    severity = record.evidence_of("severity")
    if severity is not None and severity.effect.known and severity.n:
        passed = round(severity.effect.value * severity.n)
        said.append(f"severity: {passed} of {severity.n} same-process contrasts pass the same rule")
    grades = [GRADE.match(note) for note in record.notes]
    return [*said, *dict.fromkeys(f"grade {grade[1]}" for grade in grades if grade)]


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts h10 after h9."""
    parts = re.findall(r"\d+|\D+", text)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def distinct(values: Iterable[T]) -> list[T]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))
