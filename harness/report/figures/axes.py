"""Axes and styles of the plots that claims hand over: places, ranges, ticks, colours."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness.report.figures.figure import Panel, Trace
from harness.verdicts import typeset
from harness.verdicts.plots import Plot, PlotPanel, Series

FEW = 12  # so many places on an axis have a tick each
FOLD = 8  # doses that span so much are read on a logarithmic axis
EMPTY = 120  # pixels
BANDED = ("twin", "random")
COLOUR = {"model": "$accent"} | {r: f"${r}" for r in ("recall", "reasoning", "lookup", *BANDED)}
SYMBOL = {
    **{"recall": "circle", "reasoning": "square", "lookup": "diamond", "model": "circle"},
    **{"twin": "cross", "random": "x"},
}
_DASH = ("solid", "dash", "dot", "dashdot")  # of the first series of a role, the second, ...
Number = float | None
AxisRow = tuple[float, Number, Number, Number, int]
Drawing = tuple[list[Trace], list[Panel], str]  # and a sentence for the caption


def finite(value: Any) -> Number:
    """The number to six figures, None if it is not one."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


@dataclass(frozen=True, slots=True)
class Scale:
    """Where an axis has its places: a number is its own place, a category its rank."""

    categories: tuple[str, ...] = ()

    def at(self, values: Iterable[Any]) -> list[Number]:
        """The place of each value, None where a number is missing."""
        if self.categories:
            return [float(self.categories.index(str(v))) for v in values]
        return [finite(v) for v in values]

    def name(self, value: Any) -> str:
        """A place as ticks and hover texts show it."""
        return str(value) if self.categories else typeset.bound(finite(value))

    def axis(self, title: str) -> dict[str, Any]:
        """The axis of categories, each with a tick; of numbers, the title alone."""
        if not self.categories:
            return {"title": title}
        return {"title": title, "turn": True, **rank_axis(self.categories)}


def scale_of(columns: Iterable[Sequence[Any]]) -> Scale:
    """Categories in order of first appearance if any value is a text, else numbers."""
    values = [v for column in columns for v in column]
    if not any(isinstance(v, str) for v in values):
        return Scale()
    return Scale(tuple(dict.fromkeys(str(v) for v in values)))


def rank_axis(names: Sequence[str]) -> dict[str, Any]:
    """An axis with the names at 0, 1, 2, ..."""
    ticks = [[at, name] for at, name in enumerate(names)]
    return {"ticks": ticks, "range": [-0.5, max(len(names), 1) - 0.5], "grid": False}


def span(values: Iterable[Number], pad: float = 0.06) -> list[float] | None:
    """The least and greatest value with a margin, None if there is none."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    margin = pad * (high - low) or 0.1 * abs(high) or 1.0
    return [float(f"{low - margin:.6g}"), float(f"{high + margin:.6g}")]


def heights(title: str, values: Iterable[Number]) -> dict[str, Any]:
    """A y axis that shows all the values; `room` is how much wider its numbers are than usual."""
    shown = span(values)
    if shown is None:
        return {"title": title, "zero": True, "range": [0, 1]}
    step = (shown[1] - shown[0]) / 5
    decimals = max(0, math.ceil(-math.log10(step)))
    figures = max(len(f"{v:,.0f}") for v in shown) + (decimals + 1 if 0 < decimals < 6 else 0)
    return {"title": title, "zero": True, "range": shown, "room": max(4, round(6.2 * figures - 24))}


def doses(title: str, scale: Scale, series: Sequence[Series]) -> dict[str, Any]:
    """The x axis of a curve: ticks where the data are if these are few; logarithmic for doses.

    Evenly spaced places stay on a linear axis however far they reach: they are layers or steps.
    """
    if scale.categories:
        return scale.axis(title)
    places = sorted({p for s in series for p in scale.at(s.x) if p is not None})
    if not places:
        return {"title": title, "range": [0, 1]}
    steps = {f"{b - a:.4g}" for a, b in pairwise(places)}
    if places[0] > 0 and places[-1] >= FOLD * places[0] and len(steps) > 1:
        low, high = math.log2(places[0]), math.log2(places[-1])
        if len(places) > FEW:
            places = [2.0**e for e in range(math.ceil(low), math.floor(high) + 1)]
        reach = [(low - 0.3) * math.log10(2), (high + 0.3) * math.log10(2)]
        return {"title": title, "type": "log", "range": reach, "ticks": _named(places)}
    few = {"ticks": _named(places)} if len(places) <= FEW else {}
    return {"title": title, "range": span(places, 0.04), **few}


def square(title: str, low: float, high: float) -> dict[str, Any]:
    """Either axis of a square: the same range and the same ticks, about five."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(f for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = _named([float(f"{n * step:.6g}") for n in range(first, last + 1)])
    return {"title": title, "range": [low, high], "zero": True, "square": True, "ticks": ticks}


def _named(places: Sequence[float]) -> list[list[Any]]:
    return [[place, typeset.bound(place)] for place in places]


def in_order(series: Series, scale: Scale) -> list[AxisRow]:
    """Place, y, low, high and rank in the series of every point, from left to right."""
    nothing = [None] * len(series.x)
    columns = [c if len(c) else nothing for c in (series.y, series.low, series.high)]
    rows = zip(scale.at(series.x), *columns, range(len(series.x)), strict=True)
    known = [(x, finite(y), finite(lo), finite(hi), i) for x, y, lo, hi, i in rows if x is not None]
    return sorted(known, key=lambda row: row[0])


def panel_of(panel: PlotPanel, x: dict[str, Any], y: dict[str, Any], height: int) -> Panel:
    """The panel; one without a point is low, and says so in its title."""
    if any(len(s.x) for s in panel.series):
        return Panel(panel.title, x, y, height)
    return Panel(f"{panel.title} (nothing to draw)".strip(), x, y, EMPTY)


def said(series: Series, *words: str) -> str:
    """What a hover text opens with: the series, and where in it."""
    return ", ".join(filter(None, (series.name, *words)))


def is_band(series: Series) -> bool:
    """Whether a curve shows the series as an area: twins or random sets between two bounds."""
    return series.role in BANDED and bool(len(series.low)) and bool(len(series.high))


class Styles:
    """What tells the series of a figure apart: the colour is the role's, the dash its rank's."""

    def __init__(self, plot: Plot) -> None:
        names = dict.fromkeys((s.role, s.name) for p in plot.panels for s in p.series)
        self._rank = {key: [k for k in names if k[0] == key[0]].index(key) for key in names}
        bands = {s.role for p in plot.panels for s in p.series if is_band(s)}
        self._both = bands == set(BANDED)
        self._named: set[tuple[str, str]] = set()

    @property
    def legend(self) -> bool:
        """Whether there is more than one to tell apart; after all of them were drawn."""
        return len(self._named) > 1

    def named(self, series: Series) -> Trace:
        """The name, in the legend once."""
        key = (series.role, series.name)
        first = key not in self._named
        self._named.add(key)
        return {"name": series.name, "showlegend": first}

    def dash(self, series: Series) -> str:
        """Of the line."""
        return _DASH[self._rank[series.role, series.name] % len(_DASH)]

    def marker(self, series: Series) -> Trace:
        """Filled for the first series of a role, hollow for the others."""
        colour = COLOUR[series.role]
        hollow = self._rank[series.role, series.name] > 0
        return {
            "symbol": SYMBOL[series.role],
            "color": "$plot" if hollow else colour,
            "line": {"color": colour, "width": 1.5},
        }

    def hatched(self, series: Series) -> bool:
        """Whether a band needs a pattern: twins and random sets are both grey."""
        return self._both and series.role == "random"
