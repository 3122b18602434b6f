"""How answers are scored that do not follow the prompt.

A decoder beside an encoder writes them; an encoder alone gives them at masked tokens.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from harness.adapter.attention import fused_attention
from harness.adapter.encoder_decoders import OneStream
from harness.adapter.encoders import first_position
from harness.adapter.encoding import Batch, Encoder
from harness.adapter.scoring import Continuation, Scored
from harness.models.specs import ModelError

# A mask at the very end is taken for the place of a full stop.
AFTER_MASK = "."


def asking_masks(encoder: Encoder, module: PreTrainedModel, name: str) -> Encoder:
    """The encoder that asks for a masked token after each prompt.

    Args:
        encoder: One that asks for nothing.
        module: The model.
        name: Of the model, for messages.

    Raises:
        ModelError: If the tokenizer has no mask.
    """
    tokenizer, longest = encoder.tokenizer, encoder.longest
    if tokenizer.mask_token_id is None:
        raise ModelError(
            f"the tokenizer of {name} has no mask token, in whose place an encoder is asked for an "
            "answer: set mask_token in its tokenizer_config.json."
        )
    suffix = f" {tokenizer.mask_token}{AFTER_MASK}"
    ids = list(tokenizer(f"Rome is{suffix}").input_ids)
    tail = ids[::-1].index(tokenizer.mask_token_id)
    longest = None if longest is None else longest - first_position(module)
    return replace(encoder, causal=False, suffix=suffix, tail=tail, longest=longest)


@torch.no_grad()
def own_logits(module: OneStream, batch: Batch) -> Float[Tensor, "tree d_vocab"]:
    """The model's own logits for the token after the start token; the prompts on the left side.

    Computed by transformers alone, so that the other forward can be compared with it.
    """
    start = torch.full_like(batch.ids[:, :1], module.config.decoder_start_token_id)
    given = {"input_ids": batch.ids, "attention_mask": batch.mask, "decoder_input_ids": start}
    logits: Tensor = module.own(**given, use_cache=False).logits
    return logits[:, -1]


@torch.no_grad()
def score_written(
    module: OneStream, batch: Batch, continuations: Sequence[Continuation]
) -> list[Scored]:
    """Score candidates that the decoder writes from its start token; the encoder is run once."""
    own, device = module.own, batch.ids.device
    wanted = _padded([c.tokens for c in continuations]).to(device)
    start = torch.full_like(wanted[:, :1], module.config.decoder_start_token_id)
    rows = batch.tree[[c.row for c in continuations]].to(device)
    memory = own.encoder(batch.ids, attention_mask=batch.mask).last_hidden_state
    logits = own(
        encoder_outputs=(memory[rows],),
        attention_mask=batch.mask[rows],
        decoder_input_ids=torch.cat([start, wanted[:, :-1].clamp_min(0)], dim=1),
        use_cache=False,
    ).logits
    return _scored(logits, wanted)


@torch.no_grad()
def score_masked(
    module: PreTrainedModel, batch: Batch, continuations: Sequence[Continuation], padding: int
) -> list[Scored]:
    """Score candidates at as many masked tokens as they have tokens, all masked at once.

    The log-probability of a candidate is the sum over its tokens: each is predicted without seeing
    the others, so that those of different lengths compare roughly. Of one token it is exact.
    """
    device = batch.ids.device
    # A prompt is read once for each number of tokens.
    places = dict.fromkeys((c.row, len(c.tokens)) for c in continuations)
    texts = [_with_masks(batch, row, count) for row, count in places]
    width = max(map(len, texts))
    ids = torch.full((len(texts), width), padding, device=device)
    mask = torch.zeros_like(ids)
    for number, text in enumerate(texts):
        ids[number, width - len(text) :], mask[number, width - len(text) :] = text, 1
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    with fused_attention(module):
        logits = module(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    order = {place: number for number, place in enumerate(places)}
    wanted = _padded([c.tokens for c in continuations]).to(device)
    # The first mask stands as far from the right end as the tokens from it on are long.
    first = [width - batch.tail - len(c.tokens) for c in continuations]
    columns = torch.tensor(first, device=device)[:, None] + torch.arange(
        wanted.shape[1], device=device
    )
    numbers = torch.tensor([order[c.row, len(c.tokens)] for c in continuations], device=device)
    return _scored(logits[numbers[:, None], columns.clamp_max(width - 1)], wanted)


def _with_masks(batch: Batch, row: int, count: int) -> Int[Tensor, " pos"]:
    """A prompt with `count` masks in the place of its one."""
    columns = torch.from_numpy(batch.columns[row])
    ids = batch.ids[int(batch.tree[row])][columns.to(batch.ids.device)]
    at = len(ids) - 1 - batch.tail
    return torch.cat([ids[:at], ids[at : at + 1].repeat(count), ids[at + 1 :]])


def _padded(tokens: Sequence[Sequence[int]]) -> Int[Tensor, "candidate token"]:
    width = max(map(len, tokens))
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in tokens])


def _scored(
    logits: Float[Tensor, "candidate token d_vocab"], wanted: Int[Tensor, "candidate token"]
) -> list[Scored]:
    """Sums over the wanted tokens; -1 counts for nothing."""
    logits, counted = logits.float().log_softmax(-1), wanted >= 0
    values = logits.gather(-1, wanted.clamp_min(0)[..., None]).squeeze(-1)
    total = torch.where(counted, values, 0.0).double().sum(1)
    greedy = ((logits.argmax(-1) == wanted) | ~counted).all(1)
    return [Scored(p, g) for p, g in zip(total.tolist(), greedy.tolist(), strict=True)]
