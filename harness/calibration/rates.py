"""Shares with exact intervals, and counts of several together."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness import stats


def rate(hits: int, trials: int) -> dict[str, Any]:
    """A share with its exact (Clopper-Pearson) interval; None where there were no trials."""
    if not trials:
        return {"n": 0, "count": 0, "share": None, "interval": None}
    interval = stats.binomial_interval(hits, trials)
    return {"n": trials, "count": hits, "share": hits / trials, "interval": list(interval)}


def counted(entries: Sequence[Mapping[str, Any]]) -> tuple[int, int, int]:
    """Errors, draws that decided, and all draws, of all entries of the record together."""
    of_all = [entry["of_all"] for entry in entries]
    return (
        sum(entry["count"] for entry in of_all),
        sum(entry["n"] for entry in entries),
        sum(entry["n"] for entry in of_all),
    )
