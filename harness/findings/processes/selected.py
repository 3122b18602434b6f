"""What other relations would have given: intervals, and what holds of the selected places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from harness import stats
from harness.findings.processes.rule import Decisions
from harness.study.plan import Plan


@dataclass(frozen=True, slots=True)
class Selected:
    """The places that were selected, in the direction of discovery.

    Attributes:
        component: Number of each place's component.
        signed: Contrasts by relation; positive in the direction of discovery.
        components: How many the model has.
        threshold_d: The bar.
    """

    component: Int[np.ndarray, " place"]
    signed: Float[np.ndarray, "relation place"]
    components: int
    threshold_d: float

    @classmethod
    def of(
        cls,
        contrasts: Float[np.ndarray, "relation place"],
        decisions: Decisions,
        places: Bool[np.ndarray, " place"],
        *,
        metrics: int,
        threshold_d: float,
    ) -> "Selected":
        """Some of the places, on these contrasts; a component has `metrics` places."""
        at = np.flatnonzero(places)
        signed = contrasts[:, at] * decisions.direction[at]
        return cls(at // metrics, signed, len(places) // metrics, threshold_d)

    def holding(self, weights: Float[np.ndarray, " relation"]) -> Bool[np.ndarray, " component"]:
        """Components with a place beyond the bar, averaged with these weights, which sum to 1."""
        found = np.zeros(self.components, dtype=bool)
        found[self.component[weights @ self.signed > self.threshold_d]] = True
        return found


def share_interval(
    value: float,
    statistic: Callable[[Float[np.ndarray, " relation"]], float],
    relations: Sequence[str],
    plan: Plan,
) -> tuple[float, float]:
    """The interval of a share over relations, within 0 and 1 and around its value.

    A resample holds some relations twice, so that a share of what is found may be smaller in all
    of them: the value itself is always inside, so that none fails by that alone.
    """
    low, high = interval_over_relations(statistic, relations, plan)
    if np.isnan(low):
        return low, high
    return max(0.0, min(value, low)), min(1.0, max(value, high))


def interval_over_relations(
    statistic: Callable[[Float[np.ndarray, " relation"]], float],
    relations: Sequence[str],
    plan: Plan,
) -> tuple[float, float]:
    """The 95 % interval of a number over relations: nan at both ends if it is mostly undefined.

    Args:
        statistic: From a weight for each relation, which sum to 1; nan where it is undefined.
        relations: Names.
        plan: Its resamples and seed.
    """
    names = np.array(relations)
    try:
        found = stats.bootstrap_statistic(
            statistic, names, names, resamples=plan.resamples, seed=plan.seed
        )
    except ValueError:  # undefined in most of the resamples
        return float("nan"), float("nan")
    return float(found.low), float(found.high)
