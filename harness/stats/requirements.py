"""From an interval to held, failed or undecided; and what a run of many such decisions risks."""

import math
from collections.abc import Iterable
from enum import StrEnum

ABOVE, BELOW = (">", ">="), ("<", "<=")


class Decision(StrEnum):
    """What an interval says about a requirement."""

    HELD = "held"
    FAILED = "failed"
    UNDECIDED = "undecided"


def decided(low: float, high: float, threshold: float, relation: str) -> Decision:
    """Whether all of an interval, none of it or a part of it meets a requirement.

    An interval that reaches across the threshold leaves the requirement undecided, however near
    its middle is to one side. nan at either end is undecided.

    Args:
        low: Lower end of the effect's interval; minus infinity for a one-sided interval.
        high: Upper end; infinity likewise.
        threshold: What the effect is held against.
        relation: How it must stand to the threshold: ">", ">=", "<" or "<=".

    Raises:
        ValueError: If the relation is none of these, low is above high, or threshold is nan.
    """
    if relation not in ABOVE + BELOW:
        raise ValueError(f"relation is {relation!r}; expected one of {ABOVE + BELOW}.")
    if math.isnan(threshold) or low > high:
        raise ValueError(
            f"interval {low} to {high} against {threshold}; expected a lower end no larger than "
            "the upper one, and a threshold that is a number."
        )
    if math.isnan(low) or math.isnan(high):
        return Decision.UNDECIDED
    if relation in BELOW:
        low, high, threshold = -high, -low, -threshold
    strict = len(relation) == 1
    if low > threshold or (low == threshold and not strict):
        return Decision.HELD
    if high < threshold or (high == threshold and strict):
        return Decision.FAILED
    return Decision.UNDECIDED


def all_decided(decisions: Iterable[Decision]) -> Decision:
    """Failed if any is; else undecided if any is; else held."""
    found = set(decisions)
    if not found:
        raise ValueError("there are no requirements; at least one is needed to decide.")
    for decision in (Decision.FAILED, Decision.UNDECIDED):
        if decision in found:
            return decision
    return Decision.HELD
