"""Requirements that claims share, and the bootstrap interval that they are judged by."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

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


def lower_end(
    effect: Effect, n: int, name: str = "lower end of its 95 % interval", threshold: float = 0
) -> Evidence:
    """The requirement that an effect's interval lie above a threshold."""
    assert effect.interval is not None
    return Evidence(name, Effect(effect.name, effect.interval[0]), threshold, ">", n=n)


def spared(
    name: str,
    lost: Float[np.ndarray, " pair"],
    study: Study,
    *,
    margin: float,
    alpha: float,
    method: str,
    published: str = "",
) -> Evidence:
    """The requirement that fewer than `margin` of the pairs lose an answer, by equivalence.

    Args:
        name: Of the evidence.
        lost: Share of each pair's answers that is lost, of pairs that were right.
        study: For the seed and the number of resamples.
        margin: Share of pairs.
        alpha: Of the test.
        method: How it was measured, in words.
        published: What the literature reports.
    """
    test = stats.equivalence_share(int((lost > 0).sum()), len(lost), margin)
    between = interval(lost, study, 0.90)
    return Evidence(
        name,
        Effect("accuracy drop", float(lost.mean(dtype=np.float64)), between, 0.90, method),
        threshold=margin,
        relation="<",
        p_adjusted=float(test.p),
        alpha=alpha,
        floor=float(test.floor),
        n=len(lost),
        published=published,
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
