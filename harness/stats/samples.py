"""Checked arrays with one number for each item."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from harness.stats.cells import as_cells


def as_sample(
    values: Float[np.ndarray, " item"], name: str, minimum: int
) -> Float[np.ndarray, " item"]:
    """`values` in float64, one axis.

    Raises:
        ValueError: If there are fewer than `minimum` items, more than one axis, or a value is
            not finite.
    """
    if np.ndim(values) != 1:
        raise ValueError(f"{name} has shape {np.shape(values)}; expected one number for each item.")
    return as_cells(values, name, minimum)[:, 0].astype(np.float64)


def as_answers(answers: Shaped[np.ndarray, " item"], name: str) -> Bool[np.ndarray, " item"]:
    """Correct and wrong answers as booleans.

    Raises:
        ValueError: If there are no answers, more than one axis, or a value that is not 0 or 1.
    """
    array = np.asarray(answers)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; expected one answer for each item.")
    wrong = ~np.isin(array, (0, 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{name} is {array[row]} at item {row}; an answer is correct (1) or wrong (0), so "
            "leave items without one out of both arrays."
        )
    return array.astype(bool)
