"""Does a component's contrast hold without any one relation."""

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
