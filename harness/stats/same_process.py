"""Is a claim's number larger than what questions of one process give."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.stats.exceedance import exceedance

# With fewer contrasts than this, their 95th percentile is their largest anyway.
ENOUGH = 20
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class BeyondSameProcess:
    """A claim's number beside those of contrasts that are no difference of process.

    Attributes:
        value: The claim's.
        threshold: What it has to exceed: their 95th percentile, or with fewer than `ENOUGH` of
            them the largest.
        exceeds: Whether it does; a value equal to the threshold does not.
        p: (1 + contrasts as large as the value) / (1 + contrasts).
        floor: The smallest p that so many contrasts can give.
        contrasts: How many.
    """

    value: float
    threshold: float
    exceeds: bool
    p: float
    floor: float
    contrasts: int


def beyond_same_process(
    value: float, null_values: Float[np.ndarray, " contrast"]
) -> BeyondSameProcess:
    """Whether a claim's number exceeds those of same-process contrasts.

    Pairs of relations share relations, so their contrasts depend on each other: p says where the
    value ranks and is no exact test.

    Args:
        value: The claim's statistic; larger means more of an effect.
        null_values: The same statistic of each same-process contrast.

    Raises:
        ValueError: If there are no contrasts, or a number is not finite.
    """
    found = exceedance(value, null_values, level=LEVEL)
    few = found.draws < ENOUGH
    threshold = float(np.max(null_values)) if few else found.quantile
    return BeyondSameProcess(
        value=found.value,
        threshold=threshold,
        exceeds=found.value > threshold,
        p=found.p,
        floor=found.floor,
        contrasts=found.draws,
    )
