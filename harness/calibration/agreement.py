"""Does the suite agree with itself: run twice, in other batches, and on redrawn materials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness import stats
from harness.calibration.jobs import CONSISTENCY, CONTROLS
from harness.calibration.recovery import CLAIMS, components, observational
from harness.calibration.results import verdicts_of
from harness.calibration.running import Ran
from harness.verdicts.verdict import Verdict

# What differs between any two runs.
CHANGING = ("run_id", "created", "seconds", "cached")
CALLED = ("batch_size", "commit", "command")  # how a run was called
WANTED = {  # what has to be the same as in the first run
    "again": "everything",
    "warm cache": "everything",
    "two workers": "everything",
    "other batch size": "outcomes",
}


def consistency(runs: Sequence[Ran]) -> list[dict[str, Any]]:
    """One entry a way to run the same again: what of it came out the same.

    `same` is whether what has to be the same is: all that is recorded but times and run ids, or
    for another batch size the outcomes, as sums are then added in another order.
    """
    mine = {run.job.kind: run for run in runs if run.job.part == CONSISTENCY}
    if "base" not in mine:
        return []
    first = _by_place(verdicts_of(mine["base"]))
    found = []
    for kind, wanted in WANTED.items():
        if kind in mine:
            other = _by_place(verdicts_of(mine[kind]))
            found.append(
                {"how": kind, "wanted": wanted, "model": Path(mine[kind].job.base).name}
                | _compared(first, other, wanted)
            )
    return found


_Place = tuple[str, str, str, str]


def _by_place(verdicts: Sequence[Verdict]) -> dict[_Place, Verdict]:
    return {(v.claim_id, v.prediction_id, v.criterion, v.materials.name): v for v in verdicts}


def _compared(
    first: Mapping[_Place, Verdict], other: Mapping[_Place, Verdict], wanted: str
) -> dict[str, Any]:
    shared = [place for place in first if place in other]
    changed = [p for p in shared if first[p].outcome is not other[p].outcome]
    identical = [p for p in shared if _lasting(first[p]) == _lasting(other[p])]
    gone = len(first) + len(other) - 2 * len(shared)
    same = not gone and not changed
    if wanted == "everything":
        same = same and len(identical) == len(first)
    return {
        "same": same,
        "verdicts": len(first),
        "identical": len(identical),
        "outcomes_changed": [" ".join(place) for place in changed],
        "missing": gone,
        "largest_difference": max((_moved(first[p], other[p]) for p in shared), default=0.0),
    }


def _lasting(verdict: Verdict) -> dict[str, Any]:
    """What has to be the same; that it was the same code the runs' fingerprints say."""
    record = {k: v for k, v in verdict.to_json().items() if k not in CHANGING}
    record["provenance"] = {k: v for k, v in verdict.provenance.items() if k not in CALLED}
    return record


def _moved(first: Verdict, other: Verdict) -> float:
    """Largest difference of an effect, relative to the larger of the two and to 1e-6 at least."""
    moved = 0.0
    for a, b in zip(first.evidence, other.evidence, strict=False):
        if a.effect.known and b.effect.known:
            x, y = a.effect.value, b.effect.value
            moved = max(moved, abs(x - y) / max(abs(x), abs(y), 1e-6))
    return moved


def agreement(runs: Sequence[Ran]) -> list[dict[str, Any]]:
    """Mean pairwise Jaccard of what passes h1 to h3, over drawings of the materials.

    One entry a model and kind; None where two drawings found nothing.
    """
    by_model: dict[str, list[Ran]] = {}
    for run in runs:
        if run.job.part == CONTROLS:
            by_model.setdefault(run.job.base, []).append(run)
    found = []
    for model, mine in by_model.items():
        tables = [components(run) for run in mine]
        for kind in CLAIMS:
            scored = [observational(table, kind) for table in tables]
            if len(scored) < 2 or not all(scored):
                continue
            sets = np.array([[passed for _, passed in s.values()] for s in scored])
            jaccard = stats.mean_pairwise_jaccard(sets)
            found.append(
                {
                    "model": Path(model).name,
                    "kind": kind,
                    "drawings": len(sets),
                    "jaccard": None if np.isnan(jaccard) else jaccard,
                    "sizes": sets.sum(1).tolist(),
                }
            )
    return found
