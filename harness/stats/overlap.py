"""Do two sets of components share more or fewer members than chance puts in both."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from harness.stats.consistency import jaccard


@dataclass(frozen=True, slots=True)
class Overlap:
    """Shared members of two sets, beside sets drawn at random with the same number in each layer.

    Attributes:
        shared: Members of both.
        expected: Members of both on average over random sets.
        jaccard: Shared over members of either, 0 to 1; nan if both sets are empty.
        expected_jaccard: Its mean over random sets; nan likewise.
        p_more: Chance that random sets share as many or more.
        p_less: Chance that they share as few or fewer.
        floor_more: The smallest `p_more` that sets of these sizes can give.
        floor_less: The smallest `p_less`: near 1 for small sets, which chance keeps apart too.
    """

    shared: int
    expected: float
    jaccard: float
    expected_jaccard: float
    p_more: float
    p_less: float
    floor_more: float
    floor_less: float


def overlap_by_layer(
    a: Bool[np.ndarray, " component"],
    b: Bool[np.ndarray, " component"],
    layers: Int[np.ndarray, " component"],
) -> Overlap:
    """The overlap of two sets against chance, matched by layer, exactly.

    Two sets that crowd into the same layers overlap by that alone. So the null keeps each set's
    number of members in each layer: there the overlap is hypergeometric, layers are independent,
    and the distribution of the sum is the convolution.

    Args:
        a: Membership in one set.
        b: In the other.
        layers: Number of each component's layer.

    Raises:
        ValueError: If sets are not boolean, or the three arrays differ in shape.
    """
    first, second, layer = np.asarray(a), np.asarray(b), np.asarray(layers)
    similarity = jaccard(first, second)
    if layer.shape != first.shape or layer.ndim != 1:
        raise ValueError(
            f"layers has shape {layer.shape} and the sets {first.shape}; expected one axis, a "
            "layer for each component."
        )
    chance = _chance(first, second, layer)
    count = np.arange(len(chance))
    shared = int(np.count_nonzero(first & second))
    members = np.count_nonzero(first) + np.count_nonzero(second)
    possible = np.flatnonzero(chance)
    return Overlap(
        shared=shared,
        expected=float(chance @ count),
        jaccard=similarity,
        expected_jaccard=float(chance @ (count / (members - count))) if members else float("nan"),
        p_more=min(float(chance[shared:].sum()), 1.0),
        p_less=min(float(chance[: shared + 1].sum()), 1.0),
        floor_more=float(chance[possible[-1]]),
        floor_less=float(chance[possible[0]]),
    )


def _chance(
    a: Bool[np.ndarray, " component"],
    b: Bool[np.ndarray, " component"],
    layers: Int[np.ndarray, " component"],
) -> Float[np.ndarray, " count"]:
    """Probability of each number of shared members, from 0 up."""
    from scipy.stats import hypergeom  # noqa: PLC0415  (half a second to import)

    chance = np.ones(1)
    for layer in np.unique(layers):
        here = layers == layer
        in_a, in_b = int(a[here].sum()), int(b[here].sum())
        counts = np.arange(min(in_a, in_b) + 1)
        chance = np.convolve(chance, hypergeom.pmf(counts, int(here.sum()), in_a, in_b))
    return chance
