"""Checked views of one number an item, where there is one cell and no more."""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from harness.stats.cells import as_cells


def as_sample(
    values: Float[np.ndarray, " item"], name: str, minimum: int
) -> Float[np.ndarray, " item"]:
    """`values` in float64, one axis.

    Raises:
        ValueError: If there are fewer than `minimum`, another number of axes, or one is not
            finite.
    """
    if np.ndim(values) != 1:
        raise ValueError(f"{name} has shape {np.shape(values)}; needed is one number an item.")
    return as_cells(values, name, minimum)[:, 0].astype(np.float64)


def as_answers(answers: Shaped[np.ndarray, " item"], name: str) -> Bool[np.ndarray, " item"]:
    """Right and wrong answers as booleans.

    Raises:
        ValueError: If there is none, another number of axes, or one is neither 0 nor 1.
    """
    array = np.asarray(answers)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; needed is one answer an item.")
    wrong = ~np.isin(array, (0, 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{name} is {array[row]} at item {row}; an answer is right (1) or wrong (0), so leave "
            "items without one out of both arrays."
        )
    return array.astype(bool)
