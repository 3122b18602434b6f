"""Rank correlation of two measures over items."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from harness.stats.intervals import check_level
from harness.stats.samples import as_sample

# Correlations of two arrangements that are equal in exact arithmetic differ by less.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's rho with a permutation p; nan if undefined.

    Attributes:
        rho: Spearman's, -1 to 1, ties given their average rank.
        low: Lower end of its interval at `level`.
        high: Upper end.
        p: Two-sided, by permutation of the ranks.
        floor: The smallest p that the arrangements tried can give: 1 / (permutations + 1), or
            more if there are few items or many ties.
        level: Of the interval.
        items: How many.
    """

    rho: float
    low: float
    high: float
    p: float
    floor: float
    level: float
    items: int


def rank_correlation(
    x: Float[np.ndarray, " item"],
    y: Float[np.ndarray, " item"],
    *,
    permutations: int = 1000,
    seed: int = 0,
    blocks: Sequence[object] | None = None,
    level: float = 0.95,
) -> RankCorrelation:
    """Spearman's rho of two measures of the same items, tested by permuting one of them.

    The items as they are count as one permutation: p is at least 1 / (permutations + 1). If
    there are no more than `permutations` arrangements, all are tried and p is exact.
    If x or y is constant, everything but level and items is undefined and nan.

    The interval is Fisher's z with the standard error of Bonett and Wright 2000,
    sqrt((1 + rho^2 / 2) / (n - 3)), for independent items: it ignores blocks, is -1 to 1
    for three items, and has no width at rho ±1, where p alone shows the uncertainty.

    Args:
        x: One value for each item.
        y: The same items.
        permutations: Random arrangements, besides the identity.
        seed: Of the arrangements.
        blocks: A name for each item: items are permuted within their block only, so that what
            differs between blocks (layers, models) gives no small p. rho is still that over all
            items. Differs from `sign_flip_max`, where a block moves as a whole.
        level: Of the interval.

    Raises:
        ValueError: If there are fewer than three items, lengths differ, a value is not finite,
            or every block has a single item.

    Source: `scipy.stats.spearmanr`.
    """
    from scipy.stats import rankdata, spearmanr  # noqa: PLC0415  (half a second)

    first, second = as_sample(x, "x", 3), as_sample(y, "y", 3)
    if len(first) != len(second):
        raise ValueError(f"x has {len(first)} items and y {len(second)}; they must be the same.")
    check_level(level)
    order = _arrangements(_members(blocks, len(first)), permutations, seed)
    n = len(first)
    if first.min() == first.max() or second.min() == second.max():
        nan = math.nan
        return RankCorrelation(nan, nan, nan, nan, nan, level, n)
    rho = float(spearmanr(first, second).statistic)
    low, high = _fisher_interval(rho, n, level)
    one, two = _standardised(rankdata(first)), _standardised(rankdata(second))
    null = np.abs(two[order] @ one)
    return RankCorrelation(
        rho=rho,
        low=low,
        high=high,
        p=float((null >= null[0] - _TOLERANCE).mean()),
        floor=float((null >= null.max() - _TOLERANCE).mean()),
        level=level,
        items=n,
    )


def _members(blocks: Sequence[object] | None, items: int) -> list[list[int]]:
    """Positions of each block, in order of first appearance; one block if none are named."""
    if blocks is None:
        return [list(range(items))]
    if len(blocks) != items:
        raise ValueError(f"blocks names {len(blocks)} items; there are {items}.")
    members: dict[object, list[int]] = {}
    for position, block in enumerate(blocks):
        members.setdefault(block, []).append(position)
    if len(members) == items:
        raise ValueError(
            f"each of {items} items is a block of its own; nothing can be permuted within blocks, "
            "so name larger ones."
        )
    return list(members.values())


def _arrangements(
    members: list[list[int]], permutations: int, seed: int
) -> Int[np.ndarray, "arrangement item"]:
    """Positions shuffled within blocks, the identity first; all of them if there are few."""
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; at least 1 is needed.")
    place = np.concatenate(members)
    if math.prod(math.factorial(len(block)) for block in members) <= permutations:
        within = itertools.product(*(itertools.permutations(block) for block in members))
        shuffled = np.array([np.concatenate(blocks) for blocks in within])
    else:
        rng = np.random.default_rng(seed)
        shuffled = np.tile(place, (permutations + 1, 1))
        start = 0
        for block in members:
            part = shuffled[1:, start : start + len(block)]
            rng.permuted(part, axis=1, out=part)
            start += len(block)
    order = np.empty_like(shuffled)
    order[:, place] = shuffled
    return order


def _standardised(ranks: Float[np.ndarray, " item"]) -> Float[np.ndarray, " item"]:
    """Centred and of unit length: a product of two such is their correlation."""
    centred = ranks - ranks.mean()
    return np.asarray(centred / np.linalg.norm(centred))


def _fisher_interval(rho: float, n: int, level: float) -> tuple[float, float]:
    """Interval of a rank correlation on Fisher's scale."""
    if n <= 3:
        return -1.0, 1.0
    if abs(rho) >= 1:
        return rho, rho
    half = ndtri((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = math.atanh(rho)
    return math.tanh(centre - half), math.tanh(centre + half)
