"""The part of the report that the components table fills: counts against twins, and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.report import typeset
from harness.report.figures import draw
from harness.report.figures.draw import MODEL, Context, Figure
from harness.report.verdicts import CRITERIA

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]

CELL = ["source", "layer", "index", "metric"]  # several predictions may save the same table
KIND_FIGURES = {
    "layer": draw.layer_profile,
    "head": draw.head_map,
    "neuron": draw.neuron_distribution,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many components of a kind pass in the model and in each of its twins."""

    criterion: str
    kind: str
    total: int
    passed: dict[str, int]


def tallies_and_figures(
    records: Sequence[Record], components: "pd.DataFrame | None"
) -> tuple[list[Tally], list[Figure]]:
    """What the components table says of one claim on one model, criterion by criterion."""
    tallies: list[Tally] = []
    plots: list[Figure] = []
    if components is None:
        return tallies, plots
    for criterion in CRITERIA:
        judged = [r for r in records if r["criterion"] == criterion]
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
    return Tally(criterion, kind, total, draw.tallies(rows))


def _context(
    records: list[Record], criterion: str, kind: str, materials: str, rows: "pd.DataFrame"
) -> Context:
    same = [r for r in records if r["materials"]["name"] == materials] or records
    evidence = [e for r in same for e in r["evidence"]]
    n = next((e["n"] for e in evidence if e["n"]), 0)
    return Context(
        model=str(rows["model"].iloc[0]),
        claim_id=str(rows["claim_id"].iloc[0]),
        criterion=criterion,
        materials=materials,
        n=n,
        threshold=_d_threshold(same, evidence, kind),
    )


def _d_threshold(records: list[Record], evidence: list[dict[str, Any]], kind: str) -> float | None:
    """The bound on d: from the plan's constants, else from evidence whose effect is a d."""
    constants: dict[str, Any] = {}
    for record in records:
        constants |= record["plan"].get("constants", {})
    for name in (f"{kind.upper()}_THRESHOLD_D", f"THRESHOLD_D_{kind.upper()}", "THRESHOLD_D"):
        set_at = constants.get(name)
        if isinstance(set_at, dict):
            set_at = set_at.get(kind)
        if isinstance(set_at, int | float):
            return float(set_at)
    for e in evidence:
        if typeset.signed_quantity(e["effect"]["name"]) and isinstance(e["threshold"], int | float):
            return abs(float(e["threshold"])) or None
    return None
