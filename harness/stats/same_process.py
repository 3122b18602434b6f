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
        threshold: What it has to exceed: their 95th percentile, or with fewer than `ENOUGH` of
            them the largest.
        p: (1 + contrasts as large as the value) / (1 + contrasts).
    """

    threshold: float
    p: float


def beyond_same_process(
    value: float, null_values: Float[np.ndarray, " contrast"]
) -> BeyondSameProcess:
    """What a claim's number has to exceed, and where it ranks among same-process contrasts.

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
    return BeyondSameProcess(float(np.max(null_values)) if few else found.quantile, found.p)
