"""How parameters are tuned: the numbers of a descent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A descent by steps along the gradient.

    Attributes:
        size: Of the first step, as a share of the length of the parameters it is measured by.
        most: How many, also of those taken back.
        poor: Share of what the gradient promises by which a step must lower the loss; else it is
            taken back, and the next is a quarter as long.
        good: Share after which the next step is twice as long, but never longer than the first.
        left: Share of the first mean logit difference at which the descent ends.

    Source: a trust region (Nocedal and Wright 2006, Numerical Optimization, algorithm 4.1).
    Differs: the step is along the gradient, and one that is poor is never kept.
    """

    size: float
    most: int
    poor: float
    good: float
    left: float
