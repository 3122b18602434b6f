"""At which depth a profile over layers lies."""

import numpy as np
from jaxtyping import Float


def centroid(costs: Float[np.ndarray, "... layer"]) -> Float[np.ndarray, "..."]:
    """Mean layer, weighted by what each layer's loss costs; nan if all together cost nothing.

    A layer whose loss helps has a negative weight. Cut off at zero, noise would add weight to
    every layer and draw the noisier of two profiles to the middle; here it cancels out.
    """
    layers, total = np.arange(costs.shape[-1]), costs.sum(-1)
    undefined = np.full(total.shape, np.nan)
    return np.asarray(np.divide(costs @ layers, total, out=undefined, where=total > 0))
