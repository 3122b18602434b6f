"""Names beside the points of a scatter that lie farthest from its diagonal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.figures.figure import Trace, on_axes

LABELS, LETTERS = 6, 22  # points that are named, and how much of a name is shown
SIDE, LETTER, LINE, DOT = 270, 6.2, 13, 0.012  # of the square in pixels; a dot's radius is a share
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True, slots=True)
class Point:
    """A named point of a scatter."""

    x: float
    y: float
    name: str


def labels(at: int, points: Sequence[Point], low: float, high: float) -> list[Trace]:
    """The names of the points farthest from the diagonal, beside them and clear of each other."""
    off = [p for p in points if p.name and p.x != p.y]
    chosen = sorted(off, key=lambda p: -abs(p.y - p.x))[:LABELS]
    across = high - low
    dots = [
        (x - DOT, y - DOT, x + DOT, y + DOT)
        for x, y in (((p.x - low) / across, (p.y - low) / across) for p in points)
    ]
    taken: list[Box] = []
    sides = []
    for point in chosen:
        side, box = min(
            _sides(point, low, high), key=lambda s: 4 * _overlap(s[1], taken) + _overlap(s[1], dots)
        )
        sides.append(side)
        taken.append(box)
    if not chosen:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers+text",  # unseen markers, which keep the names off the seen ones
            "marker": {"size": 9, "opacity": 0},
            "x": [p.x for p in chosen],
            "y": [p.y for p in chosen],
            "text": [_short(p.name) for p in chosen],
            "textposition": sides,
            "textfont": {"size": 10.5, "color": "$muted"},
            "hoverinfo": "skip",
            "showlegend": False,
            **on_axes(at),
        }
    ]


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"


def _sides(point: Point, low: float, high: float) -> Iterator[tuple[str, Box]]:
    """Where a label can stand, in a square whose side is 1; away from the diagonal first."""
    x, y = (point.x - low) / (high - low), (point.y - low) / (high - low)
    wide, tall = LETTER * len(_short(point.name)) / SIDE, LINE / SIDE
    above, below = y + DOT, y - DOT - tall
    outward, inward = ((above, "top"), (below, "bottom"))[:: 1 if y > x else -1]
    for bottom, side in (outward, (y - tall / 2, "middle"), inward):
        for left, where in (
            *((x + DOT, "right"), (x - DOT - wide, "left")),
            *(((x - wide / 2, "center"),) if side != "middle" else ()),
        ):
            yield f"{side} {where}", (left, bottom, left + wide, bottom + tall)


def _overlap(box: Box, taken: Sequence[Box]) -> float:
    """How much of a label lies on other boxes or beyond the edge, in areas of the square."""
    beyond = max(0.0, -box[0]) + max(0.0, box[2] - 1) + max(0.0, -box[1]) + max(0.0, box[3] - 1)
    common = (
        max(0.0, min(box[2], t[2]) - max(box[0], t[0]))
        * max(0.0, min(box[3], t[3]) - max(box[1], t[1]))
        for t in taken
    )
    return beyond + sum(common)
