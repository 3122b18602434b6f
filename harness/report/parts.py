"""What the templates read: the parts of the report as values."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.claims_table import ClaimsTable
from harness.report.component_tables import ComponentTable
from harness.report.components import Tally
from harness.report.figures.figure import Figure
from harness.report.instrument import InstrumentCheck
from harness.verdicts.verdict import AnalysisPlan, Named, Verdict


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A claim under one criterion on one model. `outcome` is empty where nothing was asked."""

    model: str
    criterion: str
    outcome: str
    note: str
    href: str
    was: str = ""  # the baseline's word, where it is another one


@dataclass(frozen=True, slots=True)
class Parting:
    """A claim that the published criterion supports on a model and the controlled one does not."""

    claim_id: str
    claim: str
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


@dataclass(frozen=True, slots=True)
class OnModel:
    """A claim on one model."""

    anchor: str
    model: str
    cells: Sequence[MatrixCell]
    predictions: Sequence[PredictionSection]
    tallies: Sequence[Tally]
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class ClaimSection:
    """A section of the report."""

    id: str
    anchor: str
    sentence: str
    description: str
    described: Sequence[tuple[str, str]]
    cells: Sequence[MatrixCell]
    models: Sequence[OnModel]
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers come from; each list holds the distinct values over all records."""

    runs: Sequence[Named]
    models: Sequence[Named]
    materials: Sequence[Named]
    plans: Sequence[tuple[str, AnalysisPlan]]  # each with its claim's id
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
    summary: Sequence[str]
    checks: Sequence[InstrumentCheck]
    models: Sequence[str]
    claims: Sequence[ClaimSection]
    table: ClaimsTable
    every: ClaimsTable
    partings: Sequence[Parting]
    limits: Sequence[str]
    provenance: Provenance
    files: Sequence[File]
