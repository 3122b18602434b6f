"""What the runs left, as rows: one a verdict, with what is counted of it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.calibration.jobs import OPEN, Job
from harness.calibration.running import Ran
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME, read_verdicts
from harness.verdicts.verdict import Verdict

# Predictions that may well hold where the labels are shuffled or the network is untrained, so
# that their support is no error. All of h0 is such: it says that the instrument works.
MEASUREMENT = "h0"
NO_NULL = {
    "the_sets_interact": "two sets of components may interact whatever the tasks are called",
    "steering_activates_the_capability": "a direction may move wrong answers whatever it is of",
}
# Evidence whose p is uniform where labels are shuffled: it tests the labels and nothing else. An
# ablation costs answers, and more than another one does, whatever the tasks are called, so the p
# of such evidence is small on shuffled labels too, and rightly.
EXACT = ("largest", "transfer", "separation")  # the first part of the evidence's key


@dataclass(frozen=True, slots=True)
class PValue:
    """A p of a prediction, of the evidence with this key (this name, where it has no key)."""

    evidence: str
    raw: float | None
    adjusted: float
    floor: float

    @property
    def exact(self) -> bool:
        """Whether it is uniform on shuffled labels if the test is right."""
        return self.evidence.partition(".")[0] in EXACT


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A verdict of one run."""

    job: Job
    claim_id: str
    prediction_id: str
    prediction: str
    criterion: str
    outcome: str
    reason: str
    p_values: tuple[PValue, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What is counted together: claim, criterion, prediction."""
        return self.claim_id, self.criterion, self.prediction_id

    @property
    def has_null(self) -> bool:
        """Whether support is an error where there is nothing to be found."""
        return self.claim_id != MEASUREMENT and self.prediction_id.split("-")[0] not in NO_NULL


def verdicts_of(run: Ran) -> list[Verdict]:
    """The verdicts of a run, as they lie in its folder."""
    return read_verdicts(run.folder / JSON_NAME)


def rows_of(runs: Iterable[Ran]) -> list[ResultRow]:
    """Every verdict of these runs."""
    return [_row(run.job, verdict) for run in runs for verdict in verdicts_of(run)]


def _row(job: Job, verdict: Verdict) -> ResultRow:
    return ResultRow(
        job,
        verdict.claim_id,
        verdict.prediction_id,
        verdict.prediction,
        verdict.criterion,
        verdict.outcome,
        verdict.reason,
        tuple(
            PValue(e.identity, e.p, e.p_adjusted, e.floor or 0.0)
            for e in verdict.evidence
            if e.p_adjusted is not None and math.isfinite(e.p_adjusted)
        ),
    )


def by_key(rows: Iterable[ResultRow]) -> dict[tuple[str, str, str], list[ResultRow]]:
    """Rows of each prediction: claims in order, published before controlled as they fell."""
    found: dict[tuple[str, str, str], list[ResultRow]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] == "controlled")))


def identity(row: ResultRow) -> dict[str, Any]:
    """What names a prediction in calibration.json."""
    return {
        "claim_id": row.claim_id,
        "prediction_id": row.prediction_id,
        "criterion": row.criterion,
    }


def gate_of(job: Job) -> str:
    """Whether a run's gate was as it is used, or open."""
    return "open" if job.gate == OPEN else "as used"


def outcome_counts(rows: Sequence[ResultRow]) -> dict[str, int]:
    """How many verdicts of each outcome."""
    said = [row.outcome for row in rows]
    return {str(o).replace(" ", "_"): said.count(str(o)) for o in Outcome}
