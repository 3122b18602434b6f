"""What every bootstrap shares: how often units are drawn, and the interval of the results."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri, stdtrit


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its BCa bootstrap interval at `level`."""

    value: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]
    level: float
    resamples: int


def resample_weights(units: int, resamples: int, seed: int) -> Float[np.ndarray, "resample unit"]:
    """How often each unit is drawn; rows sum to `units`."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; at least 1 is needed.")
    drawn = np.random.default_rng(seed).integers(0, units, (resamples, units))
    flat = drawn + np.arange(resamples)[:, None] * units
    counts = np.bincount(flat.ravel(), minlength=resamples * units)
    return counts.reshape(resamples, units).astype(np.float64)


def check_level(level: float) -> None:
    """Check that a level lies between 0 and 1; 95 is refused."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95.")


def student_quantile(share: float, degrees: int) -> float:
    """The value that Student's t stays below in this share of cases; as `scipy.stats.t.ppf`."""
    return float(stdtrit(degrees, share))


def bca(
    value: Float[np.ndarray, " cell"],
    drawn: Float[np.ndarray, "resample cell"],
    left_out: Float[np.ndarray, "unit cell"],
    level: float,
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """Bias-corrected accelerated interval (Efron 1987), as in `scipy.stats.bootstrap`.

    Differs: where all resamples lie on one side of the value, scipy gives nan; here the share
    is taken half a resample from the end. A resample that is nan though the value is not could
    have had any value: it counts as below everything for the lower end, above everything for
    the upper one and half to each side for the bias, so the interval widens. Where the value
    is nan, so is the interval.
    """
    resamples = len(drawn)
    ordered = np.sort(drawn, axis=0)
    unknown = np.isnan(drawn) & ~np.isnan(value)
    with np.errstate(invalid="ignore"):
        # A resample equal to the sample must count as equal, not fall to a side by rounding.
        slack = 1e-9 * (ordered[3 * resamples // 4] - ordered[resamples // 4])
        equal = (drawn == value) | (np.abs(drawn - value) <= slack) | unknown
        influence = left_out.mean(axis=0) - left_out
    below = (((drawn < value) & ~equal).sum(axis=0) + equal.sum(axis=0) / 2) / resamples
    bias = ndtri(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    squares = np.square(influence).sum(axis=0)
    acceleration = np.zeros_like(value)
    cubes = np.power(influence, 3).sum(axis=0)
    usable = (squares > 0) & np.isfinite(squares)
    np.divide(cubes, 6 * np.power(squares, 1.5), out=acceleration, where=usable)
    tail = ndtri((1 - level) / 2)
    bounds = []
    for z in (tail, -tail):
        if unknown.any():
            ordered = np.sort(np.where(unknown, np.copysign(np.inf, z), drawn), axis=0)
        at = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
        bounds.append(_quantile(ordered, at))
    undefined = np.isnan(value)
    return np.where(undefined, np.nan, bounds[0]), np.where(undefined, np.nan, bounds[1])


def _quantile(
    ordered: Float[np.ndarray, "resample cell"], at: Float[np.ndarray, " cell"]
) -> Float[np.ndarray, " cell"]:
    """Linear quantile of each sorted column, each at its own level.

    Between a finite and an infinite value it is the infinite one.
    """
    place = at * (len(ordered) - 1)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, len(ordered) - 1)
    column = np.arange(ordered.shape[1])
    below, above = ordered[lower, column], ordered[upper, column]
    share = place - lower
    with np.errstate(invalid="ignore"):
        between = below + share * (above - below)
    between = np.where(np.isneginf(below) & np.isfinite(above), below, between)
    return np.asarray(np.where((below == above) | (share == 0), below, between))
