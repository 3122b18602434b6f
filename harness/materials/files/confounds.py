"""Confounds: surface differences between two classes of prompts: length, digits, subject.

An AUC is the probability that a prompt of one class has more of something than a prompt of the
other, ties counted half; .5 is chance, 1 separates completely. Intervals are at 95 % and treat
pairs, or other units given, as the sampled units.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int

from harness.materials.items import Item, PromptSet, stands_in

LEVEL = 0.95
CLEAR = 0.55  # an AUC that is worth mentioning; the bound of h0 for surface features
MEASURES: Mapping[str, Callable[[Item], float]] = {
    "length in characters": lambda item: len(item.prompt),
    "length in words": lambda item: len(item.prompt.split()),
    "digits present": lambda item: bool(re.search(r"\d", item.prompt)),
}
ANSWERS: Mapping[str, Callable[[Item], float]] = {  # where every item has them
    "the answer in the prompt": lambda item: stands_in(item.answer, item.prompt),
    "distractors in the prompt": lambda item: (
        sum(stands_in(text, item.prompt) for text in item.distractors) / len(item.distractors)
    ),
}


@dataclass(frozen=True, slots=True)
class Auc:
    """An AUC with its interval; the interval is None where it cannot be computed."""

    value: float
    interval: tuple[float, float] | None = None

    @property
    def clear(self) -> bool:
        """Whether it is above `CLEAR`, and its interval above chance (.5)."""
        return self.value > CLEAR and (self.interval is None or self.interval[0] > 0.5)

    def turned(self) -> "Auc":
        """The AUC of the other class."""
        low, high = self.interval or (0.0, 0.0)
        return Auc(1 - self.value, (1 - high, 1 - low) if self.interval else None)


@dataclass(frozen=True, slots=True)
class Confound:
    """How well one measure separates the classes.

    Attributes:
        greater: The task with the larger values; empty where there is no order.
        auc: For the greater task.
        within: The same among prompts of one group only (one pair, subject or template), by the
            name of the grouping; None where no group holds both tasks.
    """

    name: str
    greater: str
    auc: Auc
    within: Mapping[str, Auc | None]


def confounds_of(prompts: PromptSet, tokens: Sequence[int] | None = None) -> list[Confound]:
    """How each measure separates the two tasks of a set, with that of subject and template alone.

    Args:
        prompts: Items of a third task are left out.
        tokens: Length of each item in tokens, if there is a tokenizer.
    """
    keep = [n for n, item in enumerate(prompts.items) if item.task in prompts.tasks]
    items = [prompts.items[n] for n in keep]
    treated = np.array([item.task == prompts.tasks[0] for item in items])
    groupings = groupings_of(items)
    values = {name: [of(item) for item in items] for name, of in MEASURES.items()}
    if all(item.answer and item.distractors for item in items):
        values |= {name: [of(item) for item in items] for name, of in ANSWERS.items()}
    if tokens is not None:
        values["length in tokens"] = [tokens[n] for n in keep]
    pairs = codes(item.pair for item in items)
    rows = [
        _separation(name, prompts.tasks, np.asarray(column, float), treated, pairs, groupings)
        for name, column in values.items()
    ]
    for name, groups in groupings.items():
        if name != "pair":
            scores = label_scores(groups, treated, pairs)
            rows.append(Confound(f"{name} alone", "", auc(scores, treated, pairs), {}))
    return rows


def groupings_of(items: Sequence[Item]) -> dict[str, Int[np.ndarray, " item"]]:
    """What the items are grouped by, where there are groups: pair, subject (domain), template."""
    named: dict[str, list[str]] = {
        "pair": [item.pair for item in items],
        "subject": [item.domain for item in items],
        "template": [item.template for item in items],
    }
    return {name: codes(names) for name, names in named.items() if 1 < len(set(names)) < len(items)}


def codes(names: Iterable[Hashable]) -> Int[np.ndarray, " item"]:
    """Whole numbers from 0, the same for the same name, in order of appearance."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names])


def _separation(
    name: str,
    tasks: tuple[str, str],
    values: Float[np.ndarray, " item"],
    treated: Bool[np.ndarray, " item"],
    pairs: Int[np.ndarray, " item"],
    groupings: Mapping[str, Int[np.ndarray, " item"]],
) -> Confound:
    found = auc(values, treated, pairs)
    turn = found.value < 0.5
    within = {by: auc_within(values, treated, groups) for by, groups in groupings.items()}
    return Confound(
        name,
        tasks[1] if turn else tasks[0],
        found.turned() if turn else found,
        {by: a.turned() if turn and a is not None else a for by, a in within.items()},
    )


def auc(
    values: Float[np.ndarray, " item"],
    treated: Bool[np.ndarray, " item"],
    units: Int[np.ndarray, " item"],
) -> Auc:
    """AUC of one measure with an interval that keeps the items of a unit together.

    The variance is DeLong's over placements, summed by unit (Obuchowski 1997), the interval
    symmetric on the log-odds scale. Differs: classes that do not overlap have no interval.
    """
    first, second = values[treated], values[~treated]
    placed = np.empty(len(values))
    placed[treated] = _share_below(first, second)
    placed[~treated] = 1 - _share_below(second, first)
    value = float(placed[treated].mean())
    influence = (placed - value) / np.where(treated, len(first), len(second))
    by_unit = np.bincount(units, weights=influence)
    return _with_interval(value, by_unit)


def auc_within(
    values: Float[np.ndarray, " item"],
    treated: Bool[np.ndarray, " item"],
    groups: Int[np.ndarray, " item"],
) -> Auc | None:
    """AUC over comparisons inside a group, all groups together; the unit is the group.

    Groups weigh by their number of comparisons. None if no group holds both classes.
    """
    sizes = [np.bincount(groups[treated == side], minlength=groups.max() + 1) for side in (1, 0)]
    comparisons = np.multiply(*sizes, dtype=float)
    if not comparisons.any():
        return None
    placed = np.where(treated, _below_in_group(values, ~treated, groups), 0)
    wins = np.bincount(groups, weights=placed)
    value = float(wins.sum() / comparisons.sum())
    influence = (wins - value * comparisons)[comparisons > 0] / comparisons.sum()
    return _with_interval(value, influence)


def _below_in_group(
    values: Float[np.ndarray, " item"],
    counted: Bool[np.ndarray, " item"],
    groups: Int[np.ndarray, " item"],
) -> Float[np.ndarray, " item"]:
    """For each item, the counted ones of its group with smaller values; equal ones count half.

    All groups at once: a loop over 50,000 pairs takes seconds.
    """
    order = np.lexsort((values, groups))
    group, value = groups[order], values[order]
    before = np.concatenate([[0], np.cumsum(counted[order])])  # counted ones before each place
    new_group = np.r_[True, np.diff(group) != 0]
    new_value = new_group | np.r_[True, np.diff(value) != 0]
    run = np.cumsum(new_value) - 1
    starts = np.flatnonzero(new_value)
    ends = np.r_[starts[1:], len(order)]
    group_start = np.flatnonzero(new_group)[np.cumsum(new_group) - 1]
    below = np.empty(len(order))
    below[order] = (before[starts] + before[ends])[run] / 2 - before[group_start]
    return below


def _share_below(
    values: Float[np.ndarray, " a"], others: Float[np.ndarray, " b"]
) -> Float[np.ndarray, " a"]:
    """Share of the others below each value, ties counted half."""
    others = np.sort(others)
    below, upto = (np.searchsorted(others, values, side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(others)))


def _with_interval(value: float, influence: Float[np.ndarray, " unit"]) -> Auc:
    units = len(influence)
    if units < 2 or not 0 < value < 1:
        return Auc(value)
    error = float(np.sqrt(units / (units - 1) * np.square(influence).sum()))
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle, reach = np.log(value / (1 - value)), z * error / (value * (1 - value))
    low, high = (float(1 / (1 + np.exp(-x))) for x in (middle - reach, middle + reach))
    return Auc(value, (low, high))


def label_scores(
    groups: Int[np.ndarray, " item"],
    treated: Bool[np.ndarray, " item"],
    units: Int[np.ndarray, " item"],
) -> Float[np.ndarray, " item"]:
    """For each item, the share of treated items of its group in the other half of the units.

    Halves are drawn at random; a group that is not in the other half scores the overall share.
    """
    half = (np.random.default_rng(0).permutation(units.max() + 1) % 2)[units]
    scores = np.full(len(groups), treated.mean())
    for side in (0, 1):
        size = np.bincount(groups[half != side], minlength=groups.max() + 1)
        hits = np.bincount(groups[half != side], weights=treated[half != side], minlength=len(size))
        here = (half == side) & (size[groups] > 0)
        scores[here] = hits[groups[here]] / size[groups[here]]
    return scores
