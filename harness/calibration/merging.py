"""The published record, of parts that were measured at different times.

A whole calibration takes hours, so its parts are measured one by one. What is measured of a part on
a model replaces all that stood there of it: counts of two versions of the suite are never added.
The rest stays, and `earlier` says when, with which commit, instrument and settings it was measured.
"""

from collections.abc import Callable, Mapping
from typing import Any

from harness.calibration.jobs import CONSISTENCY, CONTROLS, ORGANISMS, POWER

Place = tuple[str, str]  # a part, and a model
_Entry = Mapping[str, Any]
_PROCESSES = "processes"
# A model whose verdicts are known is judged in one of two parts, and stands in the record once.
_OTHER = {CONTROLS: ORGANISMS, ORGANISMS: CONTROLS}
_OF_A_CALL = ("created", "fingerprint", "settings", "provenance")
# Where the entries of each list of a record were measured.
_PLACES: Mapping[str, Callable[[_Entry], Place]] = {
    "runs": lambda entry: (entry["part"], entry["base"]),
    _PROCESSES: lambda entry: (_PROCESSES, entry["model"]),
    "known": lambda entry: (entry["part"], entry["model"]),
    "power": lambda entry: (POWER, entry["model"]),
    "consistency": lambda entry: (CONSISTENCY, entry["model"]),
    "agreement": lambda entry: (CONTROLS, entry["model"]),
}


def with_earlier(record: dict[str, Any], before: _Entry) -> dict[str, Any]:
    """A new record, and of an earlier one whatever was not measured again.

    Args:
        record: What was measured now.
        before: The record so far; it may itself hold what was measured earlier still.
    """
    measured = _measured(record)
    kept = _measured(before) - measured - {(_OTHER.get(part, ""), name) for part, name in measured}
    lists = {
        name: [*record[name], *(e for e in before[name] if place(e) in kept)]
        for name, place in _PLACES.items()
    }
    names = {run["name"] for run in record["runs"]}
    sentences = {_prediction(e): e for e in (*before["predictions"], *record["predictions"])}
    return {
        **record,
        **lists,
        "runs": sorted(lists["runs"], key=lambda run: run["name"]),
        "whole": record["whole"] and before["whole"],
        "seconds": round(sum(run["seconds"] for run in lists["runs"]), 1),
        "failed": [*record["failed"], *(f for f in before["failed"] if f["name"] not in names)],
        "predictions": [sentences[key] for key in sorted(sentences)],
        "programs": record["programs"] or before["programs"],
        "earlier": [*record.get("earlier", ()), *_calls(before, kept)],
    }


def _measured(record: _Entry) -> set[Place]:
    return {place(entry) for name, place in _PLACES.items() for entry in record[name]}


def _calls(before: _Entry, kept: set[Place]) -> list[dict[str, Any]]:
    """What is kept, by the call of `calibrate` that measured it."""
    calls = [{**call, "of": {_place(e) for e in call["of"]}} for call in before.get("earlier", ())]
    own = _measured(before).difference(*(call["of"] for call in calls))
    calls.insert(0, {**{name: before[name] for name in _OF_A_CALL}, "of": own})
    return [
        {**call, "of": [{"part": part, "model": model} for part, model in sorted(left)]}
        for call in calls
        if (left := call["of"] & kept)
    ]


def _place(entry: _Entry) -> Place:
    return entry["part"], entry["model"]


def _prediction(entry: _Entry) -> tuple[str, ...]:
    return tuple(entry[name] for name in ("claim_id", "criterion", "prediction_id"))
