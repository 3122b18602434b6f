"""Does a component's contrast hold in every relation, and not by one relation alone."""

import numpy as np
from jaxtyping import Bool, Float

from harness.stats.cells import as_cells


def leave_one_out_sign(contrasts: Float[np.ndarray, "relation ..."]) -> Bool[np.ndarray, "..."]:
    """Whether the mean keeps its sign with any one relation left out.

    A mean of zero has no sign to keep, with or without a relation left out.

    Raises:
        ValueError: If there are fewer than two relations, or a value is not finite.
    """
    matrix = as_cells(contrasts, "contrasts", 2).astype(np.float64)
    total = matrix.sum(axis=0)
    # The one that supports the sign most is the one whose absence matters.
    kept = np.sign(total) * total > np.maximum(np.sign(total) * matrix, 0).max(axis=0)
    return np.asarray(kept & (total != 0)).reshape(np.shape(contrasts)[1:])


def least_over_relations(contrasts: Float[np.ndarray, "relation ..."]) -> Float[np.ndarray, "..."]:
    """The smallest contrast of any relation, in the direction of the mean.

    Above 0, all relations agree and this is the least absolute contrast. Below 0, some relation
    points the other way. Where the mean is 0, so is the result or it is below.

    Raises:
        ValueError: If there are no relations, or a value is not finite.
    """
    matrix = as_cells(contrasts, "contrasts", 1).astype(np.float64)
    direction = np.sign(matrix.sum(axis=0))
    least = np.where(direction == 0, -np.abs(matrix), direction * matrix).min(axis=0)
    return np.asarray(least).reshape(np.shape(contrasts)[1:])
