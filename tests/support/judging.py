"""Findings of functions that may stop at an unmet gate, and what is judged of them."""

import re

from harness.verdicts.judge import Criterion, Inconclusive, judge

# What is wrong, or what would help: of no use, and false, where a gate is met.
COMPLAINT = re.compile(
    r"\b(no|not|none|nothing|cannot|too|few|fewer|above alpha|use|give|take|ask more)\b"
)


def finding_of(function, *arguments, **named):
    """What the function found, or the gates that it stopped at, as a run sees them."""
    try:
        finding = function(*arguments, **named)
    except Inconclusive as stop:
        finding = stop.finding
    check_gates(finding.gates)
    return finding


def check_gates(gates):
    """No gate that is met says what is wrong, and each that is unmet says something."""
    false = [g for g in gates if g.met and COMPLAINT.search(g.reason)]
    silent = [g for g in gates if not g.met and not g.reason]
    assert (false, silent) == ([], []), (false, silent)


def outcome(finding):
    return judge(finding, Criterion.CONTROLLED)[0]


def why(finding):
    return judge(finding, Criterion.CONTROLLED)[1]


def evidence(finding, key):
    return next(e for e in finding.evidence if e.key == key)
