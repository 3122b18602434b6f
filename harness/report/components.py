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

CELL = ["source", "layer", "index", "metric"]  # several predictions may save the same table
KIND_FIGURES = {
    "layer": component_figures.layer_profile,
    "head": component_figures.head_map,
    "neuron": component_figures.neuron_distribution,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many components of a kind pass in the model and in each of its twins."""

    criterion: str
    kind: str
    total: int
    passed: dict[str, int]


def tallies_and_figures(
    records: Sequence[Verdict], components: "pd.DataFrame | None"
) -> tuple[list[Tally], list[Figure]]:
    """What the components table says of one claim on one model, criterion by criterion."""
    tallies: list[Tally] = []
    plots: list[Figure] = []
    if components is None:
        return tallies, plots
    for criterion in CRITERIA:
        judged = [r for r in records if r.criterion == criterion]
        under = components[components["criterion"] == criterion]
        for kind, figure_of in KIND_FIGURES.items():
            table = under[under["kind"] == kind]
            for materials in table["materials"].unique() if len(table) else ():
                rows = table[table["materials"] == materials].drop_duplicates(CELL)
                if not rows.loc[rows["source"] == MODEL, "effect"].notna().any():
                    continue
                context = _context(judged, criterion, kind, str(materials), rows)
                plots.append(figure_of(rows, context))
                tallies.append(_tally(criterion, kind, rows))
    return tallies, plots


def _tally(criterion: str, kind: str, rows: "pd.DataFrame") -> Tally:
    mine = rows[rows["source"] == MODEL]
    total = len(mine[["layer", "index"]].drop_duplicates())
    return Tally(criterion, kind, total, component_figures.tallies(rows))


def _context(
    records: list[Verdict], criterion: str, kind: str, materials: str, rows: "pd.DataFrame"
) -> FigureContext:
    same = [r for r in records if r.materials.name == materials] or records
    evidence = [e for r in same for e in r.evidence]
    n = next((e.n for e in evidence if e.n), 0)
    return FigureContext(
        model=str(rows["model"].iloc[0]),
        claim_id=str(rows["claim_id"].iloc[0]),
        criterion=criterion,
        materials=materials,
        n=n,
        threshold=_d_threshold(same, kind),
    )


def _d_threshold(records: Sequence[Verdict], kind: str) -> float | None:
    """The bound on d: the plan's `THRESHOLD_D` (for this kind), else that of the largest effect."""
    for record in records:
        set_at = record.plan.constants.get("THRESHOLD_D")
        bound = set_at.get(kind) if isinstance(set_at, Mapping) else set_at
        if isinstance(bound, int | float):
            return float(bound)
    found = (record.evidence_of("largest") for record in records)
    return next((e.threshold for e in found if e is not None and e.threshold), None)
