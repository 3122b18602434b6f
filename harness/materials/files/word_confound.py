"""How well a classifier separates two classes of prompts by their words."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from harness import stats
from harness.materials.files.confounds import auc_within, codes, groupings_of
from harness.materials.items import Item, PromptSet, paired
from harness.materials.surface import surface_features

MOST_PROMPTS = 2000  # for the classifier
MOST_WORDS = 1000
FOLDS = 5
WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class WordsAuc:
    """Cross-validated AUC of a classifier of words, and its numbers of prompts and words.

    Attributes:
        within: With words counted against the mean of the prompt's group, by grouping.
    """

    value: float
    within: Mapping[str, float | None]
    prompts: int
    words: int


def words_auc(prompts: PromptSet) -> WordsAuc | None:
    """AUC of a classifier on which words occur, and how many; pairs kept in one fold.

    Within a group, what is common to it is taken out; where no pair holds both tasks, and there are
    groups enough, they are kept in one fold instead. At most `MOST_PROMPTS` prompts,
    whole pairs drawn at random, and the `MOST_WORDS` words that occur in most of them. None if
    there are too few prompts for it.
    """
    items = _sample([i for i in prompts.items if i.task in prompts.tasks])
    treated = np.array([item.task == prompts.tasks[0] for item in items])
    listed = [WORD.findall(item.prompt.lower()) for item in items]
    number = {word: n for n, word in enumerate(sorted({w for row in listed for w in row}))}
    features = surface_features(
        items, [[number[word] for word in row] for row in listed], most=MOST_WORDS
    )
    pairs = codes(item.pair for item in items)
    value = _fitted(features, treated, pairs)
    if value is None:
        return None
    within = {}
    for by, groups in groupings_of(items).items():
        kept = groups if not paired(items, prompts.tasks) and _enough(groups, treated) else pairs
        within[by] = (
            _fitted(_centred(features, groups), treated, kept)
            if auc_within(np.zeros(len(items)), treated, groups)
            else None
        )
    return WordsAuc(value, within, len(items), min(len(number), MOST_WORDS))


def _sample(items: list[Item]) -> list[Item]:
    """The items of whole pairs, drawn at random until there are enough, in their own order."""
    if len(items) <= MOST_PROMPTS:
        return items
    names = list(dict.fromkeys(item.pair for item in items))
    random.Random(0).shuffle(names)
    sizes = dict.fromkeys(names, 0)
    for item in items:
        sizes[item.pair] += 1
    drawn: set[str] = set()
    count = 0
    for name in names:
        if count >= MOST_PROMPTS:
            break
        drawn.add(name)
        count += sizes[name]
    return [item for item in items if item.pair in drawn]


def _enough(groups: Int[np.ndarray, " item"], treated: Bool[np.ndarray, " item"]) -> bool:
    return min(len(np.unique(groups[treated == side])) for side in (False, True)) >= FOLDS


def _fitted(
    features: Float[np.ndarray, "item feature"],
    treated: Bool[np.ndarray, " item"],
    groups: Int[np.ndarray, " item"],
) -> float | None:
    if not _enough(groups, treated):
        return None
    named = [str(group) for group in groups]
    try:
        return stats.surface_auc(features, treated, named, folds=FOLDS, seed=0)
    except stats.TooFewGroups:
        return None


def _centred(
    features: Float[np.ndarray, "item feature"], groups: Int[np.ndarray, " item"]
) -> Float[np.ndarray, "item feature"]:
    """Features minus their mean over the item's group."""
    sums = np.zeros((groups.max() + 1, features.shape[1]))
    np.add.at(sums, groups, features)
    means = sums / np.bincount(groups)[:, None]
    return np.asarray(features - means[groups], dtype=np.float32)
