"""What the report shows, worked out from the records: the templates only lay it out."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness.report.anchors import Anchors
from harness.report.claims_table import ClaimRow, ClaimsTable, claim_row, requirement_rows
from harness.report.component_tables import component_table
from harness.report.components import tallies_and_figures
from harness.report.figures.forest import forest
from harness.report.figures.plots import figure_of
from harness.report.instrument import instrument_checks
from harness.report.parts import (
    ClaimSection,
    File,
    MatrixCell,
    OnModel,
    Page,
    Parting,
    PredictionSection,
    Provenance,
)
from harness.report.summary import summary
from harness.report.verdicts import CRITERIA, distinct, natural, overall
from harness.verdicts import typeset
from harness.verdicts.components import MODEL
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.plots import PlacedPlot
from harness.verdicts.verdict import AnalysisPlan, Named, Verdict

if TYPE_CHECKING:
    import pandas as pd

ICONS = {str(o): str(o).replace(" ", "-") for o in Outcome}
LIMITS = (
    "A verdict holds for the model, the materials and the plan named here, and no further.",
    "Refuted means that a requirement failed, which is no evidence that an effect is zero.",
    "A difference of activation (h1 to h4) is no cause; what the model needs is asked by h5 to h8.",
    "Heads are ranked by ablating one at a time, neurons by their share on the way to the ablation "
    "of all: a circuit whose parts stand in for each other may be missed.",
)


def report_page(
    records: Sequence[Verdict],
    components: "pd.DataFrame | None",
    title: str,
    plots: Sequence[PlacedPlot] = (),
    files: Sequence[File] = (),
) -> Page:
    """The whole report as values."""
    anchors = Anchors()
    results = [r for r in records if r.control is None]
    models = distinct(r.model.name for r in results)
    ids = sorted(distinct(r.claim_id for r in results), key=natural)
    claims = [
        _claim(
            [r for r in results if r.claim_id == i],
            components,
            [p for p in plots if p.claim_id == i],
            models,
            anchors,
        )
        for i in ids
    ]
    partings = [p for c in claims for p in _partings(c)]
    return Page(
        title=title,
        summary=summary(results, claims, partings, models),
        checks=instrument_checks(records),
        models=models,
        claims=claims,
        table=ClaimsTable("claim", [row for c in claims for row in _claim_rows(c)]),
        every=ClaimsTable("requirement", [row for c in claims for row in _requirement_rows(c)]),
        partings=partings,
        limits=LIMITS,
        provenance=_provenance(records),
        files=files,
    )


def _claim_rows(claim: ClaimSection) -> list[ClaimRow]:
    """A row a model and criterion, the controlled one below the published."""
    return [
        claim_row([p.record for p in on.predictions if p.record.criterion == c.criterion], c.href)
        for on in claim.models
        for c in on.cells
        if c.outcome
    ]


def _requirement_rows(claim: ClaimSection) -> list[ClaimRow]:
    predictions = [p for on in claim.models for p in on.predictions]
    return [row for p in predictions for row in requirement_rows(p.record, p.anchor)]


def _claim(
    records: list[Verdict],
    components: "pd.DataFrame | None",
    plots: Sequence[PlacedPlot],
    models: Sequence[str],
    anchors: Anchors,
) -> ClaimSection:
    claim_id = records[0].claim_id
    anchor = anchors.claim(claim_id)
    found = None
    if components is not None and len(components):
        found = components[components["claim_id"] == claim_id]
    # In every model the order of the first one, whatever came of it first there.
    rank = {p: at for at, p in enumerate(distinct(r.prediction_id for r in records))}
    ordered = sorted(records, key=lambda r: (CRITERIA.index(r.criterion), rank[r.prediction_id]))
    on_models = [
        _on_model(
            [r for r in ordered if r.model.name == m],
            found,
            [p for p in plots if p.model == m],
            anchors,
        )
        for m in models
        if any(r.model.name == m for r in records)
    ]
    description = _described(records)
    by_model = {m.model: m for m in on_models}
    cells = [
        cell
        for m in models
        for cell in (by_model[m].cells if m in by_model else [_blank(m, c) for c in CRITERIA])
    ]
    return ClaimSection(
        id=claim_id,
        anchor=anchor,
        sentence=records[0].claim,
        description=description,
        described=terms(description),
        cells=cells,
        models=on_models,
        figure=forest(records, claim_id),
    )


def _described(records: list[Verdict]) -> str:
    """The hypothesis file's docstring without its first line, which is the claim itself."""
    text = next(filter(None, (r.plan.description for r in records)), "")
    first, _, rest = text.strip().partition("\n")
    return rest.strip() if first.strip() == records[0].claim.strip() else text.strip()


def terms(description: str) -> list[tuple[str, str]]:
    """A docstring's `Source      Fartale et al.` lines as pairs; empty if it is not written so."""
    pairs: list[tuple[str, str]] = []
    for line in filter(str.strip, description.splitlines()):
        opening = re.match(r"([A-Z][\w -]*?)\s{2,}(\S.*)$", line)
        if opening:
            pairs.append((opening[1], opening[2].strip()))
        elif pairs and line[0].isspace():
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {line.strip()}")
        else:
            return []
    return pairs


def _blank(model: str, criterion: str) -> MatrixCell:
    return MatrixCell(model, criterion, "", "", "")


def _on_model(
    records: list[Verdict],
    components: "pd.DataFrame | None",
    plots: Sequence[PlacedPlot],
    anchors: Anchors,
) -> OnModel:
    model, claim_id = records[0].model.name, records[0].claim_id
    anchor = anchors.claim(claim_id, model)
    mine = None if components is None else components[components["model"] == model]
    predictions = [
        PredictionSection(
            anchors.claim(claim_id, r.prediction_id, model, *_materials(r, records)),
            r,
            component_table(r, records, mine),
        )
        for r in records
    ]
    tallies, drawn = tallies_and_figures(records, mine)
    drawn += [figure_of(p) for p in _by_prediction(plots, records)]
    cells = [
        _cell(model, c, [p for p in predictions if p.record.criterion == c], anchor)
        for c in CRITERIA
    ]
    return OnModel(anchor, model, cells, predictions, tallies, drawn)


def _materials(record: Verdict, others: Sequence[Verdict]) -> list[str]:
    """The materials, if they tell the prediction from others of its name: a link has to last."""
    same = [r for r in others if r.prediction_id == record.prediction_id]
    return [record.materials.name] if len(same) > 1 else []


def _by_prediction(plots: Sequence[PlacedPlot], records: Sequence[Verdict]) -> list[PlacedPlot]:
    """The figures handed over, in the order of the predictions that did."""
    order = distinct(r.prediction_id for r in records)
    rank = {prediction: at for at, prediction in enumerate(order)}
    return sorted(plots, key=lambda p: rank.get(p.prediction_id, len(rank)))


def _cell(
    model: str, criterion: str, predictions: list[PredictionSection], anchor: str
) -> MatrixCell:
    if not predictions:
        return _blank(model, criterion)
    records = [p.record for p in predictions]
    outcome = overall(r.outcome for r in records)
    agreeing = sum(r.outcome == outcome for r in records)
    note = f"{agreeing} of {len(records)}" if len(records) > 1 else ""
    href = predictions[0].anchor if len(predictions) == 1 else anchor
    return MatrixCell(model, criterion, outcome, note, href, _was(records, outcome))


def _was(records: Sequence[Verdict], outcome: str) -> str:
    """The word that the baseline's verdicts on the same predictions make up."""
    compared = [r.baseline.outcome for r in records if r.baseline and r.baseline.comparable]
    word = overall(compared) if len(compared) == len(records) else ""
    return "" if word == outcome else word


def _partings(claim: ClaimSection) -> list[Parting]:
    found = []
    for on_model in claim.models:
        records = [p.record for p in on_model.predictions]
        published = [r for r in records if r.criterion == Criterion.PUBLISHED]
        controlled = [r for r in records if r.criterion == Criterion.CONTROLLED]
        word = overall(r.outcome for r in controlled)
        if overall(r.outcome for r in published) != Outcome.SUPPORTED:
            continue
        if word in ("", Outcome.SUPPORTED):
            continue
        failing = next(r for r in controlled if r.outcome == word)
        twins = _what_twins_did(on_model, [*published, *controlled])
        found.append(
            Parting(claim.id, claim.sentence, on_model.model, published[0], failing, twins)
        )
    return found


def _what_twins_did(on_model: OnModel, records: Sequence[Verdict]) -> list[str]:
    """From the components where there are any, else from the controls named after twins."""
    said = []
    for tally in on_model.tallies:
        twins = [n for source, n in tally.passed.items() if source != MODEL]
        if twins:
            counts = typeset.listed([typeset.count(n) for n in twins])
            said.append(
                f"{tally.criterion} criterion: {counts} of {typeset.count(tally.total)} "
                f"{tally.kind}s pass in the untrained {'twin' if len(twins) == 1 else 'twins'}, "
                f"{typeset.count(tally.passed.get(MODEL, 0))} in the model"
            )
    if said:
        return said
    return [
        f"{r.criterion} criterion, {c.name}: {typeset.number(c.value)}"
        for r in records
        for c in r.controls
        if re.search(r"twin|untrained", c.name, re.IGNORECASE)
    ]


def _provenance(verdicts: Sequence[Verdict]) -> Provenance:
    in_order = sorted(verdicts, key=lambda v: natural(v.claim_id))
    plans = {(v.claim_id, v.plan.hash): v.plan for v in in_order if v.plan != AnalysisPlan()}
    return Provenance(
        runs=_runs(verdicts),
        models=_distinct_named(v.model for v in verdicts),
        materials=_distinct_named(v.materials for v in verdicts if v.materials.name),
        plans=[(claim_id, plan) for (claim_id, _), plan in plans.items()],
        # Reference models may have been measured by another run, and kept.
        seconds=sum(v.seconds for v in verdicts if v.control is None),
    )


def _runs(verdicts: Sequence[Verdict]) -> list[Named]:
    """Every run, with the distinct values of its verdicts' provenance."""
    runs: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        facts = runs.setdefault(verdict.run_id, {"date": ""})
        facts["date"] = max(facts["date"], verdict.created)
        for key, value in verdict.provenance.items():
            if value not in facts.setdefault(key, []):
                facts[key].append(value)
    return [Named(run_id, facts) for run_id, facts in runs.items()]


def _distinct_named(values: Iterable[Named]) -> list[Named]:
    return list({(v.name, repr(sorted(v.facts.items()))): v for v in values}.values())
