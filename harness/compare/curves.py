"""Models in an order, steps of a training or releases: how each verdict and its number go along.

`fleet.json` beside a run's verdicts says which models belong together, and in which order.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness import stats
from harness.files import write_text
from harness.foreign import border, json_at
from harness.verdicts.components import REMEDY
from harness.verdicts.evidence import Evidence
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import Verdict

FLEET_NAME = "fleet.json"
EXPECTED = "an order of models"
DIFFICULTY = re.compile("@[^:]*")


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """A model in its place.

    Attributes:
        label: As it was asked for.
        model: Whose verdicts stand for it: its own, or those of a model with its weights.
        step: Training step, where the order is one of steps.
    """

    label: str
    model: str
    step: int | None = None

    @property
    def place(self) -> str:
        """Where it is on the axis, for people."""
        return self.label if self.step is None else f"{self.step:,}"


@dataclass(frozen=True, slots=True)
class ModelSeries:
    """Models in an order; `axis` says which."""

    name: str
    axis: str
    points: tuple[SeriesPoint, ...]


@dataclass(frozen=True, slots=True)
class FleetRecord:
    """What is known of a run of many models besides its verdicts; `notes` are sentences."""

    series: tuple[ModelSeries, ...] = ()
    notes: tuple[str, ...] = ()


NO_FLEET = FleetRecord()


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A prediction on one model of a series.

    Attributes:
        verdict: None where there is none.
        evidence: The number that is followed; None where it was not measured.
        p: Its p corrected over the points of the series (Holm), beyond its own correction.
    """

    point: SeriesPoint
    verdict: Verdict | None = None
    evidence: Evidence | None = None
    p: float | None = None

    @property
    def outcome(self) -> str:
        """The outcome; empty where nothing was measured."""
        if self.verdict is None or self.verdict.outcome is Outcome.NOT_MEASURED:
            return ""
        return str(self.verdict.outcome)

    @property
    def value(self) -> float | None:
        """The number, if it is one."""
        return self.evidence.effect.value if self.evidence and self.evidence.effect.known else None


@dataclass(frozen=True, slots=True)
class Flip:
    """Two measured neighbours with different outcomes."""

    before: CurvePoint
    after: CurvePoint

    @property
    def text(self) -> str:
        """`inconclusive to supported between 500 and 700`."""
        between = f"{self.before.point.place} and {self.after.point.place}"
        return f"{self.before.outcome} to {self.after.outcome} between {between}"


@dataclass(frozen=True, slots=True)
class Curve:
    """A prediction over a series."""

    series: ModelSeries
    last: Verdict  # the latest verdict, for the words
    at: tuple[CurvePoint, ...]

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Where the outcome changes, in order."""
        measured = [each for each in self.at if each.outcome]
        return tuple(Flip(a, b) for a, b in pairwise(measured) if a.outcome != b.outcome)

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the materials, where models were asked at different difficulty."""
        names = dict.fromkeys(e.verdict.materials.name for e in self.at if e.verdict and e.evidence)
        return tuple(names) if len(names) > 1 else ()

    @property
    def alpha(self) -> float | None:
        """What the p of the followed number is held against, if it has one."""
        return next((e.alpha for each in self.at if (e := each.evidence) and e.alpha), None)

    @property
    def over_steps(self) -> str:
        """Which points are supported with p corrected over all of them; empty without p."""
        tested = [each for each in self.at if each.p is not None]
        if not tested or self.alpha is None:
            return ""
        held = [
            e.point.place
            for e in tested
            if e.outcome == Outcome.SUPPORTED and e.p is not None and e.p <= self.alpha
        ]
        least = min(e.p for e in tested if e.p is not None)
        said = f"supported with p over {len(tested)} points (Holm) at most {self.alpha:g}: "
        return said + (", ".join(held) if held else f"none (least p {least:.2g})")


def curves(series: ModelSeries, verdicts: Sequence[Verdict]) -> list[Curve]:
    """Each prediction over the series, in the order of the verdicts."""
    models = {point.model for point in series.points}
    found: dict[tuple[str, ...], dict[str, Verdict]] = {}
    for v in verdicts:
        if v.control is None and v.model.name in models:
            key = (v.claim_id, v.criterion, v.prediction_id, _set(v))
            found.setdefault(key, {})[v.model.name] = v
    return [_curve(series, of_models) for of_models in found.values()]


def _set(verdict: Verdict) -> str:
    """The materials without the difficulty, which each model may have another of."""
    return DIFFICULTY.sub("", verdict.materials.name)


def _curve(series: ModelSeries, of_models: Mapping[str, Verdict]) -> Curve:
    in_order = [v for p in series.points if (v := of_models.get(p.model)) is not None]
    key = followed(in_order)
    at = [_point(p, of_models.get(p.model), key) for p in series.points]
    known = [each for each in at if each.p is not None]
    adjusted = stats.holm(np.array([each.p for each in known])) if known else ()
    over = {id(each): float(p) for each, p in zip(known, adjusted, strict=True)}
    return Curve(
        series,
        in_order[-1],
        tuple(CurvePoint(e.point, e.verdict, e.evidence, over.get(id(e))) for e in at),
    )


def followed(verdicts: Sequence[Verdict]) -> str:
    """The identity of the evidence that a curve shows.

    The first that decides and has an interval, of the latest verdict that is supported, else of the
    latest that has any.
    """
    measured = [v for v in verdicts if v.evidence]
    if not measured:
        return ""
    chosen = ([v for v in measured if v.outcome is Outcome.SUPPORTED] or measured)[-1]
    decisive = [e for e in chosen.evidence if e.decisive] or list(chosen.evidence)
    with_interval = [e for e in decisive if e.effect.interval is not None]
    return (with_interval or decisive)[0].identity


def _point(point: SeriesPoint, verdict: Verdict | None, key: str) -> CurvePoint:
    evidence = None
    if verdict is not None:
        evidence = next((e for e in verdict.evidence if e.identity == key), None)
    p = evidence.p_adjusted if evidence is not None else None
    return CurvePoint(point, verdict, evidence, p if p is not None and 0 <= p <= 1 else None)


def between(curve: Curve, there: Sequence[int]) -> Iterator[int]:
    """Of each flip, the step nearest to the middle on a logarithmic axis, if one is between."""
    for flip in curve.flips:
        low, high = flip.before.point.step, flip.after.point.step
        if low is None or high is None:
            continue
        inside = [step for step in there if low < step < high]
        if inside:
            middle = math.sqrt(max(low, 1) * high)
            yield min(inside, key=lambda step: abs(math.log(max(step, 1) / middle)))


def write_fleet(folder: Path, record: FleetRecord) -> Path:
    """Write `fleet.json`; its path."""
    return write_text(folder / FLEET_NAME, json.dumps(asdict(record), indent=1) + "\n")


def read_fleet_record(folder: Path) -> FleetRecord:
    """What `write_fleet` wrote; nothing for a run that is no fleet.

    Raises:
        ForeignError: If the file is damaged.
    """
    path = folder / FLEET_NAME
    if not path.exists():
        return NO_FLEET
    read = json_at(path, EXPECTED, REMEDY)
    with border(path, EXPECTED, REMEDY):
        return FleetRecord(tuple(map(_series, read["series"])), tuple(map(str, read["notes"])))


def _series(read: Mapping[str, Any]) -> ModelSeries:
    points = tuple(SeriesPoint(p["label"], p["model"], p["step"]) for p in read["points"])
    return ModelSeries(read["name"], read["axis"], points)
