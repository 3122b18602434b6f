"""Findings of functions that may stop at an unmet gate, and what is judged of them."""

from harness.verdicts.judge import Criterion, Inconclusive, judge


def finding_of(function, *arguments, **named):
    """What the function found, or the gates that it stopped at, as a run sees them."""
    try:
        return function(*arguments, **named)
    except Inconclusive as stop:
        return stop.finding


def outcome(finding):
    return judge(finding, Criterion.CONTROLLED)[0]


def why(finding):
    return judge(finding, Criterion.CONTROLLED)[1]


def evidence(finding, key):
    return next(e for e in finding.evidence if e.key == key)
