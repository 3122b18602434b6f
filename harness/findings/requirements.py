"""Requirements that claims share, and the bootstrap interval that they are judged by."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence


def interval(
    values: np.ndarray, study: Study, relations: np.ndarray | None = None
) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean; nan values are left out. nan below two of them.

    Args:
        values: Of each item.
        study: Its plan has the resamples and the seed.
        relations: Of the items, which are resampled with them; None, or all alike, where
            the materials state no relations: then items are the unit.
    """
    known = ~np.isnan(values)
    if known.sum() < 2:
        return float("nan"), float("nan")
    kept = values[known]
    if relations is not None and several(relations[known]):
        return interval_within(lambda weights: float(weights @ kept), relations[known], study)
    found = stats.bootstrap_mean(kept, resamples=study.plan.resamples, seed=study.plan.seed)
    return float(found.low), float(found.high)


def several(relations: np.ndarray) -> bool:
    """Whether there are relations to resample."""
    return len(set(relations.tolist())) > 1


def sampled(relations: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The sample of each item that two runs are compared on: its relation, or its pair."""
    return relations if several(relations) else pairs


def interval_within(
    statistic: Callable[[Float[np.ndarray, " item"]], float], relations: np.ndarray, study: Study
) -> tuple[float, float]:
    """The 95 % interval of a number over relations and the items within them.

    Args:
        statistic: From a weight for each item, all alike in the sample; they sum to 1.
        relations: Of the items; at least two.
        study: Its plan has the resamples and the seed.
    """
    _, place, size = np.unique(relations.astype(str), return_inverse=True, return_counts=True)

    def weighted(of_relations: Float[np.ndarray, " item"]) -> float:
        weights = of_relations * size[place]
        return statistic(weights / weights.sum())

    found = stats.bootstrap_statistic(
        weighted,
        relations.astype(str),
        np.arange(len(relations)),
        resamples=study.plan.resamples,
        seed=study.plan.seed,
    )
    return float(found.low), float(found.high)


def beyond_same_process(
    name: str,
    effect: Effect,
    null: Float[np.ndarray, " contrast"],
    what: str,
    *,
    each: Bool[np.ndarray, " contrast"] | None = None,
    key: str = "",
) -> Evidence:
    """The requirement that a value lie beyond those of contrasts of one process.

    Args:
        name: Of the evidence.
        effect: The value; `method` is written here.
        null: Of the contrasts: their 95th percentile, or the largest of a few, is the bar.
        what: The contrasts, in words that follow their number.
        each: Those that must each be exceeded, as they differ alike in every relation.
        key: Of the evidence.
    """
    beyond = stats.beyond_same_process(effect.value, null)
    method, most = f"95th percentile of {len(null)} {what}", beyond.threshold
    if each is not None and each.any():
        most = max(most, float(null[each].max()))
        method += f", and each of {int(each.sum())} that differ alike in every relation"
    return Evidence(
        name,
        replace(effect, method=method),
        threshold=most,
        relation=">",
        p=beyond.p,
        n=len(null),
        key=key,
    )


def beyond_chance(
    name: str,
    effect: Effect,
    null: Float[np.ndarray, " draw"],
    what: str,
    *,
    alpha: float,
    n: int,
) -> Evidence:
    """The requirement that a value lie beyond the 95th percentile of random draws, by rank.

    Args:
        name: Of the evidence.
        effect: The value, measured on the items that the draws were measured on.
        null: Of the draws.
        what: The draws, in words that follow their number.
        alpha: Of the test.
        n: Units that all of it was measured on.
    """
    test = stats.exceedance(effect.value, null)
    said = f"threshold: 95th percentile of {len(null)} {what}; their median {np.median(null):.2f}"
    return Evidence(
        name,
        replace(effect, method=f"{effect.method}; {said}" if effect.method else said),
        threshold=float(test.quantile),
        relation=">",
        p_adjusted=float(test.p),
        alpha=alpha,
        floor=float(test.floor),
        n=n,
    )
