"""Which components pass in one run and not in another, and whose effects changed most."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.compare.past import Baseline, Past
from harness.verdicts import typeset

if TYPE_CHECKING:
    import pandas as pd

GROUP = ["model", "claim_id", "criterion", "materials", "prediction_id", "kind"]
_CELL = ["layer", "index", "metric"]
_SHOWN = 5  # of the largest changes


@dataclass(frozen=True, slots=True)
class Shift:
    """A component's effect then and now, by one metric."""

    kind: str
    layer: int
    index: int | None
    metric: str
    before: float
    now: float

    @property
    def name(self) -> str:
        """`L2 H5 Gini coefficient of attention`: head 5 of layer 2, by that metric."""
        place = typeset.place(self.layer, self.kind, self.index)
        return f"{place} {typeset.words(self.metric)}"


@dataclass(frozen=True, slots=True)
class MovedKind:
    """The components of one kind that pass, then and now.

    Attributes:
        jaccard: Passing in both over passing in either; not a number if none passes in either,
            or if the models do not have the same components.
        same_shape: Whether both models have the same layers, heads and neurons.
        largest: Components that pass in either, by the size of their change.
    """

    model: str
    claim_id: str
    criterion: str
    kind: str
    part: str
    before: int
    now: int
    jaccard: float
    same_shape: bool
    largest: tuple[Shift, ...]

    @property
    def steady(self) -> bool:
        """Whether the same components pass, with effects that are the same as far as is shown."""
        return (
            self.same_shape
            and self.before == self.now
            and not self.jaccard < 1
            and not any(f"{s.before:.2f}" != f"{s.now:.2f}" for s in self.largest)
        )


def moved_components(past: Past, baseline: Baseline) -> list[MovedKind]:
    """Every kind of component of every claim that both runs have a table of.

    Args:
        past: The later run.
        baseline: The earlier one, with its models.
    """
    ours, theirs = past.components(), baseline.past.components()
    if ours is None or theirs is None:
        return []
    earlier = dict(_groups(theirs))
    parts = {(r.claim_id, r.prediction_id): r.part for r in past.verdicts}
    found = []
    for group, rows in _groups(ours):
        model, *rest = group
        before = earlier.get((baseline.models.get(model, ""), *rest))
        if before is not None:
            found.append(_moved(group, rows, before, parts))
    return found


def _groups(table: "pd.DataFrame") -> Iterator[tuple[tuple[str, ...], "pd.DataFrame"]]:
    for group, rows in table.groupby(GROUP, observed=True, sort=True):
        names: Any = group
        yield tuple(map(str, names)), rows.drop_duplicates(_CELL).set_index(_CELL)


def _moved(
    group: tuple[str, ...],
    now: "pd.DataFrame",
    before: "pd.DataFrame",
    parts: Mapping[tuple[str, str], str],
) -> MovedKind:
    model, claim_id, criterion, _, prediction_id, kind = group
    part = parts.get((claim_id, prediction_id), "")
    passing = [_passing(rows) for rows in (before, now)]
    either = passing[0] | passing[1]
    same = _components(now) == _components(before)
    jaccard = len(passing[0] & passing[1]) / len(either) if either and same else math.nan
    largest = _largest(before, now, either, kind) if same else ()
    counts = (len(passing[0]), len(passing[1]))
    named = (model, claim_id, criterion, kind, part)
    return MovedKind(*named, *counts, jaccard, same, largest)


def _components(rows: "pd.DataFrame") -> set[tuple[int, int]]:
    return {(int(layer), int(index)) for layer, index, _ in rows.index}


def _passing(rows: "pd.DataFrame") -> set[tuple[int, int]]:
    return _components(rows[rows["passed"].astype(bool)])


def _largest(
    before: "pd.DataFrame", now: "pd.DataFrame", either: set[tuple[int, int]], kind: str
) -> tuple[Shift, ...]:
    """Of the same metric: a component is listed by its strongest, which may be another one."""
    both = now[["effect"]].join(before["effect"].rename("before"), how="inner").dropna()
    shifts = [
        Shift(
            kind,
            int(layer),
            int(index) if index >= 0 else None,
            str(metric),
            float(old),
            float(new),
        )
        for (layer, index, metric), new, old in both.itertuples()
        if (int(layer), int(index)) in either
    ]
    shifts.sort(key=lambda s: -abs(s.now - s.before))
    return tuple(shifts[:_SHOWN])


def text(moved: MovedKind) -> str:
    """`h2 retrieval controlled heads: 4 -> 3 pass, Jaccard 0.75; most: L2 H1 gini +1.2 -> +0.3`."""
    named = (moved.model, moved.claim_id, moved.part, moved.criterion, f"{moved.kind}s")
    where = " ".join(filter(None, named))
    said = f"{where}: {moved.before:,} -> {moved.now:,} pass"
    if not moved.same_shape:
        return f"{said}; the models do not have the same {moved.kind}s"
    if math.isnan(moved.jaccard):
        return f"{said}, none in either"
    most = ", ".join(f"{s.name} {s.before:+.2f} -> {s.now:+.2f}" for s in moved.largest)
    return f"{said}, Jaccard {moved.jaccard:.2f}" + (f"; most: {most}" if most else "")


def row(moved: MovedKind) -> Mapping[str, Any]:
    """The same as values, for tables: column names to text, counts and the Jaccard index."""
    return {
        "model": moved.model,
        "claim": moved.claim_id,
        "part": moved.part,
        "criterion": moved.criterion,
        "kind": moved.kind,
        "before": moved.before,
        "now": moved.now,
        "jaccard": None if math.isnan(moved.jaccard) else moved.jaccard,
    }
