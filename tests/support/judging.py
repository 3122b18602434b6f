"""Findings of functions that may stop at an unmet gate."""

from harness.verdicts.judge import Inconclusive


def finding_of(function, *arguments, **named):
    """What the function found, or the gates that it stopped at, as a run sees them."""
    try:
        return function(*arguments, **named)
    except Inconclusive as stop:
        return stop.finding
