"""Bootstrap over units (pairs): intervals of means and effect sizes.

A resample is a row of weights, how often each unit was drawn; a statistic of moments is then a
few matrix products for all resamples and cells at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from harness.stats.cells import as_cells, chunks, one_blas_thread, pair_indices
from harness.stats.intervals import Estimate, bca, check_level, resample_weights

# On a cell scaled to unit variance: below this, a resample's variance is rounding.
NO_VARIANCE = 1e-6


def bootstrap_mean(
    values: Float[np.ndarray, "unit ..."],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean over units with a bias-corrected accelerated (BCa) interval, per cell.

    Differences of paired conditions go in as differences. Draws are those of
    `scipy.stats.bootstrap` for a generator of the same seed.
    """
    matrix = as_cells(values, "values", 2)
    weights = resample_weights(len(matrix), resamples, seed)

    def statistic(cells: slice) -> Callable[[np.ndarray], np.ndarray]:
        part = matrix[:, cells].astype(np.float64)
        anchor = part[0].copy()
        part -= anchor
        return lambda rows: anchor + rows @ part / rows.sum(axis=1, keepdims=True)

    return _estimate(statistic, weights, matrix.shape[1], np.shape(values)[1:], level)


def bootstrap_d(
    values: Float[np.ndarray, "prompt ..."],
    treated: Int[np.ndarray, "pair k"],
    control: Int[np.ndarray, "pair k"],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """`crossed_d` with a BCa interval, pairs resampled whole, per cell.

    Mean contrast and SD are both computed again on every resample. A resample without any
    spread counts as infinite with the sign of its contrast (zero without one); a constant cell
    is nan throughout.
    """
    first, second = pair_indices(values, treated, control, 3)
    matrix = as_cells(values, "values", 2)
    weights = resample_weights(len(first), resamples, seed)

    def statistic(cells: slice) -> Callable[[np.ndarray], np.ndarray]:
        moments = _moments(matrix[:, cells].astype(np.float64), first, second)
        return lambda rows: _d(rows, moments)

    return _estimate(statistic, weights, matrix.shape[1], np.shape(values)[1:], level)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Sums over each pair's prompts, of values centred and scaled to unit variance by cell."""

    treated: Float[np.ndarray, "pair cell"]
    control: Float[np.ndarray, "pair cell"]
    squares: Float[np.ndarray, "pair cell"]
    treated_each: int
    control_each: int
    constant: Bool[np.ndarray, " cell"]


def _moments(
    part: Float[np.ndarray, "prompt cell"],
    first: Int[np.ndarray, "pair k1"],
    second: Int[np.ndarray, "pair k2"],
) -> _Moments:
    """First and second moments by pair."""
    used = np.concatenate([first.ravel(), second.ravel()])
    constant = part[used].max(axis=0) == part[used].min(axis=0)
    centred = part - part[used].mean(axis=0)
    sd = centred[used].std(axis=0)
    sd[constant | (sd == 0)] = 1
    centred /= sd
    one, two = centred[first], centred[second]
    return _Moments(
        treated=one.sum(axis=1),
        control=two.sum(axis=1),
        squares=np.square(one).sum(axis=1) + np.square(two).sum(axis=1),
        treated_each=first.shape[1],
        control_each=second.shape[1],
        constant=constant,
    )


def _d(weights: Float[np.ndarray, "row pair"], moments: _Moments) -> Float[np.ndarray, "row cell"]:
    """`crossed_d` of every row of weights."""
    drawn = weights.sum(axis=1, keepdims=True)
    n1, n2 = drawn * moments.treated_each, drawn * moments.control_each
    mean1 = weights @ moments.treated / n1
    mean2 = weights @ moments.control / n2
    variance = weights @ moments.squares
    variance -= n1 * np.square(mean1)
    variance -= n2 * np.square(mean2)
    variance /= n1 + n2 - 2
    mean1 -= mean2
    flat = variance < NO_VARIANCE
    variance[flat] = 1
    mean1 /= np.sqrt(variance, out=variance)
    if flat.any():
        small = np.abs(mean1[flat]) < NO_VARIANCE
        mean1[flat] = np.where(small, 0, np.copysign(np.inf, mean1[flat]))
        mean1[:, moments.constant] = np.nan
    return np.asarray(mean1)


def _estimate(
    statistic: Callable[[slice], Callable[[np.ndarray], np.ndarray]],
    weights: Float[np.ndarray, "resample unit"],
    cells: int,
    shape: tuple[int, ...],
    level: float,
) -> Estimate:
    """Value and interval of every cell, a chunk of cells at a time."""
    check_level(level)
    resamples, units = weights.shape
    value, low, high = np.empty((3, cells))
    with one_blas_thread():
        for part in chunks(cells, max(resamples, units)):
            compute = statistic(part)
            value[part] = compute(np.ones((1, units)))[0]
            drawn, left_out = compute(weights), compute(1 - np.eye(units))
            low[part], high[part] = bca(value[part], drawn, left_out, level)
    return Estimate(value.reshape(shape), low.reshape(shape), high.reshape(shape), level, resamples)
