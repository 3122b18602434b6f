"""What an edit does to correct and to wrong answers, item by item."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from harness.stats.samples import as_answers


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Correct and wrong answers to the same items, before and after.

    Attributes:
        lost: Items correct before and wrong after.
        gained: Items wrong before and correct after.
        items: All of them, changed or not.
        p: Two-sided: as many are lost as gained.
    """

    lost: int
    gained: int
    items: int
    p: float


def mcnemar(before: Shaped[np.ndarray, " item"], after: Shaped[np.ndarray, " item"]) -> PairedTest:
    """Exact McNemar test: of the items whose answer changed, do more change one way than the other.

    Items must be independent; several prompts of one fact are not, so count facts. If no answer
    changed, p is 1: nothing was lost, but that does not prove that nothing can be lost
    (`binomial_interval` gives a bound). Items selected for being correct before can only be lost,
    and some are lost by chance alone: give all items, or compare with a matched control.

    Args:
        before: True or 1 for correct, False or 0 for wrong.
        after: The same items in the same order.

    Raises:
        ValueError: If an array is empty or no vector, the lengths differ, or an answer is
            neither 0 nor 1.

    Source: McNemar 1947, `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.
    """
    from statsmodels.stats.contingency_tables import (  # noqa: PLC0415
        mcnemar as statsmodels_mcnemar,
    )

    first, second = as_answers(before, "before"), as_answers(after, "after")
    if len(first) != len(second):
        raise ValueError(
            f"before has {len(first)} items and after {len(second)}; they must be the same items."
        )
    lost, gained = int((first & ~second).sum()), int((~first & second).sum())
    table = [[int((first & second).sum()), lost], [gained, int((~first & ~second).sum())]]
    return PairedTest(
        lost=lost,
        gained=gained,
        items=len(first),
        p=float(statsmodels_mcnemar(table, exact=True).pvalue),
    )
