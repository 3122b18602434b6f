"""The surface of prompts: what gives the task away without understanding.

Crossed prompts are balanced exactly; for other sets this measures how much words, positions and
lengths differ. Only token ids are needed of a model.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Float, Int

from harness import stats
from harness.materials.items import DISCOVERY, Item, MaterialsError, PromptSet

MOST_TOKENS = 4096  # features: the tokens that occur in most prompts


@dataclass(frozen=True, slots=True)
class Balance:
    """Largest absolute differences of counts between two tasks; 0 is exactly balanced.

    Attributes:
        tokens: Of any token's occurrences.
        positions: Of any token's occurrences at one position, from the left or from the right.
        lengths: Of prompts of any one length in tokens.
    """

    tokens: int
    positions: int
    lengths: int

    @property
    def exact(self) -> bool:
        """Whether nothing differs."""
        return not (self.tokens or self.positions or self.lengths)


def token_balance(
    items: Sequence[Item], token_ids: Sequence[Sequence[int]], tasks: tuple[str, str]
) -> Balance:
    """How evenly tokens, their positions and lengths are spread over two tasks.

    Counts are not scaled: tasks with different numbers of prompts are not balanced. Items of other
    tasks are left out.

    Raises:
        ValueError: If there are not as many rows of token ids as items, or no item of a task.
    """
    treated, control = (_rows(items, token_ids, task) for task in tasks)
    rows = [*treated, *control]
    lengths = np.array([len(row) for row in rows])
    tokens = np.unique(np.fromiter(chain.from_iterable(rows), np.int64), return_inverse=True)[1]
    sides = np.repeat([1, -1], [len(treated), len(control)])
    side = np.repeat(sides, lengths)
    left = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    right = np.repeat(lengths, lengths) - 1 - left
    most = tokens.max(initial=0) + 1
    return Balance(
        tokens=_differ(tokens, side),
        positions=max(_differ(place * most + tokens, side) for place in (left, right)),
        lengths=_differ(lengths, sides),
    )


def _differ(keys: Int[np.ndarray, " n"], side: Int[np.ndarray, " n"]) -> int:
    """Largest absolute difference between the counts of one key on the two sides, 1 and -1."""
    found = np.unique(keys, return_inverse=True)[1]
    return int(np.abs(np.bincount(found, weights=side)).max(initial=0))


def _rows(
    items: Sequence[Item], token_ids: Sequence[Sequence[int]], task: str
) -> list[Sequence[int]]:
    if len(items) != len(token_ids):
        raise ValueError(f"{len(token_ids)} rows of token ids for {len(items)} items")
    rows = [row for item, row in zip(items, token_ids, strict=True) if item.task == task]
    if not rows:
        raise ValueError(f"no item of task {task!r} to compare")
    return rows


def surface_features(
    items: Sequence[Item], token_ids: Sequence[Sequence[int]], *, most: int = MOST_TOKENS
) -> Float[np.ndarray, "prompt feature"]:
    """Occurrences of each token, then length in tokens, label asked and order of questions.

    At most `most` tokens, those that occur in most prompts, in order of their ids; label and order
    are 0 where a prompt is not crossed. For `stats.surface_auc`.

    Raises:
        ValueError: If there are not as many rows of token ids as items.
    """
    if len(items) != len(token_ids):
        raise ValueError(f"{len(token_ids)} rows of token ids for {len(items)} items")
    counts = [Counter(row) for row in token_ids]
    prompts_with = Counter(chain.from_iterable(counts))
    kept = sorted(sorted(prompts_with, key=lambda token: (-prompts_with[token], token))[:most])
    column = {token: i for i, token in enumerate(kept)}
    features = np.zeros((len(items), len(kept) + 3), dtype=np.float32)
    for i, (item, count, row) in enumerate(zip(items, counts, token_ids, strict=True)):
        known = [token for token in count if token in column]
        features[i, [column[token] for token in known]] = [count[token] for token in known]
        features[i, len(kept) :] = len(row), item.label, item.order
    return features


def word_ids(items: Sequence[Item]) -> list[list[int]]:
    """Words and marks of every prompt as numbers: the surface that no tokenizer changes."""
    known: dict[str, int] = {}
    return [
        [known.setdefault(word, len(known)) for word in re.findall(r"\w+|[^\w\s]", item.prompt)]
        for item in items
    ]


def transfer_between_relations(
    prompts: PromptSet, token_ids: Sequence[Sequence[int]] | None = None
) -> stats.Transfer | None:
    """How well words of discovery items of some relations tell the tasks apart in another one.

    None where fewer than two relations are asked about. `token_ids` of every item stand for its
    words, to see what a tokenizer gives away.
    """
    rows = word_ids(prompts.items) if token_ids is None else token_ids
    asked = [i for i, item in enumerate(prompts.items) if item.task in prompts.tasks]
    items = [prompts.items[i] for i in asked]
    relations = [item.relation for item in items]
    if len(set(relations)) < 2:
        return None
    return stats.transfer_auc(
        surface_features(items, [rows[i] for i in asked]),
        np.array([item.task == prompts.tasks[0] for item in items]),
        relations,
        np.array([item.split == DISCOVERY for item in items]),
    )


def refuse_if_told_apart(prompts: PromptSet) -> None:
    """Refuse a set whose words tell the tasks apart in relations they were not learnt from.

    Raises:
        MaterialsError: If a half is not in the interval of the AUC.
    """
    found = transfer_between_relations(prompts)
    if found is not None and not found.at_chance:
        raise MaterialsError(
            f"{prompts.name}: words alone tell {' and '.join(prompts.tasks)} apart in relations "
            f"they were not learnt from, AUC {found.auc:.2f} [{found.low:.2f}, {found.high:.2f}]: "
            "ask with the same words in both, or take the crossed set."
        )
