"""From the plots that claims hand over to figures of the report: one drawing a form.

Names of categories, series and points are data: they travel in `text`, `name`, `title` and
`ticks`, which the page's script escapes, never in a template or as an axis's own category.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from harness.report.figures.axes import (
    COLOUR,
    Drawing,
    Number,
    Scale,
    Styles,
    finite,
    heights,
    in_order,
    panel_of,
    rank_axis,
    said,
    scale_of,
    span,
)
from harness.report.figures.figure import (
    DIVERGING,
    SATURATION,
    SEQUENTIAL,
    Figure,
    FigureContext,
    Trace,
    on_axes,
)
from harness.report.figures.points import curve, scatter
from harness.verdicts import typeset
from harness.verdicts.plots import PlacedPlot, Plot, PlotPanel, Series

ROUNDING = 1e-6  # of the largest value: a negative number this small is a zero


def figure_of(placed: PlacedPlot) -> Figure:
    """The figure of one entry of `plots.json`."""
    plot = placed.plot
    plot = plot if plot.panels else replace(plot, panels=(PlotPanel("", ()),))
    styles = Styles(plot)
    traces, panels, remark = FORMS[plot.form](plot, styles)
    context = FigureContext(
        model=placed.model,
        claim_id=placed.claim_id,
        criterion=placed.criterion,
        materials=placed.materials,
        n=plot.n,
        threshold=None,
    )
    return Figure(
        title=f"{context.model}: {plot.title}",
        headline=plot.headline,
        caption=" ".join(filter(None, (plot.caption, remark))),
        context=context.line(),
        claim_id=context.claim_id,
        traces=traces,
        panels=panels,
        columns=(min(len(panels), 2), 1),
        legend=styles.legend,
    )


def heat_map(plot: Plot, _: Styles) -> Drawing:
    """Cells of colour, rows from the bottom; all panels on one scale."""
    values = [finite(z) for p in plot.panels for s in p.series for z in s.z]
    sizes = np.array([v for v in values if v is not None] or [0.0])
    largest = float(np.abs(sizes).max())
    top = float(f"{np.quantile(np.abs(sizes), SATURATION):.4g}") or largest or 1.0
    signed = bool(sizes.min() < -ROUNDING * largest)
    traces = []
    panels = []
    for at, panel in enumerate(plot.panels):
        trace, x, y, rows = _cells(plot, panel, signed=signed)
        colours = {
            "zmin": -top if signed else 0,
            "zmax": top,
            "colorscale": DIVERGING if signed else SEQUENTIAL,
            "colorbar": {"panel": at, "title": plot.z},
        }
        traces.append({**trace, **colours, **on_axes(at)})
        panels.append(panel_of(panel, x, y, max(180, min(20 * rows + 90, 520))))
    what = plot.z or "value"
    sign = "|" if signed else ""
    remark = f"Colours saturate at {sign}{what}{sign} = {typeset.number(top)}."
    return traces, panels, remark if largest > top * (1 + 1e-3) else ""


def _cells(
    plot: Plot, panel: PlotPanel, *, signed: bool
) -> tuple[Trace, dict[str, Any], dict[str, Any], int]:
    """The heat map of a panel, its axes and how many rows it has."""
    columns = _Ranks(x for s in panel.series for x in s.x)
    rows = _Ranks(y for s in panel.series for y in s.y)
    z: list[list[Number]] = [[None] * len(columns.names) for _ in rows.names]
    text = [[""] * len(columns.names) for _ in rows.names]
    for series in panel.series:
        for x, y, value in zip(series.x, series.y, series.z, strict=False):
            row, column, size = rows.of(y), columns.of(x), finite(value)
            if row is None or column is None:
                continue
            where = f"{plot.y} {rows.names[row]}, {plot.x} {columns.names[column]}"
            z[row][column] = size
            text[row][column] = f"{where}: {typeset.number(size, signed=signed)}"
    trace = {
        **{"type": "heatmap", "z": z, "text": text, "xgap": 1, "ygap": 1, "showscale": True},
        **{"hoverongaps": False, "hovertemplate": "%{text}<extra></extra>"},
    }
    x_axis = {"title": plot.x, "turn": columns.texts, **rank_axis(columns.names)}
    return trace, x_axis, {"title": plot.y, **rank_axis(rows.names)}, len(rows.names)


class _Ranks:
    """The rows or columns of a map: texts as they first appear, numbers ascending."""

    def __init__(self, values: Iterable[Any]) -> None:
        distinct = list(dict.fromkeys(values))
        scale = scale_of([distinct])
        self.texts = bool(scale.categories)
        places = distinct if self.texts else sorted(v for v in distinct if finite(v) is not None)
        self.names = [scale.name(place) for place in places]
        self._rank = {place: at for at, place in enumerate(places)}

    def of(self, value: Any) -> int | None:
        """Its rank from the left or from below; None if it is not a place."""
        return self._rank.get(value)


def histogram(plot: Plot, styles: Styles) -> Drawing:
    """Pale bars with the outline of each series over them; one y scale for all panels."""
    y = [finite(v) for p in plot.panels for s in p.series for v in s.y]
    high = span([0.0, *y]) or [0.0, 1.0]
    traces: list[Trace] = []
    panels = []
    for at, panel in enumerate(plot.panels):
        scale = scale_of(s.x for s in panel.series)
        for series in filter(lambda s: len(s.x), panel.series):
            traces += [t | on_axes(at) for t in _bars(series, scale, styles)]
        axis = {"title": plot.y, **heights(plot.y, high), "range": [0, high[1]]}
        panels.append(panel_of(panel, scale.axis(plot.x), axis, 260))
    return traces, panels, ""


def _bars(series: Series, scale: Scale, styles: Styles) -> tuple[Trace, Trace]:
    rows = in_order(series, scale)
    colour = COLOUR[series.role]
    left = [x - (0.5 if scale.categories else 0.0) for x, *_ in rows]
    widths = [b - a for a, b in pairwise(left)]
    edges = [*left, left[-1] + (widths[-1] if widths else 1.0)] if left else []
    right = edges[1:]
    bars = {
        **{"type": "bar", "name": series.name, "showlegend": False, "opacity": 0.22},
        "x": [finite((a + b) / 2) for a, b in zip(left, right, strict=True)],
        "width": [finite(b - a) for a, b in zip(left, right, strict=True)],
        "y": [row[1] for row in rows],
        "text": [
            _bin(series, scale, a, b, row) for a, b, row in zip(left, right, rows, strict=True)
        ],
        "textposition": "none",
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": "%{text}<extra></extra>",
    }
    tops = [row[1] for row in rows]
    outline = {
        **{"type": "scatter", "mode": "lines", **styles.named(series), "hoverinfo": "skip"},
        "x": [finite(e) for e in [edges[0], *edges, edges[-1]]] if edges else [],
        "y": [0.0, *tops, tops[-1], 0.0] if edges else [],
        "line": {"shape": "hv", "color": colour, "width": 1.75, "dash": styles.dash(series)},
    }
    return bars, outline


def _bin(series: Series, scale: Scale, left: float, right: float, row: tuple[Any, ...]) -> str:
    edges = f"{typeset.bound(left)} to {typeset.bound(right)}"
    where = scale.name(series.x[row[-1]]) if scale.categories else edges
    return f"{said(series, where)}: {typeset.number(row[1])}"


FORMS: dict[str, Callable[[Plot, Styles], Drawing]] = {
    "curve": curve,
    "map": heat_map,
    "scatter": scatter,
    "histogram": histogram,
}
