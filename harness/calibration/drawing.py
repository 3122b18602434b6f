"""Small charts as coordinates: the template only writes them out as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 10.0, 8.0, 30.0  # margins for ticks
FEWEST = 2  # points that make a line


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of an axis: where, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point, the ends of its interval on the y axis (equal to it where there is none), a name."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One pair of axes, in pixels of a `WIDTH` by `HEIGHT` box.

    Attributes:
        title, x, y: Words.
        says: What is seen, read aloud in place of the picture.
        marks: Points; `line` joins them.
    """

    title: str
    x: str
    y: str
    says: str
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    line: str = ""


def across(share: float) -> float:
    """Pixels of a place between 0 (left) and 1 (right)."""
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def up(share: float) -> float:
    """Pixels of a place between 0 (below) and 1 (above)."""
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _ticks(vertical: bool) -> tuple[Tick, ...]:
    return tuple(Tick((up if vertical else across)(s), f"{s:g}") for s in SHARES)


def shares(
    title: str,
    x: str,
    points: Sequence[tuple[float, float | None, Sequence[float] | None]],
    says: str,
) -> Chart:
    """Share of runs against something, evenly spaced places from left to right.

    Args:
        title: What is shown.
        x: Of the x axis.
        says: What is seen.
        points: (place on x, share or None, interval or None).
    """
    places = sorted({place for place, *_ in points})
    step = 1 / max(len(places) - 1, 1)
    at = {place: across(0.5 if len(places) == 1 else n * step) for n, place in enumerate(places)}
    marks = []
    for place, share, interval in sorted(points, key=lambda point: point[0]):
        if share is not None:
            low, high = interval or (share, share)
            said = f"{place:g}: {share:.2f} [{low:.2f}, {high:.2f}]"
            marks.append(Mark(at[place], up(share), up(low), up(high), said))
    line = " ".join(f"{m.x},{m.y}" for m in marks) if len(marks) >= FEWEST else ""
    ticks = tuple(Tick(at[place], f"{place:g}") for place in places)
    return Chart(title, x, "supported", says, tuple(marks), ticks, _ticks(vertical=True), line)
