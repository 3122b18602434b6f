"""Effect sizes. All are treated minus control, in standard deviations."""

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
    parts = chunks(first.shape[1], len(first) + len(second))
    return np.concatenate([_d(first[:, cells], second[:, cells]) for cells in parts]).reshape(shape)


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
    first, second = pair_indices(values, treated, control)
    matrix = as_cells(values, "values", 2)
    contrast = np.empty((len(first), matrix.shape[1]), matrix.dtype)
    for cells in chunks(matrix.shape[1], len(matrix)):
        part = matrix[:, cells]
        contrast[:, cells] = part[first].mean(axis=1) - part[second].mean(axis=1)
    return contrast.reshape(len(first), *np.shape(values)[1:])


def _d(
    first: Float[np.ndarray, "n1 cell"], second: Float[np.ndarray, "n2 cell"]
) -> Float[np.ndarray, " cell"]:
    """Difference of means over pooled SD; nan for 0 / 0."""
    anchor = first[0].astype(np.float64)
    difference = (first - anchor).mean(axis=0) - (second - anchor).mean(axis=0)
    squares = 0.0
    for group in (first, second):
        # Anchored at its first row a constant group is zeros, whatever the rounding.
        centred = group - group[0].astype(np.float64)
        squares = squares + np.square(centred - centred.mean(axis=0)).sum(axis=0)
    sd = np.sqrt(squares / (len(first) + len(second) - 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(difference / sd)
