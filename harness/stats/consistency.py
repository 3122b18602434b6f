"""Whether a selection, or a sign, holds over folds, relations and redrawn materials."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from harness.stats.cells import as_cells, chunks, one_blas_thread


def grouped_folds(
    pairs: Sequence[str], folds: int, seed: int = 0
) -> list[tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]]:
    """Positions of training and held-out items of each fold; a pair is never divided.

    Pairs are shuffled; fold sizes in pairs differ by one at most. Positions ascend.

    Args:
        pairs: The pair of each item.
        folds: Number of folds, two or more.
        seed: Of the shuffle; it depends on the order of first appearance and on nothing else.

    Raises:
        ValueError: If there are fewer pairs than folds.
    """
    names = list(dict.fromkeys(pairs))
    if folds < 2 or len(names) < folds:
        raise ValueError(
            f"{len(names)} pairs cannot make {folds} folds; at least two folds and a pair for each "
            "are needed, so add items or lower the number of folds."
        )
    place = {name: position for position, name in enumerate(names)}
    fold_of_pair = np.random.default_rng(seed).permutation(len(names)) % folds
    fold = fold_of_pair[[place[pair] for pair in pairs]]
    return [(np.flatnonzero(fold != held), np.flatnonzero(fold == held)) for held in range(folds)]


def modal_share(
    types: Shaped[np.ndarray, "fold ..."], excluded: Sequence[object] = ()
) -> np.ndarray:
    """Share of folds in which a component has its most frequent type, 0 to 1.

    Args:
        types: Text or integers.
        excluded: Types that do not count ("mixed", "none") and cannot be the most frequent
            one; their folds still count in the denominator. Counting "mixed" as consistent is
            how a published analysis reached 28 layers of 28.
    """
    array = np.asarray(types)
    if array.ndim < 1 or len(array) < 1:
        raise ValueError("types has no folds; at least one is needed.")
    share = np.zeros(array.shape[1:])
    for kind in np.unique(array):
        if kind not in excluded:
            share = np.maximum(share, (array == kind).mean(axis=0))
    return share


def jaccard(a: Bool[np.ndarray, "..."], b: Bool[np.ndarray, "..."]) -> float:
    """Size of the intersection over size of the union, 0 to 1; nan if both are empty.

    Two empty sets have no member to agree on, so the number is undefined and not 1.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.dtype != bool or second.dtype != bool or first.shape != second.shape:
        raise ValueError(
            f"sets must be boolean arrays of one shape; they are {first.dtype} {first.shape} and "
            f"{second.dtype} {second.shape}."
        )
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else float("nan")


def mean_pairwise_jaccard(sets: Bool[np.ndarray, "set ..."]) -> float:
    """Mean `jaccard` over all pairs of sets; nan as soon as two of them are empty.

    A selection that was empty twice is not stable, and leaving such pairs out would make it
    look stable. Against one empty set every other scores 0.
    """
    array = np.asarray(sets)
    if array.dtype != bool or array.ndim < 2 or len(array) < 2:
        raise ValueError(
            f"sets must be a boolean array with two sets or more on axis 0; it is {array.dtype} "
            f"with shape {array.shape}."
        )
    matrix = array.reshape(len(array), -1)
    shared = np.zeros((len(matrix), len(matrix)))
    with one_blas_thread():
        for part in chunks(matrix.shape[1], len(matrix), itemsize=4):
            members = matrix[:, part].astype(np.float32)
            shared += members @ members.T
    size = np.diag(shared)
    union = size[:, None] + size[None, :] - shared
    upper = np.triu_indices(len(matrix), 1)
    if (union[upper] == 0).any():
        return float("nan")
    return float((shared[upper] / union[upper]).mean())


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
