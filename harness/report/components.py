"""The part of the report that the components table fills: counts against twins, and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.figures import component_figures
from harness.report.figures.figure import Figure, FigureContext
from harness.report.verdicts import CRITERIA
from harness.verdicts.components import MODEL
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

CELL = ["source", "layer", "index", "metric"]
KIND_FIGURES = {
    "layer": component_figures.layer_profile,
    "head": component_figures.head_map,
    "neuron": component_figures.neuron_distribution,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many components of a kind pass in the model and in each of its twins."""

    criterion: str
    part: str
    kind: str
    total: int
    passed: dict[str, int]


def tallies_and_figures(
    records: Sequence[Verdict], components: "pd.DataFrame | None"
) -> tuple[list[Tally], list[Figure]]:
    """What the components table says of one claim on one model, prediction by prediction."""
    tallies: list[Tally] = []
    plots: list[Figure] = []
    if components is None:
        return tallies, plots
    for record in sorted(records, key=lambda r: CRITERIA.index(r.criterion)):
        mine = rows_of(record, components)
        for kind, figure_of in KIND_FIGURES.items():
            rows = mine[mine["kind"] == kind].drop_duplicates(CELL)
            if not rows.loc[rows["source"] == MODEL, "effect"].notna().any():
                continue
            plots.append(figure_of(rows, _context(record, kind, rows)))
            tallies.append(_tally(record, kind, rows))
    return tallies, plots


def rows_of(record: Verdict, components: "pd.DataFrame") -> "pd.DataFrame":
    """The components that a prediction saved."""
    found: pd.DataFrame = components[
        (components["model"] == record.model.name)
        & (components["claim_id"] == record.claim_id)
        & (components["prediction_id"] == record.prediction_id)
        & (components["criterion"] == record.criterion)
        & (components["materials"] == record.materials.name)
    ]
    return found


def _tally(record: Verdict, kind: str, rows: "pd.DataFrame") -> Tally:
    mine = rows[rows["source"] == MODEL]
    total = len(mine[["layer", "index"]].drop_duplicates())
    return Tally(record.criterion, record.part, kind, total, component_figures.tallies(rows))


def _context(record: Verdict, kind: str, rows: "pd.DataFrame") -> FigureContext:
    more, _, less = str(rows["contrast"].iloc[0]).partition(" minus ")
    return FigureContext(
        model=record.model.name,
        claim_id=record.claim_id,
        criterion=record.criterion,
        part=record.part,
        materials=record.materials.name,
        n=next((e.n for e in record.evidence if e.n), 0),
        threshold=_d_threshold(record, kind),
        sides=(more, less),
        encoder_layers=int(record.model.facts.get("encoder_layers", 0)),
    )


def _d_threshold(record: Verdict, kind: str) -> float | None:
    """The bound on d: the plan's `THRESHOLD_D` (for this kind), else that of the largest effect."""
    set_at = record.plan.constants.get("THRESHOLD_D")
    bound = set_at.get(kind) if isinstance(set_at, Mapping) else set_at
    if isinstance(bound, int | float):
        return float(bound)
    found = record.evidence_of("largest")
    return None if found is None else found.threshold or None
