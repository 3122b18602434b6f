"""Requirements that claims share, and the bootstrap interval that they are judged by."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.effects import TaskEffects
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family

NO_ROOM = (0.05, 0.95)  # intact accuracy below or above: no answer can be lost, or few before much


def interval(values: np.ndarray, study: Study, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of a mean over items; nan values are left out. nan below two items."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap_mean(
        known, resamples=study.plan.resamples, level=level, seed=study.plan.seed
    )
    return float(found.low), float(found.high)


def no_headroom(task: str, effects: TaskEffects, row: int, study: Study, margin: float) -> str:
    """Why few lost answers would say nothing of a task; empty where they would.

    Where the intact model answers nearly all, its margin may shrink far before an answer is lost:
    then the logit difference of what is still answered must be spared too, by `margin` of it.

    Args:
        task: Its name.
        effects: On it.
        row: The intervention.
        study: For the seed and the number of resamples.
        margin: Share of the intact logit difference.
    """
    intact = float(np.nanmean(effects.before)) if len(effects.before) else float("nan")
    least, most = NO_ROOM
    if least <= intact <= most:
        return ""
    if intact < least:
        return f"{task} accuracy is {intact:.2f} intact, so that nothing can be lost"
    kept = effects.costs[row][effects.lost[row] <= 0]
    if not np.isfinite(kept).any():
        return ""
    low, high = interval(kept, study)
    if high < margin:
        return ""
    return (
        f"{task} accuracy is {intact:.2f} intact, which hides what is lost: answers that are kept "
        f"lose {float(np.nanmean(kept)):.2f} [{low:.2f}, {high:.2f}] of their logit difference"
    )


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


def beyond_same_process(
    name: str, effect: Effect, null: Float[np.ndarray, " contrast"], what: str, *, key: str = ""
) -> Evidence:
    """The requirement that a value lie beyond those of contrasts of one process.

    Args:
        name: Of the evidence.
        effect: The value; `method` is written here.
        null: Of the contrasts: their 95th percentile, or the largest of a few, is the bar.
        what: The contrasts, in words that follow their number.
        key: Of the evidence.
    """
    beyond = stats.beyond_same_process(effect.value, null)
    return Evidence(
        name,
        replace(effect, method=f"95th percentile of {len(null)} {what}"),
        threshold=beyond.threshold,
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
