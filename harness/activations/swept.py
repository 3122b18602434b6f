"""What a sweep and an attribution return: plain numpy arrays with named axes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from harness.activations.extracted import Stored


@dataclass(frozen=True, slots=True)
class SweepResult(Stored):
    """The answer to every prompt under every edit set, and without an edit.

    All measures are of the first token of an answer, in nats, from the log-probabilities over the
    vocabulary at the prompt's last token. A distractor that begins with the answer's own token
    is left out. Where there is nothing to measure, a value is nan and never 0: see `scorable` and
    `applicable`.

    Attributes:
        log_probability: Of the first token of the answer; needs an answer, but no distractor.
        logit_difference: Of the answer minus the best distractor.
        correct: 1 if the answer beats every distractor, else 0.
        divergence: Kullback-Leibler divergence of the next token, KL(intact || edited), over the
            whole vocabulary, nats; needs no answer.
        clean_log_probability, clean_logit_difference, clean_correct: The same without an edit.
        scorable: Whether the item has an answer, and a distractor that differs in its first token.
        applicable: Whether each edit of the set has a position in this prompt, and the tokens of
            the donor run are aligned with those of the prompt.
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
    def answered(self) -> Bool[np.ndarray, " prompt"]:
        """Prompts that the model answers right without an edit: no other answer can be lost."""
        return np.asarray(self.scorable & (self.clean_correct == 1))

    @property
    def lost(self) -> Float[np.ndarray, "edit_set prompt"]:
        """What each edit set takes of the logit difference, nats."""
        return np.asarray(self.clean_logit_difference - self.logit_difference)


@dataclass(frozen=True, slots=True)
class PathScores(Stored):
    """How much of each prompt's logit difference is lost with each component of a kind.

    The gradient with respect to the share of the component that is left, averaged over steps from
    the mean ablation of all components to the intact model. Over all components, the scores of a
    prompt add up to what ablating them together costs; more steps make that more exact. nan on
    prompts that are not `scorable`.

    Attributes:
        scores: Of each component, nats.
        scorable: As in `SweepResult`.
    """

    scores: Float[np.ndarray, "prompt layer component"]
    scorable: Bool[np.ndarray, " prompt"]
