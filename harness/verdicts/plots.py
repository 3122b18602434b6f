"""A figure as a claim hands it over: what to draw, and the words that go with it.

A claim gives values and words; the report decides on colours, sizes and layout. So a new claim has
figures without touching the report. What can be drawn is one of four forms.

Form        a series holds
curve       `x`, `y`, and where there is a band around it `low` and `high`
map         `x` (columns), `y` (rows) and `z`, all of one length: a cell each
scatter     `x`, `y`, and in `text` the name of each point
histogram   `x` (left edges of the bins, ascending) and `y` (share or count in each)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

Form = Literal["curve", "map", "scatter", "histogram"]
# What a series stands for, which decides its colour: a task's, the twins', a random band's.
Role = Literal["recall", "reasoning", "lookup", "model", "twin", "random"]
Axis = Sequence[float] | Sequence[str]


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together; parallel sequences (see the module's table)."""

    name: str
    role: Role
    x: Axis
    y: Axis
    z: Sequence[float] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    text: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise ValueError(f"series {self.name!r} has role {self.role!r}, not {get_args(Role)}")
        for other in (self.y, self.z, self.low, self.high, self.text):
            if len(other) not in (0, len(self.x)):
                raise ValueError(
                    f"series {self.name!r} has {len(self.x)} x and {len(other)} of another column"
                )


@dataclass(frozen=True, slots=True)
class PlotPanel:
    """One pair of axes."""

    title: str
    series: tuple[Series, ...]
    lines: tuple[float, ...] = ()  # y values of dashed lines across a curve or scatter


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of a claim on one model.

    Attributes:
        title: What is plotted, in a few words.
        headline: What it shows, in numbers; read aloud in place of the picture.
        caption: How to read it. Model, materials, criterion and n are added by the report.
        x: Title of every panel's x axis, with its unit.
        y: Of the y axis; for a map, of its rows.
        z: Of a map's colours, with their unit.
        n: Units of analysis behind each point (items or pairs), 0 if they differ.
    """

    form: Form
    title: str
    headline: str
    caption: str
    x: str
    y: str
    panels: tuple[PlotPanel, ...]
    z: str = ""
    n: int = 0

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ValueError(f"plot {self.title!r} has form {self.form!r}, not {get_args(Form)}")

    def to_json(self) -> dict[str, Any]:
        """JSON's own types, with None for whatever is not finite: it leaves a gap in the figure.

        Not `verdict.to_plain`, which keeps infinities as text: in a series, text is the name of a
        category.
        """
        text = json.dumps(asdict(self), default=lambda array: array.tolist())
        record: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Back from `to_json`."""
        panels = tuple(
            PlotPanel(
                panel["title"],
                tuple(Series(**series) for series in panel["series"]),
                tuple(panel["lines"]),
            )
            for panel in record["panels"]
        )
        return cls(**{**record, "panels": panels})


@dataclass(frozen=True, slots=True)
class PlacedPlot:
    """A plot and the prediction that handed it over."""

    model: str
    materials: str
    claim_id: str
    criterion: str
    prediction_id: str
    plot: Plot

    def to_json(self) -> dict[str, Any]:
        """Plain values; see `Plot.to_json`."""
        return {**{name: getattr(self, name) for name in PLACE}, "plot": self.plot.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Back from `to_json`.

        Raises:
            ValueError: If it is none.
        """
        if not isinstance(record, Mapping) or record.keys() != {*PLACE, "plot"}:
            raise ValueError(f"expected {sorted((*PLACE, 'plot'))}")
        return cls(**{**record, "plot": Plot.from_json(record["plot"])})


PLACE = ("model", "materials", "claim_id", "criterion", "prediction_id")
