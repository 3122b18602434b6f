"""Tests of absence: is an effect smaller than a margin.

A difference that was not found may exist and be missed. Here the null hypothesis is that the
effect reaches the margin, so a small p says that it does not; few items cannot give a small p.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.stats.samples import as_sample


@dataclass(frozen=True, slots=True)
class ShareBound:
    """A share with its exact test against a margin.

    Attributes:
        share: Lost among `n`, 0 to 1.
        upper: Exact one-sided upper bound of the share at 1 - `alpha`.
        p: Small where the share is below `margin`; at most `alpha` where `upper` is within it.
        floor: p if nothing had been lost, the smallest for this n and margin.
        margin: The smallest share that would matter.
        alpha: Of the bound.
        n: Items.
    """

    share: float
    upper: float
    p: float
    floor: float
    margin: float
    alpha: float
    n: int


@dataclass(frozen=True, slots=True)
class MeanBound:
    """A mean with its test against a margin on either side, in the unit of the differences.

    Attributes:
        mean: Of the differences.
        low: Lower end of the interval at 1 - 2 `alpha`.
        high: Upper end.
        p: Small where the mean lies inside ±`margin`; at most `alpha` where the interval does.
        margin: The smallest mean that would matter, either way.
        alpha: Of each one-sided test.
        n: Items.
    """

    mean: float
    low: float
    high: float
    p: float
    margin: float
    alpha: float
    n: int


def equivalence_share(lost: int, n: int, margin: float, *, alpha: float = 0.05) -> ShareBound:
    """Exact test that a share below `margin` is lost, of `n` items that were answered correctly.

    p is the probability of losing no more than `lost` if the true share were `margin`. Two
    one-sided tests would ask for no more: a share cannot be negative, so the test against
    -margin rejects whatever the data, and the larger of both p is that of the upper test.
    The bound is Clopper and Pearson's. Items must be independent; count facts.

    Raises:
        ValueError: If there are no items, more lost than there are, or a margin or alpha
            outside 0 to 1.

    Source: `scipy.stats.binomtest(alternative="less")`.
    """
    from scipy.stats import binomtest  # noqa: PLC0415  (half a second to import)

    if n < 1 or not 0 <= lost <= n or not 0 < margin < 1 or not 0 < alpha < 1:
        raise ValueError(
            f"{lost} lost of {n} with margin {margin} and alpha {alpha}; expected at least one "
            "item, no more lost than there are, and margin and alpha between 0 and 1."
        )
    test = binomtest(int(lost), int(n), margin, alternative="less")
    return ShareBound(
        share=lost / n,
        upper=float(test.proportion_ci(1 - alpha).high),
        p=float(test.pvalue),
        floor=float((1 - margin) ** n),
        margin=float(margin),
        alpha=float(alpha),
        n=int(n),
    )


def equivalence_mean(
    differences: Float[np.ndarray, " item"], margin: float, *, alpha: float = 0.05
) -> MeanBound:
    """Two one-sided t-tests (TOST) that a mean lies inside ±`margin`; p is the larger of both.

    Differences without any spread have p 0 inside the margin and 1 on it or outside: what t
    tends to as the spread shrinks. With few items that says more about the measure (saturated,
    rounded) than about the mean; where items are correct or wrong use `equivalence_share`.

    Args:
        differences: One for each independent item, such as after minus before.
        margin: In their unit, positive.
        alpha: Of each one-sided test; the interval is at 1 - 2 alpha, 90% by default.

    Raises:
        ValueError: If there are fewer than two items, one is not finite, or the margin or
            alpha is impossible.

    Source: Schuirmann 1987, `statsmodels.stats.weightstats.DescrStatsW.ttost_mean`.
    """
    from statsmodels.stats.weightstats import DescrStatsW  # noqa: PLC0415  (a second to import)

    sample = as_sample(differences, "differences", 2)
    if not 0 < margin < np.inf or not 0 < alpha < 0.5:
        raise ValueError(
            f"margin is {margin} and alpha {alpha}; expected a positive finite margin and an "
            "alpha between 0 and a half."
        )
    described = DescrStatsW(sample)
    if sample.min() == sample.max() or described.std_mean == 0:
        mean = low = high = float(sample[0])
        p = float(abs(mean) >= margin)
    else:
        mean, p = float(described.mean), float(described.ttost_mean(-margin, margin)[0])
        low, high = (float(end) for end in described.tconfint_mean(alpha=2 * alpha))
    return MeanBound(mean, low, high, p, float(margin), float(alpha), len(sample))
