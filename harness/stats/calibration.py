"""Is the instrument calibrated: uniform p-values, error rates with intervals, scaled counts."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv


@dataclass(frozen=True, slots=True)
class Uniformity:
    """Kolmogorov-Smirnov distances of p-values from the uniform distribution.

    Attributes:
        statistic: Largest distance either way.
        p: Of that distance, two-sided.
        excess: Largest excess of small p-values: how far the test claims too much.
        p_excess: Of that excess, one-sided; small means anti-conservative.
        n: Number of p-values.
    """

    statistic: float
    p: float
    excess: float
    p_excess: float
    n: int


def uniformity(p_values: Float[np.ndarray, " test"], levels: int | None = None) -> Uniformity:
    """Whether independent p-values look uniform, as they must where nothing is to be found.

    A permutation test gives only 1/levels, 2/levels, ... 1, and is uniform on these: compared
    with a continuous uniform it would be rejected for its steps. With `levels` the distance is
    taken on those steps alone; the p-value is then a little conservative.

    Args:
        p_values: Independent of each other (cells of one network are not).
        levels: Attainable values, permutations + 1 or `round(1 / floor)`; None if continuous.

    Raises:
        ValueError: If there are fewer than 8, one is outside 0 to 1, or off the steps.
    """
    from scipy.stats import ksone, kstwo  # noqa: PLC0415  (half a second to import)

    p = np.sort(np.asarray(p_values, dtype=np.float64).ravel())
    if len(p) < 8 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"{len(p)} p-values between {p.min(initial=1)} and {p.max(initial=0)}; expected 8 or "
            "more between 0 and 1."
        )
    if levels is None:
        above = (np.arange(1, len(p) + 1) / len(p) - p).max()
        below = (p - np.arange(len(p)) / len(p)).max()
    else:
        steps = p * levels
        if levels < 1 or np.abs(steps - np.round(steps)).max() > 1e-6 or steps[0] < 0.5:
            raise ValueError(f"not every p-value is a multiple of 1/{levels} above 0.")
        counts = np.bincount(np.round(steps).astype(int), minlength=levels + 1)
        gap = np.cumsum(counts) / len(p) - np.arange(levels + 1) / levels
        above, below = gap.max(), -gap.min()
    excess, statistic = max(float(above), 0.0), max(float(above), float(below), 0.0)
    return Uniformity(
        statistic=statistic,
        p=float(kstwo.sf(statistic, len(p))),
        excess=excess,
        p_excess=float(ksone.sf(excess, len(p))),
        n=len(p),
    )


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a rate: covers at least at `level`, for any n.

    Raises:
        ValueError: If there are no trials or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials or not 0 < level < 1:
        raise ValueError(
            f"{successes} successes in {trials} trials at level {level}; expected at least one "
            "trial, no more successes than trials, and a level between 0 and 1."
        )
    tail = (1 - level) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def jeffreys_interval(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Jeffreys' interval of a rate: covers at `level` on average, where the exact one covers more.

    Source: Brown, Cai and DasGupta 2001.

    Args:
        successes: May be no whole number, as a mean of rates times `trials` is.
        trials: At least one.
        level: Between 0 and 1.
    """
    tail = (1 - level) / 2
    both = successes + 0.5, trials - successes + 0.5
    low = float(betaincinv(*both, tail)) if successes > 0 else 0.0
    return low, float(betaincinv(*both, 1 - tail)) if successes < trials else 1.0


def scaled_count(published: int, published_total: int, total: int) -> int:
    """A published count in proportion to another model's size, rounded up, at least 1.

    20 of 784 heads are 1 of 16; 5 of 28 layers are 1 of 4.
    """
    if not 0 <= published <= published_total or published_total < 1 or total < 1:
        raise ValueError(
            f"{published} of {published_total} scaled to {total}; expected positive totals and a "
            "count no larger than its total."
        )
    return max(1, math.ceil(published * total / published_total))
