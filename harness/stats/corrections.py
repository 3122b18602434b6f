"""Corrections for many tests. `axis` spans one family of tests; the other axes list families."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float


def bonferroni(
    p: Float[np.ndarray, "..."], axis: int | tuple[int, ...] | None = None
) -> Float[np.ndarray, "..."]:
    """Each p times the size of its family, at most 1.

    Args:
        p: Uncorrected, 0 to 1.
        axis: The axis or axes that one family spans: None for all of them; 0 of [layer, metric]
            for a family of layers within each metric.

    Raises:
        ValueError: If a p-value is not a number or outside 0 to 1.
    """
    rows, back = _families(p, axis)
    return back(np.minimum(rows * rows.shape[1], 1))


def holm(
    p: Float[np.ndarray, "..."], axis: int | tuple[int, ...] | None = None
) -> Float[np.ndarray, "..."]:
    """Holm's step-down adjusted p: family-wise like Bonferroni's, and never larger.

    Arguments and errors as `bonferroni`.
    """
    rows, back = _families(p, axis)
    order = np.argsort(rows, axis=1)
    steps = np.take_along_axis(rows, order, axis=1) * np.arange(rows.shape[1], 0, -1)
    adjusted = np.empty_like(rows)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=1), 1), axis=1)
    return back(adjusted)


def benjamini_hochberg(
    p: Float[np.ndarray, "..."], axis: int | tuple[int, ...] | None = None
) -> Float[np.ndarray, "..."]:
    """Benjamini-Hochberg q-values: the false discovery rate at which each would be found.

    As `bonferroni`; computed by `scipy.stats.false_discovery_control`.
    """
    from scipy.stats import false_discovery_control  # noqa: PLC0415  (half a second to import)

    rows, back = _families(p, axis)
    return back(np.asarray(false_discovery_control(rows, axis=1)))


def _families(
    p: Float[np.ndarray, "..."], axis: int | tuple[int, ...] | None
) -> tuple[Float[np.ndarray, "family test"], Callable[[np.ndarray], np.ndarray]]:
    """The p-values with one row for each family, and a function that restores the shape."""
    array = np.asarray(p, dtype=np.float64)
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"p is {array[index]} in cell {index}; every p-value must lie between 0 and 1, because "
            "a cell left out would change the size of its family."
        )
    axes = range(array.ndim) if axis is None else np.atleast_1d(axis)
    spanned = tuple(int(a) % array.ndim for a in axes) if array.ndim else ()
    kept = tuple(a for a in range(array.ndim) if a not in spanned)
    turned = array.transpose(*kept, *spanned)
    size = int(np.prod([array.shape[a] for a in spanned], dtype=int))
    families = int(np.prod([array.shape[a] for a in kept], dtype=int))
    undo = np.argsort((*kept, *spanned)) if array.ndim else ()

    def back(rows: np.ndarray) -> np.ndarray:
        return rows.reshape(turned.shape).transpose(undo)

    return turned.reshape(families, size), back
