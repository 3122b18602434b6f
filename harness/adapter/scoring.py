"""Log-probabilities of the right answer and the wrong ones, from one forward pass a prompt."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import nnsight
import numpy as np
import torch
from jaxtyping import Float, Int
from nnsight import TransformersModel
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from harness.activations.extracted import Answers
from harness.adapter.architectures import Sites, follow, narrow_attention, narrow_mlp
from harness.adapter.attention import fused_attention
from harness.adapter.encoding import Batch


@dataclass(frozen=True, slots=True)
class Continuation:
    """One candidate answer after one prompt.

    Attributes:
        row: The prompt's index in the batch.
        tokens: Token ids of the candidate.
    """

    row: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of a candidate.

    Attributes:
        log_probability: Of all its tokens, in nats.
        greedy: Whether each of its tokens is the most probable one.
    """

    log_probability: float
    greedy: bool


@contextmanager
def last_tokens_only(
    module: PreTrainedModel, row: Int[Tensor, " prompt"], last: Int[Tensor, " prompt"]
) -> Iterator[None]:
    """Let the model compute logits [prompt 1 d_vocab] at one position of each prompt only."""

    def pick(_module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        return (given[0][row, last][:, None],)

    handle = module.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()


def at_answers(logits: Float[Tensor, "tree pos d_vocab"], batch: Batch) -> Tensor:
    """Logits [prompt d_vocab] where answers are read, of a model asked for the last column alone.

    An encoder gives all columns whatever it is asked for.
    """
    return logits[:, -1] if logits.shape[1] == 1 else logits[batch.tree, batch.last]


def score_batch(
    engine: TransformersModel, sites: Sites, batch: Batch, continuations: Sequence[Continuation]
) -> list[Scored]:
    """Score candidates that share prompts: the prompt is read once, its keys and values kept.

    The first token of every candidate is read off the prompt's last logits; candidates of more
    tokens continue from copies of the prompt's cache. The last layer runs where prompts end.
    """
    module: PreTrainedModel = engine._module
    longer = [i for i, c in enumerate(continuations) if len(c.tokens) > 1]
    with torch.no_grad(), fused_attention(module):
        with (
            last_tokens_only(module, batch.tree, batch.last),
            engine.trace(**batch.inputs, use_cache=bool(longer)) as tracer,
        ):
            layer = follow(engine, sites.layers)[-1]
            narrow_attention(layer, sites, batch.ends)
            narrow_mlp(layer, sites, batch.ends)
            output = nnsight.save(tracer.result)
        logits = output.logits[:, 0].float().log_softmax(-1)
        rows = torch.tensor([c.row for c in continuations], device=logits.device)
        tokens = torch.tensor([c.tokens[0] for c in continuations], device=logits.device)
        total = logits[rows, tokens].double()
        greedy = logits.argmax(-1)[rows] == tokens
        if longer:
            rest = [continuations[i] for i in longer]
            more, all_greedy = _continue(module, batch, rest, output.past_key_values)
            total[longer] += more
            greedy[longer] &= all_greedy
    return [Scored(p, g) for p, g in zip(total.tolist(), greedy.tolist(), strict=True)]


def _continue(
    module: PreTrainedModel, batch: Batch, continuations: Sequence[Continuation], cache: Cache
) -> tuple[Float[Tensor, " candidate"], Tensor]:
    """Log-probability and greediness of the tokens after each candidate's first."""
    device = batch.ids.device
    width = max(len(c.tokens) for c in continuations)
    padded = torch.tensor([[*c.tokens, *[-1] * (width - len(c.tokens))] for c in continuations])
    padded = padded.to(device)
    rows = torch.tensor([c.row for c in continuations])
    cache.batch_select_indices(batch.tree[rows].to(device))
    seen = batch.visible[rows].long()
    given: Int[Tensor, "candidate pos"] = padded[:, :-1].clamp_min(0)
    order = torch.arange(width - 1, device=device)
    output = module(
        input_ids=given,
        attention_mask=torch.cat([seen, torch.ones_like(given)], dim=1),
        position_ids=seen.sum(1)[:, None] + order,
        past_key_values=cache,
        use_cache=True,
    )
    logits = output.logits.float().log_softmax(-1)
    wanted = padded[:, 1:].to(logits.device)
    counted = wanted >= 0
    values = logits.gather(-1, wanted.clamp_min(0)[..., None]).squeeze(-1)
    total = torch.where(counted, values, 0.0).double().sum(1)
    return total, ((logits.argmax(-1) == wanted) | ~counted).all(1)


def answers_of(scored: Sequence[Sequence[Scored]]) -> Answers:
    """The answers of a set, from the scores of each prompt's answer and then its distractors.

    A prompt without an answer has no scores and is NaN throughout; one without
    distractors has no logit difference and is neither correct nor wrong.
    """
    columns = np.full((5, len(scored)), np.nan, dtype=np.float32)
    for i, row in enumerate(scored):
        if not row:
            continue
        answer, *others = row
        columns[0, i], columns[3, i] = answer.log_probability, answer.greedy
        if others:
            best = max(range(len(others)), key=lambda o: others[o].log_probability)
            margin = answer.log_probability - others[best].log_probability
            columns[1, i], columns[2, i], columns[4, i] = margin, margin > 0, best
    return Answers(*columns)
