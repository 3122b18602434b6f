"""Sets with task labels exchanged at random: there is nothing, or less, to be found in them.

The error rates of the instrument are measured on such sets. The exchanges are drawn by
`harness.stats.exchange`; here they are applied to items.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from harness import stats
from harness.materials.items import Item, PromptSet, paired

Relabelling = Mapping[tuple[str, str], str]  # (pair, old label) to new label


def shuffle_labels(prompts: PromptSet, share: float, seed: int) -> PromptSet:
    """The set with the labels of the contrasted tasks exchanged by a fair coin in some pairs.

    The pairs are `round(share * pairs)` of those that hold both tasks, chosen at random. A chosen
    pair keeps its labels or has all of them exchanged: its expected contrast is 0, so that of the
    set is (1 - share) times what it was, and with share 1 the null hypothesis is exact, because
    every pattern of signs is equally likely.

    Pairs without a partner of the other task have no labels to exchange within them: there the
    labels of the same share are permuted among the pairs of a split and domain.

    Choice and coin depend on the seed and on the pair's name alone, so that a pair is exchanged
    alike in the plain and in the crossed set of one drawing. A third task keeps its labels.

    Args:
        prompts: The set; everything else about it stays as it is.
        share: 0 (nothing happens) to 1.
        seed: Of the choice and of the coins.
    """
    if not share:
        return prompts
    if prompts.second:  # shuffled by itself
        again = shuffle_labels(replace(prompts, items=prompts.second, second=()), share, seed)
        prompts = replace(prompts, second=again.items)
    both = tuple(paired(prompts.items, prompts.tasks))
    signs = stats.signs_by_name(both, share=share, seed=seed)
    exchanged = _exchanged(prompts.tasks, (pair for pair, sign in signs.items() if sign < 0))
    permuted = _permuted(prompts, frozenset(both), share, seed)
    return _with_labels(prompts, exchanged | permuted)


def flip_pairs(prompts: PromptSet, seed: int) -> PromptSet:
    """The set with the task labels of every pair exchanged or kept, by a fair coin."""
    pairs = prompts.pairs
    (signs,) = stats.random_signs(np.arange(len(pairs)), draws=1, seed=seed)
    flipped = (pair for pair, sign in zip(pairs, signs, strict=True) if sign < 0)
    return _with_labels(prompts, _exchanged(prompts.tasks, flipped))


def _exchanged(tasks: tuple[str, str], pairs: Iterable[str]) -> dict[tuple[str, str], str]:
    """New labels where both labels of these pairs are exchanged."""
    swap = tuple(zip(tasks, tasks[::-1], strict=True))
    return {(pair, old): new for pair in pairs for old, new in swap}


def _permuted(
    prompts: PromptSet, both: Collection[str], share: float, seed: int
) -> dict[tuple[str, str], str]:
    """New labels of the pairs that hold one task only."""
    alone: dict[tuple[str, str], dict[str, str]] = {}
    for item in prompts.items:
        if item.task in prompts.tasks and item.pair not in both:
            alone.setdefault((item.split, item.domain), {})[item.pair] = item.task
    return {
        (pair, task_of[pair]): new
        for task_of in alone.values()
        for pair, new in stats.permuted_by_name(task_of, share=share, seed=seed).items()
    }


def _with_labels(prompts: PromptSet, labels: Relabelling) -> PromptSet:
    asks = {item.task: (item.source, item.steps) for item in prompts.items}
    items = tuple(_relabelled(item, labels, asks) for item in prompts.items)
    return replace(prompts, items=items)


def _relabelled(item: Item, labels: Relabelling, asks: Mapping[str, tuple[str, int]]) -> Item:
    """The item under its new label, with the source and the steps that the label stands for."""
    new = labels.get((item.pair, item.task), item.task)
    if new == item.task:
        return item
    source, steps = asks[new]
    return replace(item, task=new, source=source, steps=steps)
