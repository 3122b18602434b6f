"""Do two sets of components share more or fewer members than chance puts in both."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class Overlap:
    """Shared members of two sets, beside sets drawn at random with the same number in each layer.

    Attributes:
        shared: Members of both.
        expected: Members of both on average over random sets.
        p_more: Chance that random sets share as many or more.
        p_less: Chance that they share as few or fewer: near 1 for small sets, which chance keeps
            apart too.
    """

    shared: int
    expected: float
    p_more: float
    p_less: float


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
    same_shape = first.shape == second.shape == layer.shape and layer.ndim == 1
    if first.dtype != bool or second.dtype != bool or not same_shape:
        raise ValueError(
            f"sets are {first.dtype} {first.shape} and {second.dtype} {second.shape}, layers "
            f"{layer.shape}; expected boolean sets on one axis, and a layer for each component."
        )
    chance = _chance(first, second, layer)
    shared = int(np.count_nonzero(first & second))
    return Overlap(
        shared=shared,
        expected=float(chance @ np.arange(len(chance))),
        p_more=min(float(chance[shared:].sum()), 1.0),
        p_less=min(float(chance[: shared + 1].sum()), 1.0),
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
