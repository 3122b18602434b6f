"""How often verdicts that are known come out, and with how many facts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.calibration.jobs import CONTROLS, ORGANISMS, POWER
from harness.calibration.rates import rate
from harness.calibration.results import ResultRow, by_key, identity, outcome_counts
from harness.verdicts.judge import Outcome


def power(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """One entry a model, prediction and number of items."""
    points: dict[tuple[str, int], list[ResultRow]] = {}
    for row in rows:
        if row.job.part == POWER:
            points.setdefault((row.job.base, row.job.items), []).append(row)
    found = []
    for (model, items), at_point in sorted(points.items()):
        for of_prediction in by_key(at_point).values():
            said = outcome_counts(of_prediction)
            measured = len(of_prediction) - said["not_measured"]
            found.append(
                {
                    "model": Path(model).name,
                    **identity(of_prediction[0]),
                    "items": items,
                    **said,
                    "rate": rate(said["supported"], measured),
                }
            )
    return found


def known_verdicts(
    rows: Sequence[ResultRow], told: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """What came out on controls and organisms, beside what was expected.

    `rate` is how often the expected verdict came out, over runs that decided; `missed` are the
    seeds of those that decided otherwise.

    Args:
        rows: All rows.
        told: Outcome by `<claim>/<prediction>`, by model.
    """
    found = []
    of_known = [row for row in rows if row.job.part in (CONTROLS, ORGANISMS)]
    for (_, criterion, _), mine in by_key(of_known).items():
        for name in dict.fromkeys(row.job.base for row in mine):
            said = outcome_counts(of_one := [row for row in mine if row.job.base == name])
            prediction = f"{of_one[0].claim_id}/{of_one[0].prediction_id}"
            outcome = told.get(name, {}).get(prediction)
            if criterion != "controlled" or outcome is None:
                continue
            decided = said["supported"] + said["refuted"]
            wanted = Outcome.SUPPORTED if outcome == "supported" else Outcome.REFUTED
            no_miss = (wanted, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED)
            found.append(
                {
                    "model": Path(name).name,
                    "part": of_one[0].job.part,
                    "prediction": prediction,
                    "expected": outcome,
                    **said,
                    "rate": rate(said[wanted], decided),
                    "missed": sorted(r.job.seed for r in of_one if r.outcome not in no_miss),
                }
            )
    return found
