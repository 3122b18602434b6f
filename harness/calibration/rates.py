"""Shares with exact intervals."""

from typing import Any

from harness import stats


def rate(hits: int, trials: int) -> dict[str, Any]:
    """A share with its exact (Clopper-Pearson) interval; None where there were no trials."""
    if not trials:
        return {"n": 0, "count": 0, "share": None, "interval": None}
    interval = stats.binomial_interval(hits, trials)
    return {"n": trials, "count": hits, "share": hits / trials, "interval": list(interval)}
