"""Rank statistics over any number of cells at once."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from harness.stats.cells import as_cells, chunks, pair_indices, two_groups


@dataclass(frozen=True, slots=True)
class RankTest:
    """Mann-Whitney over cells.

    Attributes:
        u: U of the treated group: pairs (treated, control) with treated larger, ties a half.
        p: Two-sided, uncorrected.
        z: Positive where treated is larger; continuity-corrected.
        auc: U / (n1 n2), 0 to 1; a half means no difference.
    """

    u: Float[np.ndarray, "..."]
    p: Float[np.ndarray, "..."]
    z: Float[np.ndarray, "..."]
    auc: Float[np.ndarray, "..."]


def mann_whitney(
    treated: Float[np.ndarray, "n1 ..."], control: Float[np.ndarray, "n2 ..."]
) -> RankTest:
    """Two-sided asymptotic Mann-Whitney U of every cell, with tie and continuity correction.

    Equal to `scipy.stats.mannwhitneyu(method="asymptotic")`. Differs: p is computed in float64
    whatever the dtype, and z has a sign. A constant cell has p 1 and AUC a half. Independent
    prompts are assumed; pairs need `sign_flip_max`.

    Raises:
        ValueError: If a group is empty, the cells differ or a value is not finite.
    """
    first, second, shape = two_groups(treated, control, 1)
    n1, n2 = len(first), len(second)
    u, ties = _u_and_ties(first, second)
    total = n1 + n2
    spread = np.sqrt(n1 * n2 / 12 * (total + 1 - ties / (total * max(total - 1, 1))))
    above = u - n1 * n2 / 2
    z = np.zeros_like(u)
    distance = np.sign(above) * np.maximum(np.abs(above) - 0.5, 0)
    np.divide(distance, spread, out=z, where=spread > 0)
    p = 2 * ndtr(-np.abs(z))
    return RankTest(*(a.reshape(shape) for a in (u, p, z, u / (n1 * n2))))


def mann_whitney_floor(n1: int, n2: int) -> float:
    """The smallest p that `mann_whitney` can give: for complete separation without ties.

    30 + 30 prompts reach 3.0e-11, 24 + 24 only 3.1e-9. Heavily tied values (a feature with
    two levels) have a smaller variance and can fall below it.
    """
    if min(n1, n2) < 1:
        raise ValueError(f"groups of {n1} and {n2}; each needs at least one prompt.")
    distance = max(n1 * n2 / 2 - 0.5, 0)
    return float(2 * ndtr(-distance / math.sqrt(n1 * n2 * (n1 + n2 + 1) / 12)))


def auc(
    treated: Float[np.ndarray, "n1 ..."], control: Float[np.ndarray, "n2 ..."]
) -> Float[np.ndarray, "..."]:
    """Probability that a treated prompt exceeds a control prompt, ties a half, per cell.

    Equals the area under the ROC curve. It is held out if the scores are.
    """
    first, second, shape = two_groups(treated, control, 1)
    u, _ = _u_and_ties(first, second)
    return (u / (len(first) * len(second))).reshape(shape)


def ranks_in_rows(values: Float[np.ndarray, "row item"]) -> Float[np.ndarray, "row item"]:
    """Rank of each value in its row, 1 = least, ties at their mean; as `scipy.stats.rankdata`."""
    from scipy.stats import rankdata  # noqa: PLC0415  (half a second to import)

    return np.asarray(rankdata(values, axis=1), dtype=float)


def rank_contrast(
    values: Float[np.ndarray, "prompt ..."],
    treated: Int[np.ndarray, "pair k"],
    control: Int[np.ndarray, "pair k"],
) -> Float[np.ndarray, "pair ..."]:
    """Mean rank of a pair's treated prompts minus that of its control prompts, per cell.

    Ranks are taken once, over all prompts that are in a pair, ties averaged. Flipping a pair's
    sign then swaps its labels, so `sign_flip_max` of the result is a permutation Mann-Whitney
    for paired designs; its sum over pairs is a linear function of U.
    """
    first, second = pair_indices(values, treated, control)
    used, where = np.unique(np.concatenate([first.ravel(), second.ravel()]), return_inverse=True)
    one, two = where[: first.size].reshape(first.shape), where[first.size :].reshape(second.shape)
    matrix = as_cells(np.asarray(values)[used], "values", 2)
    contrast = np.empty((len(first), matrix.shape[1]), np.float32)
    for cells in chunks(matrix.shape[1], len(matrix)):
        rank = _ranks(matrix[:, cells])
        contrast[:, cells] = rank[one].mean(axis=1) - rank[two].mean(axis=1)
    return contrast.reshape(len(first), *np.shape(values)[1:])


def _u_and_ties(
    first: Float[np.ndarray, "n1 cell"], second: Float[np.ndarray, "n2 cell"]
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """U of the first group, and the sum of t^3 - t over runs of t equal values."""
    n1, total = len(first), len(first) + len(second)
    u, ties = np.empty(first.shape[1]), np.zeros(first.shape[1])
    position = np.arange(1, total + 1, dtype=np.float32)
    for cells in chunks(first.shape[1], total):
        # Transposed, so that the prompts of a cell are contiguous in memory, which sorts faster.
        rows = np.concatenate([first[:, cells], second[:, cells]]).T.copy()
        of_first = np.argsort(rows, axis=1) < n1
        rows.sort(axis=1)
        equal = rows[:, 1:] == rows[:, :-1]
        if equal.any():
            start, end = _runs(equal)
            ties[cells] = np.square(end - start + 1, dtype=np.float64).sum(axis=0) - total
            sums = ((start + end) / 2 + 1).T
            rank_sum = np.einsum("cn,cn->c", of_first, sums, dtype=np.float64)
        else:
            rank_sum = np.matmul(of_first.astype(np.float32), position).astype(np.float64)
        u[cells] = rank_sum - n1 * (n1 + 1) / 2
    return u, ties


def _runs(
    equal: Bool[np.ndarray, "cell gap"],
) -> tuple[Float[np.ndarray, "row cell"], Float[np.ndarray, "row cell"]]:
    """First and last position of the run of equal values that each sorted position lies in."""
    same = equal.T.copy()
    rows = len(same) + 1
    start = np.repeat(np.arange(rows, dtype=np.float32)[:, None], same.shape[1], axis=1)
    end = start.copy()
    for row in range(1, rows):
        np.copyto(start[row], start[row - 1], where=same[row - 1])
    for row in range(rows - 2, -1, -1):
        np.copyto(end[row], end[row + 1], where=same[row])
    return start, end


def _ranks(matrix: Float[np.ndarray, "row cell"]) -> Float[np.ndarray, "row cell"]:
    """Average ranks of each cell, from 1."""
    rows = matrix.T.copy()
    order = np.argsort(rows, axis=1)
    rows.sort(axis=1)
    start, end = _runs(rows[:, 1:] == rows[:, :-1])
    rank = np.empty(rows.shape, np.float32)
    np.put_along_axis(rank, order, ((start + end) / 2 + 1).T, axis=1)
    return rank.T
