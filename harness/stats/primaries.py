"""The primary predictions of a run as one family: correction, and how many false ones to expect."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.stats.corrections import holm

# p-values of a permutation test are multiples of its floor, up to rounding.
_ROUNDING = 1e-9


def holm_over_primaries(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p of each primary prediction, by its name.

    One family for all claims of a run: the chance that any true null among them is rejected at a
    level is at most that level, however the tests depend on each other.

    Args:
        p: p-value of each primary prediction, 0 to 1; none of them may be left out after looking.

    Raises:
        ValueError: If a p-value is not between 0 and 1.

    Source: Holm 1979.
    """
    wrong = {name: value for name, value in p.items() if not 0 <= value <= 1}
    if wrong:
        name, value = next(iter(wrong.items()))
        raise ValueError(f"p of {name!r} is {value}; expected a number between 0 and 1.")
    if not p:
        return {}
    adjusted = holm(np.array(list(p.values())))
    return dict(zip(p, adjusted.tolist(), strict=True))


def expected_false_supports(alphas: Sequence[float], floors: Sequence[float | None]) -> float:
    """How many of a run's tests reject on average if every null is true, without a correction.

    A test of p-values floor, 2 floor, ... rejects with the largest of them up to alpha, which is
    0 where the floor is above alpha; a test without a floor rejects with alpha. It is an upper
    bound on false supports: a verdict may require more than its test.

    Args:
        alphas: Level of each test.
        floors: Smallest p of each; None if p is continuous.
    """
    rates = []
    for alpha, floor in zip(alphas, floors, strict=True):
        if not 0 < alpha < 1 or (floor is not None and not 0 < floor <= 1):
            raise ValueError(f"alpha {alpha} with floor {floor}; expected numbers between 0 and 1.")
        rates.append(alpha if floor is None else int(alpha / floor + _ROUNDING) * floor)
    return float(sum(rates))
