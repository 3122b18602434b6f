"""Verdicts taken together: the word they make up, their order, their criteria."""

import re
from collections.abc import Iterable
from typing import TypeVar

from harness.verdicts.judge import Criterion, Outcome

T = TypeVar("T")

CRITERIA = [str(c) for c in Criterion]


def overall(outcomes: Iterable[str | None]) -> str:
    """One word for several predictions: all must be supported, one refuted is enough to refute."""
    found = set(outcomes)
    ranked = (Outcome.REFUTED, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED, Outcome.SUPPORTED)
    return next((str(o) for o in ranked if o in found), "")


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts h10 after h9."""
    parts = re.findall(r"\d+|\D+", text)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def distinct(values: Iterable[T]) -> list[T]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))
