"""One direction of the residual stream a layer, as a value: what steering adds or takes out."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# Shorter than this share of the activations' length, a difference in means is float32 rounding.
# Untrained networks on crossed prompts, which hardly differ at all, are ten times above it.
SHORTEST = 1e-6


@dataclass(frozen=True, slots=True)
class Directions:
    """The direction of every layer.

    Attributes:
        vectors: Mean of reasoning minus mean of recall prompts, not normalised.
        midpoint: Half way between the two means.
        scale: Root mean square length of the activations that the means are of.
    """

    vectors: Float[np.ndarray, "layer d_model"]
    midpoint: Float[np.ndarray, "layer d_model"]
    scale: Float[np.ndarray, " layer"]

    @property
    def norm(self) -> Float[np.ndarray, " layer"]:
        """Length of each direction."""
        return np.asarray(np.linalg.norm(self.vectors, axis=1))

    @property
    def defined(self) -> Bool[np.ndarray, " layer"]:
        """Where there is a direction: its length is more than rounding."""
        return np.asarray(self.norm > SHORTEST * self.scale)

    def only(self, layer: int) -> "Directions":
        """That of one layer, as layer 0."""
        one = slice(layer, layer + 1)
        return Directions(self.vectors[one], self.midpoint[one], self.scale[one])

    def unit(self, layer: int) -> Float[np.ndarray, " d_model"]:
        """The direction of a layer at length one.

        Raises:
            ValueError: If it has no length, as where all prompts end in the same token and
                nothing has been mixed in yet.
        """
        if not self.defined[layer]:
            raise ValueError(
                f"the direction of layer {layer} is {self.norm[layer]:.2g} long where activations "
                f"are {self.scale[layer]:.3g}: the tasks do not differ there, so it points nowhere"
            )
        vector = self.vectors[layer]
        return np.asarray(vector / np.linalg.norm(vector))
