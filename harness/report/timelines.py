"""Models in an order: a table of outcomes with their flips, and curves of what decided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.compare.curves import Curve, FleetRecord, ModelSeries, SeriesPoint, curves
from harness.report.figures.figure import Figure
from harness.report.figures.plots import figure_of
from harness.verdicts import typeset
from harness.verdicts.evidence import Evidence
from harness.verdicts.plots import PlacedPlot, Plot, PlotPanel, Role, Series
from harness.verdicts.verdict import Verdict

TASKS: tuple[Role, ...] = ("recall", "lookup", "reasoning")
CAPTION = (
    "Bars are the intervals of each model by itself; the dashed line is what was needed. A gap is "
    "a model on which the number was not measured, as where a gate was not met."
)


@dataclass(frozen=True, slots=True)
class TimelineTile:
    """A prediction on one model; both texts are empty where it was not measured."""

    outcome: str
    number: str


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """A prediction over the models; `followed` is the number in its cells."""

    claim_id: str
    prediction: str
    criterion: str
    followed: str
    cells: Sequence[TimelineTile]
    flips: Sequence[str]
    over: str
    asked: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """One order of models."""

    name: str
    axis: str
    points: Sequence[SeriesPoint]
    rows: Sequence[TimelineLine]
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class FleetPart:
    """What the page says of a run of many models; nothing for a run of few."""

    timelines: Sequence[Timeline] = field(default=())
    notes: Sequence[str] = field(default=())

    def __bool__(self) -> bool:
        """Whether there is something to say."""
        return bool(self.timelines or self.notes)


NO_PART = FleetPart()


def fleet_part(record: FleetRecord, verdicts: Sequence[Verdict]) -> FleetPart:
    """The part of the page on orders of models."""
    return FleetPart([timeline(series, verdicts) for series in record.series], record.notes)


def timeline(series: ModelSeries, verdicts: Sequence[Verdict]) -> Timeline:
    """A row a prediction, the primary ones first in each claim, and their curves."""
    drawn = sorted(curves(series, verdicts), key=lambda c: (c.last.claim_id, not c.last.primary))
    figures = [figure for curve in drawn if (figure := curve_figure(curve)) is not None]
    return Timeline(series.name, series.axis, series.points, [_row(c) for c in drawn], figures)


def _row(curve: Curve) -> TimelineLine:
    last = curve.last
    evidence = next((e.evidence for e in reversed(curve.at) if e.evidence is not None), None)
    cells = [
        TimelineTile(each.outcome, _number(each.evidence) if each.value is not None else "")
        for each in curve.at
    ]
    return TimelineLine(
        last.claim_id,
        last.prediction,
        str(last.criterion),
        evidence.name if evidence else "",
        cells,
        [flip.text for flip in curve.flips],
        curve.over_steps,
        f"asked at different difficulty: {', '.join(curve.asked)}" if curve.asked else "",
    )


def _number(evidence: Evidence | None) -> str:
    if evidence is None:
        return ""
    signed = typeset.signed_quantity(evidence.effect.name)
    value = typeset.number_beside(evidence.effect.value, evidence.threshold, signed=signed)
    return f"{evidence.effect.name} = {value}"


def curve_figure(curve: Curve) -> Figure | None:
    """What decided, with its interval, over the models; None where fewer than two have it.

    Of a prediction that asks the same of several tasks, every task has a line.
    """
    shown = next((e.evidence for e in reversed(curve.at) if e.evidence is not None), None)
    if shown is None or sum(e.value is not None for e in curve.at) < 2:
        return None
    last = curve.last
    flips = "; ".join(flip.text for flip in curve.flips) or "no flip"
    threshold = (shown.threshold,) if shown.required and shown.threshold is not None else ()
    plot = Plot(
        form="curve",
        title=f"{last.claim_id}: {last.prediction.rstrip('.')}",
        headline=f"{flips[0].upper()}{flips[1:]}.",
        caption=" ".join(filter(None, (CAPTION, curve.over_steps and f"{curve.over_steps}."))),
        x=curve.series.axis,
        y=shown.effect.name,
        panels=(PlotPanel("", tuple(_series(curve, shown)), threshold),),
        n=shown.n,
    )
    criterion, materials = str(last.criterion), last.materials.name
    place = (curve.series.name, materials, last.claim_id, criterion, last.prediction_id)
    return figure_of(PlacedPlot(*place, plot))


def _series(curve: Curve, shown: Evidence) -> Iterator[Series]:
    """A line for each piece of evidence that decides on the same quantity and threshold."""
    like = (shown.effect.name, shown.threshold, shown.relation)
    found: dict[str, Evidence] = {}
    for each in curve.at:
        for e in each.verdict.evidence if each.verdict else ():
            if e.decisive and (e.effect.name, e.threshold, e.relation) == like:
                found.setdefault(e.identity, e)
    found = found or {shown.identity: shown}
    for identity, first in found.items():
        at = [
            (each.point, e)
            for each in curve.at
            for e in (each.verdict.evidence if each.verdict else ())
            if e.identity == identity and e.effect.known
        ]
        ends = [e.effect.interval or (e.effect.value, e.effect.value) for _, e in at]
        yield Series(
            first.name,
            _role(first.name),
            _places([point for point, _ in at]),
            [e.effect.value for _, e in at],
            low=[low for low, _ in ends],
            high=[high for _, high in ends],
        )


def _places(points: Sequence[SeriesPoint]) -> list[float] | list[str]:
    """Steps, or names where the order has none."""
    if any(point.step is None for point in points):
        return [point.place for point in points]
    return [float(point.step or 0) for point in points]


def _role(name: str) -> Role:
    """The colour of a task, where the name has one."""
    words = name.replace(":", " ").replace(",", " ").split()
    return next((task for task in TASKS if task in words), "model")
