"""The forest plot of a claim: what was measured, with its interval, against what was needed."""

import math
from collections.abc import Sequence

from harness.report.figures.figure import Figure, Panel, Trace, on_axes, rounded
from harness.verdicts import typeset
from harness.verdicts.evidence import Evidence
from harness.verdicts.verdict import Verdict


def forest(records: Sequence[Verdict], claim_id: str) -> Figure | None:
    """Every decisive effect of a claim with its interval and threshold, a panel a quantity."""
    rows = [
        (record, evidence)
        for record in records
        for evidence in record.evidence
        if evidence.decisive and evidence.effect.known
    ]
    if not rows:
        return None
    quantities: dict[str, list[tuple[Verdict, Evidence]]] = {}
    for record, evidence in rows:
        quantities.setdefault(evidence.effect.name, []).append((record, evidence))
    traces: list[Trace] = []
    panels = []
    for at, (quantity, found) in enumerate(quantities.items()):
        traces += _forest_traces(at, found, first=at == 0)
        labels = [_label(r, e) for r, e in found]
        y = {"labels": labels, "range": [len(found) - 0.4, -0.6], "grid": False}
        panels.append(Panel(quantity, {"title": "", "zero": True}, y, 74 + 26 * len(found)))
    held = sum(e.passed for _, e in rows)
    criteria = typeset.listed(list(dict.fromkeys(r.criterion for r, _ in rows)))
    names = list(dict.fromkeys(r.materials.name for r, _ in rows if r.materials.name))
    sizes = sorted({e.n for _, e in rows if e.n})
    n = f" · n = {', '.join(typeset.count(s) for s in sizes)}" if sizes else " · n differs"
    return Figure(
        title=f"{claim_id}: measured against needed",
        headline=f"{typeset.share_text(held, len(rows))} requirements hold.",
        caption=(
            "A point is a measured effect, its line the interval, the upright tick the threshold "
            "it was held against. Filled: the requirement holds (adjusted p included); hollow: it "
            "does not. Panels have their own scales."
        ),
        context=f"{criteria} criterion · {typeset.listed(names) if names else 'no materials'}{n}",
        claim_id=claim_id,
        traces=traces,
        panels=panels,
    )


def _label(record: Verdict, evidence: Evidence) -> list[str]:
    return [record.model.name, f"{record.criterion}: {evidence.name}"]


def _forest_traces(at: int, found: list[tuple[Verdict, Evidence]], *, first: bool) -> list[Trace]:
    """The ticks of what was needed, and over them the points of what was measured."""
    common = {"type": "scatter", "mode": "markers", "showlegend": first, **on_axes(at)}
    return [common | _ticks([e for _, e in found]), common | _points(found)]


def _points(found: list[tuple[Verdict, Evidence]]) -> Trace:
    values = [e.effect.value for _, e in found]
    spans = [e.effect.interval or (v, v) for v, (_, e) in zip(values, found, strict=True)]
    above = [_finite(high, v) - v for v, (_, high) in zip(values, spans, strict=True)]
    below = [v - _finite(low, v) for v, (low, _) in zip(values, spans, strict=True)]
    held = [e.passed for _, e in found]
    colour = ["$supported" if h else "$refuted" for h in held]
    return {
        "name": "measured",
        "x": rounded(values, 6),
        "y": list(range(len(found))),
        "text": [": ".join(_label(v, e)) for v, e in found],
        "error_x": {
            **{"type": "data", "symmetric": False, "color": "$line", "thickness": 1.5, "width": 0},
            "array": rounded(above),
            "arrayminus": rounded(below),
        },
        "marker": {
            "size": 9,
            "color": [c if h else "$plot" for c, h in zip(colour, held, strict=True)],
            "line": {"color": colour, "width": 2},
        },
        "hovertemplate": "%{text}<br>%{x:.3~g}<extra></extra>",
    }


def _ticks(evidence: list[Evidence]) -> Trace:
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
