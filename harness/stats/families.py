"""A family of contrasts whose units differ: what flips together stays together."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int8
from scipy.special import stdtr


def sign_flip_min_p(
    contrasts: Sequence[Mapping[str, float]], *, permutations: int = 9999, seed: int = 0
) -> Float[np.ndarray, " contrast"]:
    """Two-sided p that each contrast is symmetric about zero, family-wise over all of them.

    Contrasts may have units of their own, and as many as they like. A unit flips alike in every
    contrast that has its name, so that contrasts of the same eight relations count little more
    than one: Holm's correction takes them for separate tests, and 7 x 2 / 2^8 is more than 0.05.

    Args:
        contrasts: Of each, the value by the name of its unit; at least two units.
        permutations: Random sign patterns, besides the identity.
        seed: Of the patterns.

    Source: the smallest p of the family under the null (min-p, Westfall & Young 1993). The p that
    makes contrasts of unlike numbers of units comparable is that of Student's t; whether it is
    exact does not matter, as the same is done to the flipped ones.

    Raises:
        ValueError: If a contrast has fewer than two units, or a value that is not finite.
    """
    if not contrasts:
        return np.empty(0)
    names = {name: at for at, name in enumerate(sorted({n for c in contrasts for n in c}))}
    shape = (permutations + 1, len(names))
    signs = 1 - 2 * np.random.default_rng(seed).integers(0, 2, shape, dtype=np.int8)  # a byte each
    signs[0] = 1
    p = np.array([_student(contrast, names, signs) for contrast in contrasts])
    least = np.sort(p.min(axis=0, initial=1.0))
    return np.searchsorted(least, p[:, 0], side="right") / (permutations + 1)


def _student(
    contrast: Mapping[str, float],
    names: Mapping[str, int],
    signs: Int8[np.ndarray, "pattern unit"],
) -> Float[np.ndarray, " pattern"]:
    """The two-sided p of Student's t under every pattern; 1 for a contrast of zeros."""
    values, units = np.array([*contrast.values()], dtype=float), len(contrast)
    if units < 2 or not np.isfinite(values).all():
        raise ValueError(f"a contrast has the values {values}; two finite ones are needed.")
    if not values.any():
        return np.ones(len(signs))
    sums = signs[:, [names[name] for name in contrast]] @ values
    explained = sums**2 / (units * (values**2).sum())
    explained = explained.round(9).clip(max=1 - 1e-9)  # equal patterns are equal, and t is finite
    t = np.sqrt((units - 1) * explained / (1 - explained))
    return np.asarray(2 * stdtr(units - 1, -t))
