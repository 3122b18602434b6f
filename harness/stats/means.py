"""Bootstrap of anything that is computed from means over units."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from harness.stats.cells import as_cells, chunks, one_blas_thread
from harness.stats.intervals import Estimate, bca, check_level, resample_weights

# Of the resamples asked for, so many must have a value in every cell.
LEAST_SHARE = 0.5


def bootstrap_of_means(
    values: Float[np.ndarray, "unit ..."],
    function: Callable[[Float[np.ndarray, "row ..."]], Float[np.ndarray, "row ..."]],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A function of cell means with a BCa interval, units resampled whole across all cells.

    The value is the function of the means, not a mean of the function over units: a ratio of
    means, a centroid over layers, an interaction contrast, with whatever the cells of a unit
    share kept out of the interval.

    nan marks a cell without a value for that unit. Each cell's mean is taken over the units
    that have one, in the sample, in every resample and with each unit left out. A unit without
    any value is no unit. A resample in which some cell has no value at all is set aside;
    `Estimate.resamples` says how many were used. Which values are missing must not depend on
    what is compared: means over different units differ for that alone.

    With few units the interval is too narrow, as any bootstrap's: at 95%, a difference of
    centroids that was zero lay outside it in 9% of simulations with 20 units, 7% with 40 and 5%
    with 160. Where the function is linear and nothing is missing, `sign_flip_max` of its value
    for each unit needs no such allowance.

    Args:
        values: Any cells; the interval of each output uses all of them.
        function: From means with rows on axis 0 to results with the same rows and any shape
            after that, each row by itself; it may be called with any number of rows. Where it
            gives nan on a resample, that one widens the interval (see `bca`); where it gives
            nan on the sample, the output is nan. Division by zero in it warns of nothing.
        resamples: How many to draw.
        level: Of the interval.
        seed: Of the draws.

    Returns:
        An `Estimate` with the shape the function gives to a row.

    Raises:
        ValueError: If a value is infinite, a cell has values for fewer than two units, fewer
            than half the resamples have a value in every cell, or the function keeps no rows.
    """
    check_level(level)
    matrix, available = _available(values)
    weights = resample_weights(len(matrix), resamples, seed)
    anchor = matrix[available.argmax(axis=0), np.arange(matrix.shape[1])]
    filled = np.where(available, matrix - anchor, 0)
    counted = available.astype(np.float64)
    with one_blas_thread():
        complete = ((weights @ counted) > 0).all(axis=1)
        if complete.mean() < LEAST_SHARE:
            raise ValueError(
                f"{complete.sum()} of {resamples} resamples have a value in every cell; values are "
                "too sparse for an interval, so add items or leave the sparsest cells out."
            )

        def of(rows: Float[np.ndarray, "row unit"]) -> Float[np.ndarray, "row ..."]:
            means = anchor + (rows @ filled) / (rows @ counted)
            return _checked(function, means.reshape(len(rows), *np.shape(values)[1:]))

        def of_all(rows: Float[np.ndarray, "row unit"]) -> Float[np.ndarray, "row ..."]:
            return np.concatenate([of(rows[part]) for part in chunks(len(rows), matrix.shape[1])])

        value = np.asarray(of(np.ones((1, len(matrix))))[0])
        drawn, left_out = of_all(weights[complete]), of_all(1 - np.eye(len(matrix)))
    low, high = bca(
        value.ravel(), drawn.reshape(len(drawn), -1), left_out.reshape(len(left_out), -1), level
    )
    return Estimate(value, low.reshape(value.shape), high.reshape(value.shape), level, len(drawn))


def _available(
    values: Float[np.ndarray, "unit ..."],
) -> tuple[Float[np.ndarray, "unit cell"], Bool[np.ndarray, "unit cell"]]:
    """Units that have a value in any cell, in float64, and where they have one."""
    array = np.asarray(values, dtype=np.float64)
    missing = np.isnan(array)
    as_cells(np.where(missing, 0, array), "values", 2)  # refuses infinity and a single unit
    available = ~missing.reshape(len(array), -1)
    sparse = np.flatnonzero(available.sum(axis=0) < 2)
    if sparse.size:
        index = tuple(int(i) for i in np.unravel_index(sparse[0], array.shape[1:]))
        raise ValueError(
            f"values has {available[:, sparse[0]].sum()} units with a value in cell {index}; at "
            "least 2 are needed, so add items or leave that cell out by name."
        )
    present = available.any(axis=1)
    return array.reshape(len(array), -1)[present], available[present]


def _checked(
    function: Callable[[Float[np.ndarray, "row ..."]], Float[np.ndarray, "row ..."]],
    means: Float[np.ndarray, "row ..."],
) -> Float[np.ndarray, "row ..."]:
    """The function's result in float64.

    Raises:
        ValueError: If it does not have the rows of the means.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.asarray(function(means), dtype=np.float64)
    if result.ndim == 0 or len(result) != len(means):
        raise ValueError(
            f"function gave shape {result.shape} for means of shape {means.shape}; it must keep "
            "axis 0, a row for each row, so let it sum over the axes after that."
        )
    return result
