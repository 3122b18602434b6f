"""Plots whose data are points: curves with their bands, and scatters against the diagonal."""

from collections.abc import Sequence
from typing import Any

from harness.report.figures.axes import (
    BANDED,
    COLOUR,
    FEW,
    AxisRow,
    Drawing,
    Number,
    Scale,
    Styles,
    doses,
    finite,
    heights,
    in_order,
    is_band,
    panel_of,
    said,
    scale_of,
    span,
    square,
)
from harness.report.figures.figure import Trace, on_axes
from harness.report.figures.labels import Point, labels
from harness.verdicts import typeset
from harness.verdicts.plots import Plot, Series

CROWD = 150  # points, beyond which they are small


def curve(plot: Plot, styles: Styles) -> Drawing:
    """Lines with markers over the bands of twins and of random sets; one y scale for all panels."""
    drawn = [v for p in plot.panels for s in p.series for c in (s.y, s.low, s.high) for v in c]
    lines = [line for p in plot.panels for line in p.lines]
    y = heights(plot.y, [finite(v) for v in [*drawn, *lines]])
    traces: list[Trace] = []
    panels = []
    for at, panel in enumerate(plot.panels):
        scale = scale_of(s.x for s in panel.series)
        # Bands first, so that lines lie on them.
        for series in sorted(panel.series, key=lambda s: not is_band(s)):
            if len(series.x):
                draw = _band if is_band(series) else _points
                traces.append({**draw(series, scale, styles), **on_axes(at)})
        traces += [_across(at, line) for line in panel.lines if finite(line) is not None]
        panels.append(panel_of(panel, doses(plot.x, scale, panel.series), y, 260))
    return traces, panels, ""


def _points(series: Series, scale: Scale, styles: Styles) -> Trace:
    rows = in_order(series, scale)
    spread = any(None not in row[:4] for row in rows)
    texts = [
        f"{said(series, scale.name(series.x[i]))}: {typeset.number(y)}"
        + (f" {typeset.interval_text((low, high))}" if spread else "")
        for _, y, low, high, i in rows
    ]
    trace: Trace = {
        "type": "scatter",
        "mode": "lines" if series.role in BANDED and len(rows) > FEW else "lines+markers",
        **styles.named(series),
        "x": [row[0] for row in rows],
        "y": [row[1] for row in rows],
        "text": texts,
        "line": {"color": COLOUR[series.role], "width": 1.75, "dash": styles.dash(series)},
        "marker": {"size": 7 if len(rows) <= FEW else 5, **styles.marker(series)},
        "cliponaxis": False,
        "hovertemplate": "%{text}<extra></extra>",
    }
    if spread:
        trace["error_y"] = {
            **{"type": "data", "symmetric": False, "color": COLOUR[series.role]},
            **{"thickness": 1.25, "width": 3},
            "array": [_gap(high, y) for _, y, _, high, _ in rows],
            "arrayminus": [_gap(y, low) for _, y, low, _, _ in rows],
        }
    return trace


def _gap(upper: Number, lower: Number) -> Number:
    """Length of an error bar, None where an end is missing."""
    return None if upper is None or lower is None else finite(max(upper - lower, 0.0))


def _band(series: Series, scale: Scale, styles: Styles) -> Trace:
    """A closed shape for every stretch of points that have both ends, with gaps between."""
    rows = in_order(series, scale)
    stretches: list[list[tuple[float, float, float]]] = [[]]
    for x, _, low, high, _ in rows:
        if low is None or high is None:
            stretches.append([])
        else:
            stretches[-1].append((x, low, high))
    outline: list[tuple[Number, Number]] = []
    for stretch in filter(None, stretches):
        wide = _width(rows, scale) if len(stretch) == 1 else 0.0
        sides = (-wide, wide) if wide else (0.0,)
        corners = [(x + side, low, high) for x, low, high in stretch for side in sides]
        outline += [(None, None)] if outline else []
        outline += [(x, low) for x, low, _ in corners]
        outline += [(x, high) for x, _, high in reversed(corners)]
    pattern = {"fillpattern": {"shape": "/", "size": 7, "solidity": 0.2, "fgcolor": "$line"}}
    return {
        "type": "scatter",
        "mode": "lines",
        **styles.named(series),
        "x": [x for x, _ in outline],
        "y": [y for _, y in outline],
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": "$band",
        "legendrank": 1001,  # after the lines
        "hoverinfo": "skip",
        **(pattern if styles.hatched(series) else {}),
    }


def _width(rows: Sequence[AxisRow], scale: Scale) -> float:
    """Half the width of a band at a lone point, which has none of its own."""
    first, last = rows[0][0], rows[-1][0]
    if scale.categories or first == last:
        return 0.3
    return min(0.02 * (last - first), 0.2 * first) if first > 0 else 0.02 * (last - first)


def _across(at: int, y: float) -> Trace:
    """A dashed line over a whole panel."""
    axes = on_axes(at)
    ends = {"xref": f"{axes['xaxis']} domain", "x0": 0, "x1": 1}
    return _line(ends | {"yref": axes["yaxis"], "y0": y, "y1": y}, "4px,3px")


def _line(ends: Trace, dash: str) -> Trace:
    line = {"color": "$threshold", "width": 1, "dash": dash}
    return {"shape": {"type": "line", "line": line, "layer": "below", **ends}}


def scatter(plot: Plot, styles: Styles) -> Drawing:
    """Points against the diagonal, on square axes that all panels share; the farthest are named."""
    xs = scale_of(s.x for p in plot.panels for s in p.series)
    ys = scale_of(s.y for p in plot.panels for s in p.series)
    numbers = not xs.categories and not ys.categories
    places = [
        v for p in plot.panels for s in p.series for v in (*xs.at(s.x), *ys.at(s.y), *p.lines)
    ]
    low, high = span(places) or [0.0, 1.0]
    traces: list[Trace] = []
    panels = []
    missing = 0
    for at, panel in enumerate(plot.panels):
        points: list[Point] = []
        # What stands for chance first, so that the rest lies on it.
        for series in sorted(panel.series, key=lambda s: s.role not in BANDED):
            if not len(series.x):
                continue
            trace, found = _cloud(series, xs, ys, styles)
            traces.append(trace | on_axes(at))
            points += found
            missing += len(series.x) - len(found)
        traces += [_across(at, line) for line in panel.lines if finite(line) is not None]
        if numbers:
            traces += [_diagonal(at, low, high), *labels(at, points, low, high)]
            axes = square(plot.x, low, high), square(plot.y, low, high)
        else:
            axes = xs.axis(plot.x), ys.axis(plot.y)
        panels.append(panel_of(panel, *axes, 340))
    remark = f"Not drawn, for want of a number: {typeset.plural(missing, 'point')}."
    return traces, panels, remark if missing else ""


def _diagonal(at: int, low: float, high: float) -> Trace:
    axes = on_axes(at)
    ends = {"xref": axes["xaxis"], "x0": low, "x1": high}
    return _line(ends | {"yref": axes["yaxis"], "y0": low, "y1": high}, "dot")


def _cloud(series: Series, xs: Scale, ys: Scale, styles: Styles) -> tuple[Trace, list[Point]]:
    size = 7 if len(series.x) <= CROWD else 4
    names = series.text if len(series.text) else [""] * len(series.x)
    rows = zip(xs.at(series.x), ys.at(series.y), series.x, series.y, names, strict=True)
    known = [(x, y, a, b, n) for x, y, a, b, n in rows if x is not None and y is not None]
    trace = {
        "type": "scatter",
        "mode": "markers",
        **styles.named(series),
        "x": [x for x, *_ in known],
        "y": [y for _, y, *_ in known],
        "text": [
            f"{said(series, n)} ({_value(xs, a)}, {_value(ys, b)})" for _, _, a, b, n in known
        ],
        "marker": {"size": size, "opacity": 0.8, **styles.marker(series)},
        "cliponaxis": False,
        "hovertemplate": "%{text}<extra></extra>",
    }
    return trace, [Point(x, y, n) for x, y, _, _, n in known]


def _value(scale: Scale, value: Any) -> str:
    return scale.name(value) if scale.categories else typeset.number(value)
