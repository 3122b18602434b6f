"""What the runs left, as rows: one a verdict, with what is counted of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.calibration.jobs import Job
from harness.calibration.running import Ran
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME, read_verdicts
from harness.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A verdict of one run."""

    job: Job
    claim_id: str
    prediction_id: str
    prediction: str
    criterion: str
    outcome: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What is counted together: claim, criterion, prediction."""
        return self.claim_id, self.criterion, self.prediction_id


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


def outcome_counts(rows: Sequence[ResultRow]) -> dict[str, int]:
    """How many verdicts of each outcome."""
    said = [row.outcome for row in rows]
    return {str(o).replace(" ", "_"): said.count(str(o)) for o in Outcome}
