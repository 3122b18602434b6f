"""What a sweep measures: an answer's first token against those of its distractors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.adapter.encoding import Encoder
from harness.materials.items import Item


@dataclass(frozen=True, slots=True)
class Targets:
    """First tokens of the answers and distractors of some prompts; -1 where there is none."""

    answer: Int[Tensor, " prompt"]
    distractors: Int[Tensor, "prompt candidate"]

    @property
    def scorable(self) -> Bool[Tensor, " prompt"]:
        """Whether there is an answer, and a distractor that begins with another token."""
        return (self.answer >= 0) & (self.distractors >= 0).any(1)

    def log_probability(self, logits: Float[Tensor, "prompt d_vocab"]) -> Tensor:
        """Of the answer, in nats; NaN if there is none."""
        found = logits.gather(1, self.answer.clamp_min(0)[:, None])[:, 0] - logits.logsumexp(1)
        return torch.where(self.answer >= 0, found, torch.nan)

    def difference(self, logits: Float[Tensor, "prompt d_vocab"]) -> Tensor:
        """Answer minus best distractor; NaN where not scorable."""
        right = logits.gather(1, self.answer.clamp_min(0)[:, None])[:, 0]
        wrong = logits.gather(1, self.distractors.clamp_min(0))
        wrong = wrong.masked_fill(self.distractors < 0, -torch.inf).amax(1)
        return torch.where(self.scorable, right - wrong, torch.nan)

    def from_uniform(self, logits: Float[Tensor, "prompt d_vocab"]) -> Float[Tensor, " prompt"]:
        """KL(uniform || model) over the options, nats: 0 if all are equally likely."""
        options = torch.cat([self.answer[:, None], self.distractors], 1)
        there = options >= 0
        values = logits.gather(1, options.clamp_min(0)).masked_fill(~there, -torch.inf)
        known = torch.where(there, values.log_softmax(1), 0.0)
        count = there.sum(1)
        return -known.sum(1) / count - count.log()

    def of(self, rows: Sequence[int]) -> "Targets":
        """The targets of some prompts."""
        return Targets(self.answer[list(rows)], self.distractors[list(rows)])


def targets_of(
    encoder: Encoder, items: Sequence[Item], ids: Sequence[Sequence[int]], device: torch.device
) -> Targets:
    """First tokens of the answers and distractors, encoded after their prompts.

    At one masked token only words of one token can be asked for: others have no target there.
    """
    words = [(item.answer, *item.distractors) if item.answer else () for item in items]
    tokens = [
        [c[0] if encoder.reads_first(c) else -1 for c in row if c]
        for row in encoder.continuations(items, ids, words)
    ]
    others = [sorted({t for t in row[1:] if t not in (row[0], -1)}) for row in tokens]
    width = max([1, *map(len, others)])
    return Targets(
        torch.tensor([row[0] if row else -1 for row in tokens], device=device),
        torch.tensor([[*row, *[-1] * (width - len(row))] for row in others], device=device),
    )


def scores(logits: Tensor, targets: Targets) -> Float[np.ndarray, "measure prompt"]:
    """Log-probability, logit difference and whether the answer is correct."""
    difference = targets.difference(logits)
    correct = torch.where(targets.scorable, (difference > 0).float(), torch.nan)
    measures = torch.stack([targets.log_probability(logits), difference, correct])
    table: np.ndarray = measures.cpu().numpy()
    return table


def divergence(
    intact: Float[Tensor, "prompt d_vocab"], logits: Float[Tensor, "prompt d_vocab"]
) -> Float[np.ndarray, " prompt"]:
    """KL(intact || edited) of the next token, nats, from the intact log-probabilities.

    Exactly 0 where nothing changed; negative rounding errors are set to 0.
    """
    lost = intact - logits.log_softmax(1)
    found: np.ndarray = (intact.exp() * lost).sum(1).clamp_min(0).cpu().numpy()
    return found
