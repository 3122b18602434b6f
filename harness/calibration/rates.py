"""Error rates: how often a prediction is supported where there is nothing to be found."""

from collections.abc import Iterable, Sequence
from typing import Any

from harness import stats
from harness.calibration.jobs import Job
from harness.calibration.results import ResultRow, by_key, gate_of, identity, outcome_counts

ALL = "all"
# The groups that rates are given for: kinds of null, and the gate that they were run with. What
# is behind the gate is measured on untrained networks with the gate open, and on trained models
# with shuffled labels, which pass it.
AS_USED, BEHIND = "as used", "behind the gate"


def groups(rows: Iterable[ResultRow]) -> dict[tuple[str, str], list[ResultRow]]:
    """Rows of null runs by (kind of null, gate).

    The published prompts cannot be redrawn: one network on them is one measurement, however many
    seeds, and is left out.
    """
    found: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        if row.job.part != "null" or (row.job.kind, row.criterion) == ("redrawn", "published"):
            continue
        gates = [AS_USED if gate_of(row.job) == "as used" else BEHIND]
        for gate in [AS_USED, BEHIND] if row.job.kind == "shuffled" else gates:
            found.setdefault((row.job.kind, gate), []).append(row)
            found.setdefault((ALL, gate), []).append(row)
    return found


def rate(hits: int, trials: int) -> dict[str, Any]:
    """A share with its exact (Clopper-Pearson) interval; None where there were no trials."""
    if not trials:
        return {"n": 0, "count": 0, "share": None, "interval": None}
    interval = stats.binomial_interval(hits, trials)
    return {"n": trials, "count": hits, "share": hits / trials, "interval": list(interval)}


def error_rates(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """One entry a prediction, kind of null and gate.

    `rate` is over all runs that measured something; `decided` are those that were not
    inconclusive, and `rate_decided` is over them. Where a prediction has no null (`has_null`
    false) its rate is no error.
    """
    found = []
    for (null, gate), of_group in groups(rows).items():
        for of_prediction in by_key(of_group).values():
            said = outcome_counts(of_prediction)
            measured = len(of_prediction) - said["not_measured"]
            found.append(
                {
                    **identity(of_prediction[0]),
                    "null": null,
                    "gate": gate,
                    "has_null": of_prediction[0].has_null,
                    **said,
                    "decided": said["supported"] + said["refuted"],
                    "rate": rate(said["supported"], measured),
                    "rate_decided": rate(said["supported"], said["supported"] + said["refuted"]),
                }
            )
    return found


def any_error(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Runs in which anything was supported, of each claim (and `all`), criterion, null and gate.

    `rate_decided` is over the runs in which anything was supported or refuted, `undecided` the
    number of the others: a run that decides nothing cannot err.

    Predictions of one run stand on one network and one set of materials, so they are not
    independent: the run is what is counted.
    """
    found = []
    for (null, gate), of_group in groups(rows).items():
        counted = [row for row in of_group if row.has_null]
        for criterion in ("published", "controlled"):
            of_criterion = [row for row in counted if row.criterion == criterion]
            for claim in (ALL, *sorted({row.claim_id for row in of_criterion})):
                mine = [row for row in of_criterion if claim in (ALL, row.claim_id)]
                found.append(
                    {
                        "claim_id": claim,
                        "criterion": criterion,
                        "null": null,
                        "gate": gate,
                        **_by_run(mine),
                    }
                )
    return found


def _by_run(rows: Sequence[ResultRow]) -> dict[str, Any]:
    said: dict[Job, set[str]] = {}
    for row in rows:
        said.setdefault(row.job, set()).add(row.outcome)
    errors = sum("supported" in outcomes for outcomes in said.values())
    decided = sum(bool(outcomes & {"supported", "refuted"}) for outcomes in said.values())
    return {
        "verdicts": len(rows),
        "supported": sum(row.outcome == "supported" for row in rows),
        "rate": rate(errors, len(said)),
        "rate_decided": rate(errors, decided),
        "undecided": len(said) - decided,
    }
