"""Power: how often a prediction is supported on a model that has what is looked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.calibration.rates import rate
from harness.calibration.results import ResultRow, by_key, identity, outcome_counts
from harness.verdicts.verdict import as_known


def power(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """One entry a model, prediction, number of items and share of shuffled pairs."""
    points: dict[tuple[str, int, float], list[ResultRow]] = {}
    for row in rows:
        if row.job.part == "power":
            place = (row.job.base, row.job.items, row.job.share)
            points.setdefault(place, []).append(row)
    found = []
    for (model, items, share), at_point in sorted(points.items()):
        for of_prediction in by_key(at_point).values():
            said = outcome_counts(of_prediction)
            measured = len(of_prediction) - said["not_measured"]
            found.append(
                {
                    "model": Path(model).name,
                    **identity(of_prediction[0]),
                    "items": items,
                    "share": share,
                    **said,
                    "rate": rate(said["supported"], measured),
                }
            )
    return found


def on_organisms(
    rows: Sequence[ResultRow], told: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """What came out on each organism, beside what was expected of it.

    `rate` is how often the expected verdict came out, over runs that decided.

    Args:
        rows: All rows.
        told: Outcome by `<claim>/<prediction>`, by organism.
    """
    found = []
    for (_, criterion, _), mine in by_key(r for r in rows if r.job.part == "organisms").items():
        for name in dict.fromkeys(row.job.base for row in mine):
            said = outcome_counts(of_one := [row for row in mine if row.job.base == name])
            prediction = f"{of_one[0].claim_id}/{of_one[0].prediction_id}"
            outcome = told[name].get(prediction)
            if criterion != "controlled" or outcome is None:
                continue
            decided = said["supported"] + said["refuted"]
            hits = said["supported" if outcome == "supported" else "refuted"]
            found.append(
                {
                    "organism": name,
                    "prediction": prediction,
                    "expected": outcome,
                    **said,
                    "rate": rate(hits, decided),
                }
            )
    return found


def expected(
    rows: Sequence[ResultRow], told: Mapping[str, Mapping[str, str]], items: int
) -> list[dict[str, Any]]:
    """What circuit.json says of predictions, against whole-size runs without shuffling.

    Args:
        rows: All rows.
        told: Outcome by `<claim>/<prediction>`, by model.
        items: Facts a task of the runs that are looked at.
    """
    found = []
    for model, outcomes in told.items():
        mine = [
            row
            for row in rows
            if row.job.part == "power"
            and row.job.base == model
            and (row.job.items, row.job.share) == (items, 0.0)
        ]
        for name, outcome in outcomes.items():
            said = [r.outcome for r in mine if f"{r.claim_id}/{r.prediction_id}" == name]
            found.append(
                {
                    "model": Path(model).name,
                    "prediction": name,
                    "expected": outcome,
                    "rate": rate(sum(as_known(outcome, word) for word in said), len(said)),
                    "said": {word: said.count(word) for word in dict.fromkeys(said)},
                }
            )
    return found
