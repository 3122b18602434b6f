"""The forest plot of a claim on a model: what was measured, against the side that passes."""

import math
from collections.abc import Iterable, Sequence

from harness.report.figures.figure import LARGE_D, Figure, Panel, Trace, on_axes, rounded
from harness.verdicts import typeset
from harness.verdicts.evidence import Evidence, State
from harness.verdicts.verdict import Verdict

ROW = 34  # pixels: a label may take two lines
_PASSES_ABOVE = (">", ">=")
Requirement = tuple[Verdict, Evidence]
_COLOUR = {
    State.HELD: "$supported",
    State.FAILED: "$refuted",
    State.UNDECIDED: "$inconclusive",
    None: "$line",
}


def forest(
    records: Sequence[Verdict], claim_id: str, model: str, *, with_criterion: bool
) -> Figure | None:
    """Every requirement of a claim on one model with its interval, a panel a quantity.

    Requirements on the end of an interval are not drawn again: the interval is there. Nor are those
    that a prediction takes over from another one.
    """
    every = _each_once(
        (record, evidence)
        for record in records
        for evidence in record.evidence
        if evidence.decisive and evidence.effect.known
    )
    rows = [(r, e) for r, e in every if "lower end of its" not in e.name]
    if not rows:
        return None
    quantities: dict[str, list[Requirement]] = {}
    for record, evidence in rows:
        quantities.setdefault(evidence.effect.name, []).append((record, evidence))
    traces: list[Trace] = []
    panels = []
    for at, (quantity, found) in enumerate(quantities.items()):
        low, high = _span([e for _, e in found])
        traces += _passing(at, found, low, high)
        traces += _forest_traces(at, found, first=at == 0, ends=(low, high))
        labels = [_label(r, e, with_criterion=with_criterion) for r, e in found]
        y = {"labels": labels, "range": [len(found) - 0.4, -0.6], "grid": False}
        x = {"title": "", "zero": True, "range": [low, high], **_whole(found, low, high)}
        panels.append(Panel(quantity, x, y, 74 + ROW * len(found)))
    return Figure(
        title=f"{claim_id} on {model}: measured against needed",
        headline=_headline(every),
        caption=(
            "A point is a measured effect, its line the interval, the upright tick the threshold; "
            "the shaded side passes. Filled: the requirement holds, adjusted p included; hollow "
            "circle: it fails; hollow diamond: undecided. Panels have their own scales."
        ),
        context=_context(rows),
        claim_id=claim_id,
        traces=traces,
        panels=panels,
    )


def _each_once(found: Iterable[Requirement]) -> list[Requirement]:
    """Without what stands under the same criterion and materials already."""
    once: dict[str, Requirement] = {}
    for record, evidence in found:
        what = (evidence.name, evidence.effect, evidence.threshold, evidence.relation)
        place = (record.criterion, record.materials.name, _kind(record))
        once.setdefault(repr((place, what)), (record, evidence))
    return list(once.values())


def _kind(record: Verdict) -> str:
    """`head`, of a prediction that is made about heads and about neurons."""
    return record.prediction_id.rpartition("]")[2].partition("-")[2]


def _headline(every: Sequence[Requirement]) -> str:
    held = sum(e.passed for _, e in every)
    failed = next((e for _, e in every if e.state is State.FAILED), None)
    undecided = sum(e.state is State.UNDECIDED for _, e in every)
    first = f", {undecided} undecided" if undecided else ""
    first += f"; the first that fails: {failed.name}" if failed is not None else ""
    return f"{typeset.share_text(held, len(every))} requirements hold{first}."


def _context(rows: Sequence[Requirement]) -> str:
    criteria = typeset.listed(list(dict.fromkeys(str(r.criterion) for r, _ in rows)))
    names = list(dict.fromkeys(r.materials.name for r, _ in rows if r.materials.name))
    sizes = sorted({e.n for _, e in rows if e.n})
    n = f" · n = {', '.join(typeset.count(s) for s in sizes)}" if sizes else " · n differs"
    return f"{criteria} criterion · {typeset.listed(names) if names else 'no materials'}{n}"


def _label(record: Verdict, evidence: Evidence, *, with_criterion: bool) -> str:
    """`controlled, retrieval, head: recall lost without its heads`."""
    parts = [str(record.criterion) if with_criterion else "", record.part, _kind(record)]
    before = ", ".join(filter(None, parts))
    return f"{before}: {evidence.name}" if before else evidence.name


def _span(evidence: Sequence[Evidence]) -> tuple[float, float]:
    """The axis of a panel: all effects, intervals and thresholds; d no further than `LARGE_D`."""
    values = [0.0]
    for e in evidence:
        values += [e.effect.value, *(e.effect.interval or ())]
        if e.threshold is not None:
            values.append(e.threshold)
    limit = LARGE_D if evidence[0].effect.name == "d" else math.inf
    known = [min(max(v, -limit), limit) for v in values if math.isfinite(v)]
    margin = 0.08 * (max(known) - min(known) or 1.0)
    return min(known) - margin, max(known) + margin


def _whole(found: Sequence[Requirement], low: float, high: float) -> dict[str, float]:
    """Ticks at whole numbers, where all values are counts."""
    values = [v for _, e in found for v in (e.effect.value, e.threshold or 0.0)]
    if not all(float(v).is_integer() for v in values):
        return {}
    apart = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(apart))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= apart)
    return {"dtick": max(1, round(step))}


def _passing(at: int, found: Sequence[Requirement], low: float, high: float) -> list[Trace]:
    """A shaded strip a row, from the threshold to the end that passes."""
    axes = on_axes(at)
    strips = []
    for row, (_, e) in enumerate(found):
        if e.threshold is None or not e.required:
            continue
        above = e.relation in _PASSES_ABOVE
        ends = (e.threshold, high) if above else (low, e.threshold)
        place = {"xref": axes["xaxis"], "x0": ends[0], "x1": ends[1]}
        place |= {"yref": axes["yaxis"], "y0": row - 0.3, "y1": row + 0.3}
        look = {"type": "rect", "fillcolor": "$band", "line": {"width": 0}, "layer": "below"}
        strips.append({"shape": {**look, **place}})
    return strips


def _forest_traces(
    at: int, found: Sequence[Requirement], *, first: bool, ends: tuple[float, float]
) -> list[Trace]:
    """The ticks of what was needed, and over them the points of what was measured."""
    common = {"type": "scatter", "mode": "markers", "showlegend": first, **on_axes(at)}
    return [common | _ticks([e for _, e in found]), common | _points(found, ends)]


def _points(found: Sequence[Requirement], ends: tuple[float, float]) -> Trace:
    values = [min(max(e.effect.value, ends[0]), ends[1]) for _, e in found]
    spans = [e.effect.interval or (v, v) for v, (_, e) in zip(values, found, strict=True)]
    above = [_finite(high, v) - v for v, (_, high) in zip(values, spans, strict=True)]
    below = [v - _finite(low, v) for v, (low, _) in zip(values, spans, strict=True)]
    states = [e.state for _, e in found]
    colour = [_COLOUR[state] for state in states]
    return {
        "name": "measured",
        "x": rounded(values, 6),
        "y": list(range(len(found))),
        "text": [f"{e.name}: {typeset.number(e.effect.value)}" for _, e in found],
        "error_x": {
            **{"type": "data", "symmetric": False, "color": "$line", "thickness": 1.5, "width": 0},
            "array": rounded(above),
            "arrayminus": rounded(below),
        },
        "marker": {
            "size": 9,
            "symbol": ["diamond" if s is State.UNDECIDED else "circle" for s in states],
            "color": [c if c == "$supported" else "$plot" for c in colour],
            "line": {"color": colour, "width": 2},
        },
        "hovertemplate": "%{text}<extra></extra>",
    }


def _ticks(evidence: Sequence[Evidence]) -> Trace:
    bounded = [(at, e.threshold) for at, e in enumerate(evidence) if e.threshold is not None]
    return {
        "name": "needed",
        "x": [threshold for _, threshold in bounded],
        "y": [at for at, _ in bounded],
        "marker": {"symbol": "line-ns", "size": 14, "line": {"color": "$threshold", "width": 2}},
        "hovertemplate": "needed: %{x:.3~g}<extra></extra>",
    }


def _finite(bound: float, otherwise: float) -> float:
    return bound if math.isfinite(bound) else otherwise
