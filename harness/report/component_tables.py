"""The table of a prediction's components: the strongest in the page, the rest packed beside them.

The page sorts what it carries and gives it as CSV; `components.parquet` has what it does not.
"""

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.report.components import CELL, rows_of
from harness.verdicts import typeset
from harness.verdicts.components import MODEL
from harness.verdicts.evidence import Component
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20  # rows in the page before a reader asks for more
CARRIED = 2_000  # rows that travel with it
_COLUMNS = (
    *("kind", "layer", "index", "metric", "effect", "effect_discovery", "q", "passed", "type"),
)


@dataclass(frozen=True, slots=True)
class ComponentTable:
    """Components by size of their effect.

    Attributes:
        rows: The first of them, a value a column of `COLUMNS`.
        carried: How many the page has.
        total: How many there are.
        packed: The columns of what it carries as gzipped JSON in base64.
    """

    rows: Sequence[Mapping[str, Any]]
    carried: int
    total: int
    packed: str


def component_table(record: Verdict, components: "pd.DataFrame | None") -> ComponentTable | None:
    """The table of one prediction: from all components where they were saved, else from the record.

    Args:
        record: The verdict.
        components: All components of that claim and model, or None.
    """
    rows = None if components is None else _saved(record, components)
    if rows is not None and len(rows):
        order = rows["effect"].abs().sort_values(ascending=False, kind="stable").index
        strongest = rows.loc[order[:CARRIED]]
        columns = {name: _values(strongest, name) for name in _COLUMNS}
        return _table(columns, len(rows))
    kept = record.components.strongest
    if not kept:
        return None
    columns = {name: [_of(component, name) for component in kept] for name in _COLUMNS}
    return _table(columns, max(record.components.total, len(kept)))


def _of(component: Component, name: str) -> Any:
    """A value of a record's component; None for columns that only the table has."""
    value = getattr(component, name, None)
    return None if isinstance(value, float) and math.isnan(value) else value


def _saved(record: Verdict, components: "pd.DataFrame") -> "pd.DataFrame":
    """What the prediction saved about the model itself."""
    rows = rows_of(record, components)
    return rows[rows["source"] == MODEL].drop_duplicates(["kind", *CELL])


def _values(rows: "pd.DataFrame", name: str) -> list[Any]:
    if name not in rows.columns:
        return [None] * len(rows)
    values = rows[name].tolist()
    if name == "index":
        return [None if v < 0 else v for v in values]
    if name == "metric":
        return [typeset.words(v) for v in values]
    return [_short(v) if isinstance(v, float) else v for v in values]


def _short(value: float) -> float | None:
    """Six figures; None for what is not a number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def packed_json(value: Any) -> str:
    """JSON, gzipped, in base64: what the page's script unpacks when it is wanted."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _table(columns: Mapping[str, list[Any]], total: int) -> ComponentTable:
    number = len(columns["effect"])
    packed = packed_json(columns)
    rows = [{name: columns[name][at] for name in columns} for at in range(min(_SHOWN, number))]
    return ComponentTable(rows, number, total, packed)
