"""One number compared with those of matched random sets, or with other draws of a null."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.stats.intervals import check_level
from harness.stats.samples import as_sample


@dataclass(frozen=True, slots=True)
class Exceedance:
    """Where a value lies among draws of a null.

    Attributes:
        value: What was measured.
        p: One-sided; small where the value is beyond the draws. A draw equal to it counts
            against it.
        floor: The smallest p that this many draws can give.
        quantile: The draw at `level`, never between two draws.
        level: Of the quantile.
        draws: How many.
    """

    value: float
    p: float
    floor: float
    quantile: float
    level: float
    draws: int


def exceedance(
    value: float, null: Float[np.ndarray, " draw"], *, level: float = 0.95
) -> Exceedance:
    """How often a draw of the null is as large as `value`: (1 + those) / (draws + 1).

    The value counts as one more draw, so p is exact for any number of draws that are
    exchangeable with it. Decide by p: a value above `quantile` has a p of at most
    1 - level + 1 / (draws + 1), because the quantile is one of the draws alone. For the other
    direction negate both.

    Args:
        value: Of the set in question.
        null: Of sets drawn at random and matched to it.
        level: Of the quantile that is also returned, 0 to 1; taken upwards (`method="higher"`).

    Raises:
        ValueError: If there are no draws, level is not between 0 and 1, or a number is not finite.

    Source: Phipson and Smyth 2010, on p-values that must not be zero.
    """
    drawn = as_sample(null, "null", 1)
    check_level(level)
    if not math.isfinite(value):
        raise ValueError(f"value is {value}; expected a finite number, so measure it again.")
    reached = int((drawn >= value).sum())
    return Exceedance(
        value=float(value),
        p=(1 + reached) / (len(drawn) + 1),
        floor=1 / (len(drawn) + 1),
        quantile=float(np.quantile(drawn, level, method="higher")),
        level=level,
        draws=len(drawn),
    )
