"""How parameters are tuned: the numbers of a descent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A descent by steps along the gradient.

    Attributes:
        size: Of the first step, as a share of the length of the parameters it is measured by.
        most: How many, also of those taken back.
        promised: Share of what the gradient promises that a step lowers the loss by, at least; else
            it is taken back, and those after it are half as long. Half is where a parabola is
            lowest: a step that keeps less of the promise went past that.
        left: Share of the first mean logit difference at which the descent ends.
    """

    size: float
    most: int
    promised: float
    left: float
