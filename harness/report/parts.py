"""What the templates read: the parts of the report as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.answers import AnswerSheet
from harness.report.claims_table import ClaimsTable
from harness.report.component_tables import ComponentTable
from harness.report.components import Tally
from harness.report.figures.figure import Figure
from harness.report.instrument import InstrumentCheck
from harness.report.opening import Line
from harness.report.timelines import NO_PART, FleetPart
from harness.verdicts.verdict import AnalysisPlan, Named, Verdict


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A statement under one criterion on one model. `outcome` is empty where nothing was asked.

    Attributes:
        note: `2 of 6`: how many of its predictions ended so.
        was: The baseline's word, where it is another one.
        shown: The first prediction that ended so, whose deciding number is shown.
        key: What filters know the cell by.
    """

    model: str
    criterion: str
    outcome: str
    note: str
    href: str
    was: str = ""
    shown: Verdict | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One statement: a claim, or a part of a claim that states several things."""

    claim_id: str
    part: str
    sentence: str
    anchor: str
    cells: Sequence[MatrixCell]

    @property
    def name(self) -> str:
        """`h7 steers`, or `h2` where the claim is one statement."""
        return f"{self.claim_id} {self.part}".strip()


@dataclass(frozen=True, slots=True)
class Parting:
    """A statement that the published criterion supports and the controlled one does not."""

    claim_id: str
    claim: str
    part: str
    model: str
    published: Verdict
    controlled: Verdict
    twins: Sequence[str]


@dataclass(frozen=True, slots=True)
class PredictionSection:
    """One verdict with its place in the page."""

    anchor: str
    record: Verdict
    components: ComponentTable | None
    key: str


@dataclass(frozen=True, slots=True)
class OnModel:
    """A claim on one model. `forest` is its requirements, measured against needed."""

    anchor: str
    model: str
    predictions: Sequence[PredictionSection]
    tallies: Sequence[Tally]
    figures: Sequence[Figure]
    forest: Figure | None


@dataclass(frozen=True, slots=True)
class ClaimSection:
    """A section of the report. `figure` is the one that is open; it is in no model's `figures`."""

    id: str
    anchor: str
    sentence: str
    description: str
    described: Sequence[tuple[str, str]]
    rows: Sequence[MatrixRow]
    models: Sequence[OnModel]
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers come from; each list holds the distinct values over all records."""

    runs: Sequence[Named]
    models: Sequence[Named]
    materials: Sequence[Named]
    plans: Sequence[tuple[str, AnalysisPlan]]  # each with its claim's id
    suite: Mapping[str, Mapping[str, Any]]  # the constants that all plans share, by module
    seconds: float


@dataclass(frozen=True, slots=True)
class File:
    """A file of the run; `href` leads to it from the report."""

    name: str
    href: str
    holds: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the templates read."""

    title: str
    warnings: Sequence[Line]
    sentences: Sequence[Line]
    instrument: Line
    by_claim: Sequence[str]
    checks: Sequence[InstrumentCheck]
    models: Sequence[str]
    criteria: Sequence[str]  # that predictions were judged by, the published one first
    claims: Sequence[ClaimSection]
    table: ClaimsTable
    every: ClaimsTable
    partings: Sequence[Parting]
    primaries: Sequence[str]
    limits: Sequence[str]
    provenance: Provenance
    files: Sequence[File]
    answers: Sequence[AnswerSheet] = ()
    fleet: FleetPart = NO_PART

    @property
    def summary(self) -> list[str]:
        """The opening as sentences."""
        return [line.text for line in (*self.warnings, *self.sentences, self.instrument)]

    @property
    def predictions(self) -> int:
        """How many verdicts it shows."""
        return sum(len(on.predictions) for claim in self.claims for on in claim.models)
