"""What the report shows, worked out from the records: the templates only lay it out."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.compare.curves import NO_FLEET, FleetRecord
from harness.report.anchors import Anchors
from harness.report.answers import answer_sheets
from harness.report.claims_table import ClaimRow, ClaimsTable, claim_row, requirement_rows
from harness.report.component_tables import component_table
from harness.report.components import tallies_and_figures
from harness.report.figures.figure import Figure
from harness.report.figures.forest import forest
from harness.report.figures.plots import figure_of
from harness.report.instrument import by_claim, instrument_checks
from harness.report.opening import instrument_line, sentences, title_of, warnings
from harness.report.parts import (
    ClaimSection,
    File,
    MatrixCell,
    MatrixRow,
    OnModel,
    Page,
    Parting,
    PredictionSection,
    Provenance,
)
from harness.report.timelines import fleet_part
from harness.report.verdicts import CRITERIA, distinct, natural, overall
from harness.verdicts import typeset
from harness.verdicts.components import MODEL
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.plots import PlacedPlot
from harness.verdicts.primaries import primaries_of
from harness.verdicts.verdict import AnalysisPlan, Named, Verdict

if TYPE_CHECKING:
    import pandas as pd

ICONS = {str(o): str(o).replace(" ", "-") for o in Outcome}
OPEN_FOREST = 420  # pixels: a taller one stays closed
FACTS = {"items": "items of a task, in sets that are drawn"}  # as the page calls them
SAME = "same weights as"  # a fact of a model: an earlier model of the page
LIMITS = (
    "A verdict holds for the model, the materials and the plan named here, and no further.",
    "Refuted means that a requirement failed with its whole interval, or that a control showed the "
    "same; a smaller effect may exist.",
    "A difference of activation (h1 to h4, the separation of h7, h12) is no cause: only claims "
    "that edit the model, from h5 on, test what it needs.",
    "Heads are ranked by ablating one at a time, neurons by gradients on the path to the ablation "
    "of all: a circuit whose parts can replace each other may be missed.",
)


def report_page(
    records: Sequence[Verdict],
    components: "pd.DataFrame | None",
    title: str | None,
    plots: Sequence[PlacedPlot] = (),
    files: Sequence[File] = (),
    answers: "pd.DataFrame | None" = None,
    fleet: FleetRecord = NO_FLEET,
) -> Page:
    """The whole report as values; without a title, one that says what was compared and where."""
    anchors = Anchors()
    results = [r for r in records if r.control is None]
    models = distinct(r.model.name for r in results)
    ids = sorted(distinct(r.claim_id for r in results), key=natural)
    criteria = [c for c in CRITERIA if any(r.criterion == c for r in results)]
    claims = [
        _claim(
            [r for r in results if r.claim_id == i],
            components,
            [p for p in plots if p.claim_id == i],
            models,
            criteria,
            anchors,
        )
        for i in ids
    ]
    checks = instrument_checks(records)
    return Page(
        title=title or title_of(results),
        warnings=warnings(results),
        sentences=sentences(claims, models),
        instrument=instrument_line(checks),
        by_claim=by_claim(checks),
        checks=checks,
        models=models,
        criteria=criteria,
        claims=claims,
        table=ClaimsTable("claim", [row for c in claims for row in _claim_rows(c)]),
        every=ClaimsTable("requirement", [row for c in claims for row in _requirement_rows(c)]),
        partings=[p for c in claims for p in _partings(c)],
        primaries=[line.strip() for line in primaries_of(results).lines()],
        limits=[*same_weights(records), *LIMITS],
        provenance=_provenance(records),
        files=files,
        answers=answer_sheets(answers, anchors),
        fleet=fleet_part(fleet, results),
    )


def _claim_rows(claim: ClaimSection) -> list[ClaimRow]:
    """A row a statement, model and criterion, the controlled one below the published."""
    return [
        claim_row(_records(claim, row.part, cell.model, cell.criterion), cell.href)
        for model in distinct(cell.model for row in claim.rows for cell in row.cells)
        for row in claim.rows
        for cell in row.cells
        if cell.model == model and cell.outcome
    ]


def _records(claim: ClaimSection, part: str, model: str, criterion: str) -> list[Verdict]:
    """The verdicts behind a cell."""
    return [
        p.record
        for on in claim.models
        for p in on.predictions
        if (p.record.part, on.model, p.record.criterion) == (part, model, criterion)
    ]


def _requirement_rows(claim: ClaimSection) -> list[ClaimRow]:
    predictions = [p for on in claim.models for p in on.predictions]
    return [row for p in predictions for row in requirement_rows(p.record, p.anchor)]


def _claim(
    records: list[Verdict],
    components: "pd.DataFrame | None",
    plots: Sequence[PlacedPlot],
    models: Sequence[str],
    criteria: Sequence[str],
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
    figure, on_models = _opened(on_models)
    description = _described(records)
    return ClaimSection(
        id=claim_id,
        anchor=anchor,
        sentence=records[0].claim,
        description=description,
        described=terms(description),
        rows=_rows(records[0], anchor, on_models, [(m, c) for m in models for c in criteria]),
        models=on_models,
        figure=figure,
    )


def _opened(on_models: list[OnModel]) -> tuple[Figure | None, list[OnModel]]:
    """The one figure that is open, and the models without it.

    Of the first model: a figure of the controlled criterion if there is one, else any, else what
    was measured against what was needed, if that is not too tall.
    """
    if not on_models:
        return None, on_models
    first, *others = on_models
    controlled = [f for f in first.figures if f.context.startswith(Criterion.CONTROLLED)]
    chosen = next(iter([*controlled, *first.figures]), None)
    if chosen is not None:
        rest = [f for f in first.figures if f is not chosen]
        return chosen, [replace(first, figures=rest), *others]
    if first.forest is not None and first.forest.height <= OPEN_FOREST:
        return first.forest, [replace(first, forest=None), *others]
    return None, on_models


def _rows(
    record: Verdict, anchor: str, on_models: Sequence[OnModel], columns: Sequence[tuple[str, str]]
) -> list[MatrixRow]:
    """A row a part of the claim, in the order in which they come up; a cell a column."""
    by_model = {on.model: on for on in on_models}
    parts = distinct(p.record.part for on in on_models for p in on.predictions)
    return [
        MatrixRow(
            record.claim_id,
            part,
            record.claim,
            anchor,
            [_cell(m, c, part, by_model[m]) if m in by_model else _blank(m, c) for m, c in columns],
        )
        for part in parts
    ]


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
            component_table(r, mine),
            _key(claim_id, r.part, model, r.criterion),
        )
        for r in records
    ]
    tallies, drawn = tallies_and_figures(records, mine)
    drawn += [figure_of(p) for p in _by_prediction(plots, records)]
    several = len({r.criterion for r in records}) > 1
    measured = forest(records, claim_id, model, with_criterion=several)
    return OnModel(anchor, model, predictions, tallies, _each_once(drawn), measured)


def _each_once(figures: Sequence[Figure]) -> list[Figure]:
    """Figures without those that several predictions handed over alike."""
    return list({repr(figure.spec()): figure for figure in figures}.values())


def _key(claim_id: str, part: str, model: str, criterion: str) -> str:
    """What filters know a cell and its predictions by."""
    return "/".join((claim_id, part, model, criterion))


def _materials(record: Verdict, others: Sequence[Verdict]) -> list[str]:
    """The materials, if they tell the prediction from others of its name: a link has to last."""
    same = [r for r in others if r.prediction_id == record.prediction_id]
    return [record.materials.name] if len(same) > 1 else []


def _by_prediction(plots: Sequence[PlacedPlot], records: Sequence[Verdict]) -> list[PlacedPlot]:
    """The figures handed over, in the order of the predictions that did."""
    order = distinct(r.prediction_id for r in records)
    rank = {prediction: at for at, prediction in enumerate(order)}
    return sorted(plots, key=lambda p: rank.get(p.prediction_id, len(rank)))


def _cell(model: str, criterion: str, part: str, on: OnModel) -> MatrixCell:
    predictions = [
        p for p in on.predictions if (p.record.criterion, p.record.part) == (criterion, part)
    ]
    if not predictions:
        return _blank(model, criterion)
    records = [p.record for p in predictions]
    outcome = overall(r.outcome for r in records)
    agreeing = [r for r in records if r.outcome == outcome]
    return MatrixCell(
        model,
        criterion,
        outcome,
        note=f"{len(agreeing)} of {len(records)}" if len(records) > 1 else "",
        href=predictions[records.index(agreeing[0])].anchor,
        was=_was(records, outcome),
        shown=agreeing[0],
        key=predictions[0].key,
    )


def _was(records: Sequence[Verdict], outcome: str) -> str:
    """The word that the baseline's verdicts on the same predictions make up."""
    compared = [r.baseline.outcome for r in records if r.baseline and r.baseline.comparable]
    word = overall(compared) if len(compared) == len(records) else ""
    return "" if word == outcome else word


def _partings(claim: ClaimSection) -> list[Parting]:
    """Where the two criteria differ on the same statement."""
    return [
        parting
        for row in claim.rows
        for on_model in claim.models
        if (parting := _parting(claim, row, on_model)) is not None
    ]


def _parting(claim: ClaimSection, row: MatrixRow, on_model: OnModel) -> Parting | None:
    published, controlled = (
        _records(claim, row.part, on_model.model, criterion) for criterion in CRITERIA
    )
    # A paper's rule judges the whole claim where the controlled criterion has parts.
    published = published or _records(claim, "", on_model.model, Criterion.PUBLISHED)
    word = overall(r.outcome for r in controlled)
    if overall(r.outcome for r in published) != Outcome.SUPPORTED:
        return None
    if word in ("", Outcome.SUPPORTED):
        return None
    failing = next(r for r in controlled if r.outcome == word)
    twins = _what_twins_did(on_model, [*published, *controlled])
    return Parting(claim.id, claim.sentence, row.part, on_model.model, published[0], failing, twins)


def _what_twins_did(on_model: OnModel, records: Sequence[Verdict]) -> list[str]:
    """From the components where there are any, else from the controls named after twins."""
    said = []
    for tally in on_model.tallies:
        twins = [n for source, n in tally.passed.items() if source != MODEL]
        if twins:
            counts = typeset.listed([typeset.count(n) for n in twins])
            part = f", {tally.part}" if tally.part else ""
            said.append(
                f"{tally.criterion} criterion{part}: {counts} of {typeset.count(tally.total)} "
                f"{tally.kind}s pass in the untrained {'twin' if len(twins) == 1 else 'twins'}, "
                f"{typeset.count(tally.passed.get(MODEL, 0))} in the model"
            )
    if said:
        return said
    return [
        f"{r.criterion} criterion, {c.name}: {typeset.number(c.value)}"
        + (f" {c.note}" if c.note else "")
        for r in records
        for c in r.controls
        if re.search(r"twin|untrained", c.name, re.IGNORECASE)
    ]


def _provenance(verdicts: Sequence[Verdict]) -> Provenance:
    in_order = sorted(verdicts, key=lambda v: natural(v.claim_id))
    plans = {(v.claim_id, v.plan.hash): v.plan for v in in_order if v.plan != AnalysisPlan()}
    return Provenance(
        runs=_runs(verdicts),
        models=_with_twins_of_weights(_distinct_named(v.model for v in verdicts)),
        materials=_distinct_named(v.materials for v in verdicts if v.materials.name),
        plans=[(claim_id, plan) for (claim_id, _), plan in plans.items()],
        suite=next((plan.suite for plan in plans.values()), {}),
        # Reference models may have been measured by another run, and kept.
        seconds=sum(v.seconds for v in verdicts if v.control is None),
    )


def same_weights(verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each model with the weights of an earlier one: no second measurement."""
    named = _with_twins_of_weights(_distinct_named(v.model for v in verdicts))
    return [
        f"{model.name} has the same weights as {model.facts[SAME]}: the two are one measurement."
        for model in named
        if SAME in model.facts
    ]


def _with_twins_of_weights(models: Sequence[Named]) -> list[Named]:
    """The models, each with the name of an earlier one that has its weights."""
    first: dict[Any, str] = {}
    found = []
    for model in models:
        content = model.facts.get("content")
        name = model.name if content is None else first.setdefault(content, model.name)
        facts = model.facts if name == model.name else {**model.facts, SAME: name}
        found.append(Named(model.name, facts))
    return found


def _runs(verdicts: Sequence[Verdict]) -> list[Named]:
    """Every run, with the distinct values of its verdicts' provenance."""
    runs: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        facts = runs.setdefault(verdict.run_id, {"date": ""})
        facts["date"] = max(facts["date"], verdict.created)
        for key, value in verdict.provenance.items():
            values = facts.setdefault(FACTS.get(key, key), [])
            if value not in values:
                values.append(value)
    return [Named(run_id, facts) for run_id, facts in runs.items()]


def _distinct_named(values: Iterable[Named]) -> list[Named]:
    return list({(v.name, repr(sorted(v.facts.items()))): v for v in values}.values())
