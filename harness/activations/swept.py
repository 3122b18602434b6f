"""What a sweep and an attribution return: plain arrays with named axes; no model needed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from harness.activations.extracted import Stored


@dataclass(frozen=True, slots=True)
class SweepResult(Stored):
    """Every prompt's answer under every edit set, and untouched.

    All measures are of the first token of an answer, in nats, from the log-probabilities over the
    vocabulary at the prompt's last token. A distractor that begins with the answer's own token
    is left out. Not a number, never 0, where there is nothing to measure: see `scorable` and
    `applicable`.

    Attributes:
        log_probability: Of the answer's first token; it needs an answer only.
        logit_difference: Of the answer minus the best distractor.
        correct: 1 if the answer beats every distractor, else 0.
        divergence: Kullback-Leibler divergence of the next token, KL(intact || edited), over the
            whole vocabulary, nats; it needs no answer.
        clean_log_probability: The same without an edit; and so on.
        scorable: Whether the item has an answer, and a distractor that differs in its first token.
        applicable: Whether each edit of the set has a position in this prompt, and the run it
            patches from lines up with it.
    """

    log_probability: Float[np.ndarray, "edit_set prompt"]
    logit_difference: Float[np.ndarray, "edit_set prompt"]
    correct: Float[np.ndarray, "edit_set prompt"]
    divergence: Float[np.ndarray, "edit_set prompt"]
    clean_log_probability: Float[np.ndarray, " prompt"]
    clean_logit_difference: Float[np.ndarray, " prompt"]
    clean_correct: Float[np.ndarray, " prompt"]
    scorable: Bool[np.ndarray, " prompt"]
    applicable: Bool[np.ndarray, "edit_set prompt"]

    @property
    def left_out(self) -> np.ndarray:
        """Prompts of each edit set that could not be measured, for either reason."""
        missing: np.ndarray = (~(self.applicable & self.scorable)).sum(1)
        return missing


@dataclass(frozen=True, slots=True)
class ComponentScores(Stored):
    """First-order estimates of what mean-ablating each component costs each prompt.

    Gradient times (activation - mean), summed over a prompt's tokens: the expected fall of the
    logit difference (first token, answer minus best distractor). Not a number on prompts that
    are not `scorable`.

    Attributes:
        heads: Of each head's z.
        neurons: Of each neuron, at the input of the down-projection.
        attn: Of the attention's contribution to the residual stream.
        mlps: Of the MLP's contribution.
        scorable: As in `SweepResult`.
    """

    heads: Float[np.ndarray, "prompt layer head"]
    neurons: Float[np.ndarray, "prompt layer neuron"]
    attn: Float[np.ndarray, "prompt layer"]
    mlps: Float[np.ndarray, "prompt layer"]
    scorable: Bool[np.ndarray, " prompt"]


@dataclass(frozen=True, slots=True)
class PathScores(Stored):
    """How much of each prompt's logit difference is lost with each component of a kind.

    The gradient by what is left of the component, averaged on the way from the mean ablation of
    all of them to the intact model. Over all components the scores of a prompt add up to what
    ablating them together costs, to the coarseness of the steps. Not a number on prompts that are
    not `scorable`.

    Attributes:
        scores: Of each component, nats.
        scorable: As in `SweepResult`.
    """

    scores: Float[np.ndarray, "prompt layer component"]
    scorable: Bool[np.ndarray, " prompt"]
