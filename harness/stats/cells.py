"""Checked views of arrays: axis 0 is what was sampled, the other axes are flattened to cells."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

# Working arrays of about this many bytes stay in cache and bound the memory of every function.
CHUNK_BYTES = 8 << 20


def as_cells(
    values: Float[np.ndarray, "row ..."], name: str, minimum: int
) -> Float[np.ndarray, "row cell"]:
    """`values` as a floating matrix; float32 and float64 are not copied.

    Raises:
        ValueError: If there are fewer than `minimum` rows, or a value is not finite.
    """
    array = np.asarray(values)
    if array.ndim == 0 or len(array) < minimum:
        rows = 0 if array.ndim == 0 else len(array)
        raise ValueError(f"{name} has {rows} rows; at least {minimum} are needed, so add items.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    matrix = array.reshape(len(array), math.prod(array.shape[1:]))
    for cells in chunks(matrix.shape[1], len(matrix)):
        finite = np.isfinite(matrix[:, cells])
        if not finite.all():
            row, cell = np.argwhere(~finite)[0]
            index = tuple(int(i) for i in np.unravel_index(cells.start + cell, array.shape[1:]))
            raise ValueError(
                f"{name} is {matrix[row, cells.start + cell]} in cell {index}, row {row}; every "
                "value must be finite, so measure that cell again or leave it out by name."
            )
    return matrix


def two_groups(
    treated: Float[np.ndarray, "prompt ..."],
    control: Float[np.ndarray, "prompt ..."],
    minimum: int,
) -> tuple[Float[np.ndarray, "n1 cell"], Float[np.ndarray, "n2 cell"], tuple[int, ...]]:
    """Both groups as matrices, and the shape of their cells.

    Raises:
        ValueError: If the cells differ, or as `as_cells`.
    """
    shapes = np.shape(treated)[1:], np.shape(control)[1:]
    if shapes[0] != shapes[1]:
        raise ValueError(f"treated has cells {shapes[0]} and control {shapes[1]}; they must match.")
    return as_cells(treated, "treated", minimum), as_cells(control, "control", minimum), shapes[0]


def pair_indices(
    values: Float[np.ndarray, "prompt ..."],
    treated: Int[np.ndarray, "pair k"],
    control: Int[np.ndarray, "pair k"],
) -> tuple[Int[np.ndarray, "pair k1"], Int[np.ndarray, "pair k2"]]:
    """Both index arrays with two axes; a single axis means one prompt for each pair.

    Raises:
        ValueError: If they differ in pairs, are none, point outside or share a prompt.
    """
    arrays = [np.asarray(treated), np.asarray(control)]
    for position, index in enumerate(arrays):
        name = ("treated", "control")[position]
        if index.dtype.kind not in "iu" or index.ndim not in (1, 2):
            raise ValueError(
                f"{name} must be integer positions of prompts, one row a pair; "
                f"it is {index.dtype} with shape {index.shape}."
            )
        if not index.size:
            raise ValueError(f"{name} has no prompts, so that there are no pairs; add items.")
        if not 0 <= index.min() <= index.max() < len(values):
            raise ValueError(
                f"{name} points at prompts {index.min()} to {index.max()}; there are {len(values)}."
            )
        arrays[position] = index.reshape(len(index), -1)
    first, second = arrays
    if len(first) != len(second):
        raise ValueError(f"treated has {len(first)} pairs and control {len(second)}.")
    if np.intersect1d(first, second).size:
        shared = int(np.intersect1d(first, second)[0])
        raise ValueError(f"prompt {shared} is both treated and control; a prompt has one task.")
    return first, second


def constant_cells(values: Float[np.ndarray, "row ..."]) -> Bool[np.ndarray, "..."]:
    """Cells with the same value in every row: no effect size is defined there."""
    matrix = as_cells(values, "values", 1)
    flat = np.concatenate(
        [matrix[:, c].max(axis=0) == matrix[:, c].min(axis=0) for c in chunks(*matrix.shape[::-1])]
    )
    return flat.reshape(np.shape(values)[1:])


def chunks(cells: int, rows: int, itemsize: int = 8) -> Iterator[slice]:
    """Slices over cells so that rows x cells of a slice take about `CHUNK_BYTES`.

    Without cells there is one empty slice, so that results keep their shape.
    """
    width = max(64, CHUNK_BYTES // (max(rows, 1) * itemsize))
    for start in range(0, max(cells, 1), width):
        yield slice(start, min(start + width, cells))


def one_blas_thread() -> AbstractContextManager[object]:
    """Matrix products inside run on one thread.

    The product of a chunk takes a millisecond; on a busy machine, several threads were measured
    to be eight to fifty times slower than one.
    """
    limits: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limits


@cache
def _blas() -> Any:
    """The BLAS libraries in this process; finding them takes as long as a small product."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # noqa: PLC0415

    return ThreadpoolController()
