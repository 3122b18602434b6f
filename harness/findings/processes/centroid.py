"""At which depth a profile over layers lies."""

import numpy as np
from jaxtyping import Float


def centroid(costs: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """Mean layer, weighted by what each layer's loss costs; nan if no layer costs anything.

    Layers whose loss helps count as zero: a centroid with negative weights can lie anywhere.
    """
    return signed_centroid(np.maximum(costs, 0.0))


def signed_centroid(costs: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """The centroid with negative weights for layers whose loss helps; it may lie outside 0 to n.

    Noise that is cut off at zero adds weight to every layer, so it draws the `centroid` of the
    noisier task to the middle layer. Here it cancels out, but the interval is wider.
    """
    layers, total = np.arange(costs.shape[-1]), costs.sum(-1)
    undefined = np.full(total.shape, np.nan)
    return np.asarray(np.divide(costs @ layers, total, out=undefined, where=total > 0))
