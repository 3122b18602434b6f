"""What an extraction returns: arrays with one row for each prompt. Plain numpy, no model needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float


class Stored:
    """A record of arrays, with its way into the store and back."""

    __slots__: tuple[str, ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, as they are stored."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from `arrays`."""
        return cls(**{name: arrays[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Activations(Stored):
    """Features of every prompt of a set at its last token, in the order of its items.

    Attributes:
        layers: Layer features, in the order of `features.LAYER_FEATURES`.
        heads: Head metrics of that token's attention row, in the order of
            `features.HEAD_METRICS`.
        gates: The MLP's gate before its activation (published neuron value).
        neurons: The input of the down-projection: what the neuron writes (controlled value).
        resid: The residual stream after each layer.
    """

    layers: Float[np.ndarray, "prompt layer feature"]
    heads: Float[np.ndarray, "prompt layer head metric"]
    gates: Float[np.ndarray, "prompt layer neuron"]
    neurons: Float[np.ndarray, "prompt layer neuron"]
    resid: Float[np.ndarray, "prompt layer d_model"]

    def __len__(self) -> int:
        return len(self.layers)


@dataclass(frozen=True, slots=True)
class Answers(Stored):
    """How a model answered every prompt of a set; nan where an item has no answer.

    Attributes:
        log_probability: Of the whole answer, nats.
        logit_difference: Of the answer minus the best distractor: log-probabilities of the whole
            continuations, nats.
        correct: 1 if the answer beats every distractor, else 0.
        exact: 1 if greedy decoding begins with the answer, else 0.
        rival: Which distractor is the best one, counted from 0.
    """

    log_probability: Float[np.ndarray, " prompt"]
    logit_difference: Float[np.ndarray, " prompt"]
    correct: Float[np.ndarray, " prompt"]
    exact: Float[np.ndarray, " prompt"]
    rival: Float[np.ndarray, " prompt"]
