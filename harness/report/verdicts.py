"""Verdicts taken together: the word they make up, their order, their criteria."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from harness.verdicts.verdict import Criterion, Outcome

T = TypeVar("T")

CRITERIA = [str(c) for c in Criterion]


def overall(records: Sequence[Mapping[str, Any]]) -> str:
    """One word for several predictions: all must be supported, one refuted is enough to refute."""
    outcomes = {r["outcome"] for r in records}
    ranked = (Outcome.REFUTED, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED, Outcome.SUPPORTED)
    return next((str(o) for o in ranked if o in outcomes), "")


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts h10 after h9."""
    parts = re.findall(r"\d+|\D+", text)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def distinct(values: Iterable[T]) -> list[T]:
    """Each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))
