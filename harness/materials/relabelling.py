"""Task labels exchanged at random: on such materials there is nothing, or less, to be found.

The instrument's error rates are measured on them: everything downstream just sees labels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from harness.materials.items import Item, PromptSet, paired


def shuffle_labels(prompts: PromptSet, share: float, seed: int) -> PromptSet:
    """The set with the labels of the contrasted tasks exchanged by a fair coin in some pairs.

    The pairs are `round(share * pairs)` of those that hold both tasks, chosen at random. A pair
    that is chosen keeps its labels or has all of them exchanged: its expected contrast is 0, so
    the set's is (1 - share) times what it was, and with share 1 the null hypothesis is exact,
    because every pattern of signs is equally likely.

    Pairs without a partner of the other task have no labels to exchange within them: there the
    labels of as large a share are permuted among the pairs of a split and domain.

    Choice and coin depend on the seed and on the pair's name alone, so that a pair is exchanged
    alike in the plain and in the crossed set of one drawing. A third task keeps its labels.

    Args:
        prompts: The set; all else about it stays as it is.
        share: 0 (nothing happens) to 1.
        seed: Of the choice and of the coins.
    """
    if not share:
        return prompts
    both = list(paired(prompts.items, prompts.tasks))
    labels = _exchanged(both, prompts.tasks, share, seed)
    labels |= _permuted(prompts, set(both), share, seed)
    items = (_relabelled(item, labels) for item in prompts.items)
    return replace(prompts, items=tuple(items))


def _exchanged(
    pairs: list[str], tasks: tuple[str, str], share: float, seed: int
) -> dict[tuple[str, str], str]:
    """New label by pair and old label, for those whose coin says so."""
    chosen = sorted(pairs, key=lambda pair: _drawn(seed, pair, "choice"))
    flipped = [p for p in chosen[: round(share * len(pairs))] if _drawn(seed, p, "coin")[0] & 1]
    swap = zip(tasks, tasks[::-1], strict=True)
    return {(pair, old): new for old, new in swap for pair in flipped}


def _permuted(
    prompts: PromptSet, both: set[str], share: float, seed: int
) -> dict[tuple[str, str], str]:
    """New label by pair and old label, of pairs that hold one task only."""
    alone: dict[tuple[str, str], dict[str, str]] = {}
    for item in prompts.items:
        if item.task in prompts.tasks and item.pair not in both:
            alone.setdefault((item.split, item.domain), {})[item.pair] = item.task
    labels: dict[tuple[str, str], str] = {}
    for task_of in alone.values():
        order = sorted(task_of, key=lambda pair: _drawn(seed, pair, "choice"))
        chosen = order[: round(share * len(order))]
        givers = sorted(chosen, key=lambda pair: _drawn(seed, pair, "coin"))
        labels |= {
            (pair, task_of[pair]): task_of[giver]
            for pair, giver in zip(chosen, givers, strict=True)
        }
    return labels


def _drawn(seed: int, pair: str, what: str) -> bytes:
    """Sixteen random bytes that belong to this pair."""
    return hashlib.blake2b(f"{seed}/{what}/{pair}".encode(), digest_size=16).digest()


def _relabelled(item: Item, labels: Mapping[tuple[str, str], str]) -> Item:
    new = labels.get((item.pair, item.task), item.task)
    return item if new == item.task else replace(item, task=new)


def relabelled(prompts: PromptSet, seed: int) -> PromptSet:
    """The set with the task labels of random pairs exchanged."""
    generator = np.random.default_rng(seed)
    flip = dict(zip(prompts.pairs, generator.integers(0, 2, len(prompts.pairs)), strict=True))
    other = {prompts.tasks[0]: prompts.tasks[1], prompts.tasks[1]: prompts.tasks[0]}
    items = tuple(
        replace(i, task=other[i.task]) if flip[i.pair] and i.task in other else i
        for i in prompts.items
    )
    return replace(prompts, items=items)
