"""Effect sizes. All are treated minus control, in standard deviations."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from harness.stats.cells import as_cells, chunks, pair_indices, two_groups


def cohens_d(
    treated: Float[np.ndarray, "n1 ..."], control: Float[np.ndarray, "n2 ..."]
) -> Float[np.ndarray, "..."]:
    """Cohen's d of two independent groups: difference of means over the pooled SD (n - 1).

    If every value is the same, d is undefined and nan (`constant_cells` finds such cells); if
    each group is constant at a different value, d is infinite, with its sign. Nothing is
    clipped: a reset of large values turned 741 heads of one kind into 239 in public code.

    Raises:
        ValueError: If a group has fewer than two prompts, cells differ, a value is not finite.
    """
    first, second, shape = two_groups(treated, control, 2)

    def of_chunk(cells: slice) -> Float[np.ndarray, " cell"]:
        return _standardised(first[:, cells], second[:, cells])

    return _by_chunk(of_chunk, first.shape[1], len(first) + len(second)).reshape(shape)


def hedges_g(
    treated: Float[np.ndarray, "n1 ..."], control: Float[np.ndarray, "n2 ..."]
) -> Float[np.ndarray, "..."]:
    """Cohen's d with Hedges' small-sample correction, 1 - 3 / (4 (n1 + n2) - 9)."""
    return cohens_d(treated, control) * (1 - 3 / (4 * (len(treated) + len(control)) - 9))


def cohens_dz(contrast: Float[np.ndarray, "pair ..."]) -> Float[np.ndarray, "..."]:
    """Mean contrast over the SD of the contrasts (n - 1): how consistent, not how large.

    nan if every contrast is zero, infinite if all have the same other value. It is t over the
    root of the number of pairs; `crossed_d` measures the size.
    """
    matrix = as_cells(contrast, "contrast", 2)

    def of_chunk(cells: slice) -> Float[np.ndarray, " cell"]:
        anchor = matrix[0, cells].astype(np.float64)
        centred = matrix[:, cells] - anchor
        return _ratio(anchor + centred.mean(axis=0), centred.std(axis=0, ddof=1))

    return _by_chunk(of_chunk, matrix.shape[1], len(matrix)).reshape(np.shape(contrast)[1:])


def pair_contrast(
    values: Float[np.ndarray, "prompt ..."],
    treated: Int[np.ndarray, "pair k"],
    control: Int[np.ndarray, "pair k"],
) -> Float[np.ndarray, "pair ..."]:
    """Mean over the treated prompts of each pair minus the mean over its control prompts.

    In a crossed set each pair has two of each (its two orders), so main effects of order and
    label cancel. Dtype of `values`, at least float32.

    Args:
        values: Any features of the prompts.
        treated: Positions of each pair's treated prompts on axis 0 of `values`.
        control: Likewise; a pair may have another number of control prompts than of treated ones.
    """
    first, second = pair_indices(values, treated, control, 1)
    matrix = as_cells(values, "values", 2)
    contrast = np.empty((len(first), matrix.shape[1]), matrix.dtype)
    for cells in chunks(matrix.shape[1], len(matrix)):
        part = matrix[:, cells]
        contrast[:, cells] = part[first].mean(axis=1) - part[second].mean(axis=1)
    return contrast.reshape(len(first), *np.shape(values)[1:])


def pooled_sd(
    values: Float[np.ndarray, "prompt ..."],
    treated: Int[np.ndarray, "pair k"],
    control: Int[np.ndarray, "pair k"],
) -> Float[np.ndarray, "..."]:
    """SD of single prompts within a task (n - 1), pooled over both tasks; 0 for a constant cell."""
    first, second = pair_indices(values, treated, control, 2)
    matrix = as_cells(values, "values", 2)

    def of_chunk(cells: slice) -> Float[np.ndarray, " cell"]:
        part = matrix[:, cells]
        return np.asarray(np.sqrt(_pooled_variance(part[first.ravel()], part[second.ravel()])))

    return _by_chunk(of_chunk, matrix.shape[1], len(matrix)).reshape(np.shape(values)[1:])


def crossed_d(
    values: Float[np.ndarray, "prompt ..."],
    treated: Int[np.ndarray, "pair k"],
    control: Int[np.ndarray, "pair k"],
) -> Float[np.ndarray, "..."]:
    """Mean pair contrast over the pooled SD of single prompts within a task.

    Dividing by the SD of the contrasts instead (`cohens_dz`) makes a difference of a thousandth
    look huge if it is the same in every pair. Crossing makes that likely: within a pair only
    the question varies. In units of the SD between prompts of one task the effect is as small
    as it should be, and thresholds written for Cohen's d keep their meaning.
    nan and infinity as in `cohens_d`.
    """
    first, second = pair_indices(values, treated, control, 2)
    matrix = as_cells(values, "values", 2)

    def of_chunk(cells: slice) -> Float[np.ndarray, " cell"]:
        part = matrix[:, cells]
        return _standardised(part[first.ravel()], part[second.ravel()])

    return _by_chunk(of_chunk, matrix.shape[1], len(matrix)).reshape(np.shape(values)[1:])


def _standardised(
    first: Float[np.ndarray, "n1 cell"], second: Float[np.ndarray, "n2 cell"]
) -> Float[np.ndarray, " cell"]:
    """Difference of means over pooled SD."""
    anchor = first[0].astype(np.float64)
    difference = (first - anchor).mean(axis=0) - (second - anchor).mean(axis=0)
    return _ratio(difference, np.sqrt(_pooled_variance(first, second)))


def _pooled_variance(
    first: Float[np.ndarray, "n1 cell"], second: Float[np.ndarray, "n2 cell"]
) -> Float[np.ndarray, " cell"]:
    """Sums of squares within groups over n1 + n2 - 2; exactly zero if both are constant."""
    squares = 0.0
    for group in (first, second):
        # Anchored at its first row a constant group is zeros, whatever the rounding.
        centred = group - group[0].astype(np.float64)
        squares = squares + np.square(centred - centred.mean(axis=0)).sum(axis=0)
    return np.asarray(squares / (len(first) + len(second) - 2))


def _ratio(
    difference: Float[np.ndarray, " cell"], sd: Float[np.ndarray, " cell"]
) -> Float[np.ndarray, " cell"]:
    """The quotient; nan for 0 / 0, an infinity with the sign of the numerator for others over 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(difference / sd)


def _by_chunk(
    of_chunk: Callable[[slice], Float[np.ndarray, " cell"]], cells: int, rows: int
) -> Float[np.ndarray, " cell"]:
    """`of_chunk` over all cells, in float64."""
    return np.concatenate([of_chunk(part) for part in chunks(cells, rows)])
