"""Requirements that claims share, and the bootstrap interval that they are judged by."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family


def interval(values: np.ndarray, study: Study, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of a mean over items; nan values are left out. nan below two items."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap_mean(
        known, resamples=study.plan.resamples, level=level, seed=study.plan.seed
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
    family: Family | None = None,
) -> Evidence:
    """The requirement that a value lie beyond the 95th percentile of random draws, by rank.

    Args:
        name: Of the evidence.
        effect: The value, measured on the items that the draws were measured on.
        null: Of the draws.
        what: The draws, in words that follow their number.
        alpha: Of the test.
        n: Units that all of it was measured on.
        family: What the draws are, where it is to be shown.
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
        family=family,
        n=n,
    )
