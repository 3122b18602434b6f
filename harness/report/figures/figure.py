"""The report's figures as Plotly specifications, small enough to ship: no raw neurons.

Colours are tokens (`$recall`, `$grid`) that the page resolves, so that one figure serves light
and dark. Panels are a grid whose columns the page chooses by its width. Every figure carries a
headline (what it shows, in words: its text alternative) and a caption (how to read it).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.verdicts import typeset

if TYPE_CHECKING:
    pass

DIVERGING = [[0.0, "$div0"], [0.25, "$div1"], [0.5, "$div2"], [0.75, "$div3"], [1.0, "$div4"]]
SEQUENTIAL = [[0.0, "$div2"], [0.5, "$seq1"], [1.0, "$seq2"]]
SATURATION = 0.99  # quantile at which colours saturate
# Beyond it nothing varies within a class, and the size of d says no more than that.
LARGE_D = 20.0

Trace = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FigureContext:
    """What every caption has to say."""

    model: str
    claim_id: str
    criterion: str
    materials: str
    n: int
    threshold: float | None
    part: str = ""
    sides: tuple[str, str] = ("", "")  # the classes whose difference d is, first minus second
    encoder_layers: int = 0  # of an encoder-decoder; the decoder's follow

    def line(self) -> str:
        """`controlled criterion · retrieval · geography-crossed · n = 200`."""
        n = f"n = {typeset.count(self.n)}" if self.n else "n differs"
        named = (f"{self.criterion} criterion", self.part, self.materials, n)
        return " · ".join(filter(None, named))

    @property
    def sign(self) -> str:
        """What the sign of d means."""
        more, less = self.sides
        return f"Positive: larger for {more}; negative: larger for {less}."

    @property
    def stacks(self) -> str:
        """Which layers are the encoder's, where the model also has a decoder."""
        if not self.encoder_layers:
            return ""
        return (
            f" Layers below {self.encoder_layers} are the encoder's, the others the decoder's, "
            "whose heads are those of cross-attention."
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """One cell of a figure's grid: its title and axes."""

    title: str
    x: dict[str, Any]
    y: dict[str, Any]
    height: int = 220


@dataclass(frozen=True, slots=True)
class Figure:
    """A Plotly figure with its words. `columns` is the grid's width on a wide and narrow page."""

    title: str
    headline: str
    caption: str
    context: str
    traces: Sequence[Trace]
    panels: Sequence[Panel]
    claim_id: str
    columns: tuple[int, int] = (1, 1)
    legend: bool = True

    @property
    def height(self) -> int:
        """Pixels on a wide page, without what long labels add."""
        rows = range(0, len(self.panels), self.columns[0])
        return sum(max(p.height for p in self.panels[at : at + self.columns[0]]) for at in rows)

    def spec(self) -> dict[str, Any]:
        """What the page's script needs to draw it."""
        panels = [asdict(p) for p in self.panels]
        return {
            "title": f"{self.title} ({self.context})",
            "traces": list(self.traces),
            "panels": panels,
            "columns": self.columns,
            "legend": self.legend,
        }


def on_axes(panel: int) -> dict[str, str]:
    """Which axes a trace of this panel is drawn on, counted from 0."""
    suffix = "" if panel == 0 else str(panel + 1)
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}


def rounded(values: Any, digits: int = 3) -> list[float | None]:
    """Plain numbers, short enough to embed; None where a value is not finite."""
    array = np.asarray(values, dtype=float)
    return [None if not np.isfinite(v) else round(float(v), digits) for v in array]
