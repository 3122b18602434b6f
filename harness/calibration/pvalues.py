"""Are p-values uniform where there is nothing to be found; a conservative test's are larger."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import stats
from harness.calibration.rates import groups, rate
from harness.calibration.results import ResultRow, by_key, identity

LEVELS = (0.01, 0.05)
_LEAST = 8  # p-values that a Kolmogorov-Smirnov test is made of


def p_values(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """One entry a piece of evidence with a p, kind of null and gate.

    `adjusted` and `raw` are the p-values, one a run, ascending; `below` the share of adjusted
    ones at or below each level, with its exact interval; `uniform` compares them with the uniform
    distribution: `p_excess` is one-sided and small if there are too many small ones. Where labels
    are shuffled and the evidence is `exact`, that is an error of the test. An untrained network
    may differ between the tasks by next to nothing, but truly: there small p-values are no error,
    and the bar on the effect is what keeps claims from being supported.
    """
    found = []
    for (null, gate), of_group in groups(rows).items():
        for of_prediction in by_key(of_group).values():
            if not of_prediction[0].has_null:
                continue
            names = dict.fromkeys(p.evidence for row in of_prediction for p in row.p_values)
            for name in names:
                entry = _entry(name, of_prediction)
                place = {**identity(of_prediction[0]), "null": null, "gate": gate}
                found.append({**place, "evidence": name, **entry})
    return found


def _entry(name: str, rows: Sequence[ResultRow]) -> dict[str, Any]:
    mine = [p for row in rows for p in row.p_values if p.evidence == name]
    adjusted = sorted(p.adjusted for p in mine)
    below = {str(level): rate(sum(p <= level for p in adjusted), len(adjusted)) for level in LEVELS}
    return {
        "exact": mine[0].exact,
        "adjusted": adjusted,
        "raw": sorted(p.raw for p in mine if p.raw is not None),
        "floor": max(p.floor for p in mine),
        "below": below,
        "uniform": _uniform(adjusted),
    }


def _uniform(values: Sequence[float]) -> dict[str, float] | None:
    if len(values) < _LEAST:
        return None
    found = stats.uniformity(np.array(values))
    return {
        "distance": found.statistic,
        "p": found.p,
        "excess": found.excess,
        "p_excess": found.p_excess,
    }
