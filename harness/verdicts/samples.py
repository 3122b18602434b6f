"""The value of each unit behind a piece of evidence: what a paired comparison of two runs needs.

`units.parquet` lies beside the verdicts, a row a unit. A unit is what was sampled: a pair of the
materials, or an item where items are independent.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Float

NAME = "units.parquet"
LABELS = ("model", "materials", "claim_id", "prediction_id", "criterion", "evidence")
COLUMNS = (*LABELS, "unit", "value")

Values = Mapping[str, float]  # unit to value


@dataclass(frozen=True, slots=True)
class Place:
    """Which prediction of a run, and which piece of its evidence."""

    model: str
    materials: str
    claim_id: str
    prediction_id: str
    criterion: str
    evidence: str


def by_unit(names: Iterable[str], values: "Float[np.ndarray, ' unit']") -> dict[str, float]:
    """The values that are known, by the unit's name."""
    named = zip(names, values.tolist(), strict=True)
    return {str(name): value for name, value in named if not math.isnan(value)}


def units_frame(units: Mapping[str, Values], **common: str) -> "pd.DataFrame":
    """One row a unit, columns as in `COLUMNS`, from evidence to unit to value."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and not needed to list tests

    rows = [(name, unit, value) for name, values in units.items() for unit, value in values.items()]
    frame = pd.DataFrame(rows, columns=["evidence", "unit", "value"]).assign(**common)
    frame["value"] = frame["value"].astype(float)
    return frame[list(COLUMNS)].astype(dict.fromkeys(LABELS, "category"))


def read_units(folder: Path) -> dict[Place, dict[str, float]]:
    """The units of a run's folder by place; empty if none of its predictions has any.

    Raises:
        ValueError: If the file is damaged; names it.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    import pandas as pd  # noqa: PLC0415

    try:
        frame = pd.read_parquet(path, columns=list(COLUMNS))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not a table of units: {error}") from None
    found: dict[Place, dict[str, float]] = {}
    for labels, rows in frame.groupby(list(LABELS), observed=True, sort=False):
        names: Any = labels
        values = rows["value"].tolist()
        found[Place(*map(str, names))] = dict(zip(rows["unit"].astype(str), values, strict=True))
    return found
