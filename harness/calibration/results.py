"""What the runs left, as rows: one a verdict, with what is counted of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.calibration.jobs import OPEN, Job
from harness.calibration.running import Ran
from harness.verdicts.records import JSON_NAME
from harness.verdicts.verdict import Outcome

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
EXACT = ("strongest effect on discovery", "along the direction", "held-out separation")


@dataclass(frozen=True, slots=True)
class PValue:
    """A p of a prediction: of its evidence, by name without the place it was found at."""

    evidence: str
    raw: float | None
    adjusted: float
    floor: float

    @property
    def exact(self) -> bool:
        """Whether it is uniform on shuffled labels if the test is right."""
        return any(words in self.evidence for words in EXACT)


@dataclass(frozen=True, slots=True)
class Row:
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


def records_of(run: Ran) -> list[dict[str, Any]]:
    """The verdicts of a run, as they lie in its folder."""
    text = (run.folder / JSON_NAME).read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)["verdicts"]
    return found


def rows_of(runs: Iterable[Ran]) -> list[Row]:
    """Every verdict of these runs."""
    return [_row(run.job, record) for run in runs for record in records_of(run)]


def _row(job: Job, record: Mapping[str, Any]) -> Row:
    return Row(
        job,
        record["claim_id"],
        record["prediction_id"],
        record["prediction"],
        record["criterion"],
        record["outcome"],
        record["reason"],
        tuple(_p_values(record)),
    )


def _p_values(record: Mapping[str, Any]) -> list[PValue]:
    return [
        PValue(name_of(e["name"]), e["p"], float(e["p_adjusted"]), float(e["floor"] or 0.0))
        for e in record["evidence"]
        if isinstance(e["p_adjusted"], int | float)
    ]


def name_of(evidence: str) -> str:
    """Evidence without where it was found: `strongest effect on discovery, layer 2 head 1`."""
    words, _, where = evidence.partition(", ")
    if where.startswith("layer "):
        return words
    before, found, _ = evidence.partition(" of layer ")
    return before if found else evidence


def by_key(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of each prediction: claims in order, published before controlled as they fell."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] == "controlled")))


def identity(row: Row) -> dict[str, Any]:
    """What names a prediction in calibration.json."""
    return {
        "claim_id": row.claim_id,
        "prediction_id": row.prediction_id,
        "criterion": row.criterion,
    }


def gate_of(job: Job) -> str:
    """Whether a run's gate was as it is used, or open."""
    return "open" if job.gate == OPEN else "as used"


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many verdicts of each outcome."""
    said = [row.outcome for row in rows]
    return {str(o).replace(" ", "_"): said.count(str(o)) for o in Outcome}
