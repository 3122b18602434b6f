"""The value of each sample behind a piece of evidence: what a paired comparison of two runs needs.

`samples.parquet` lies in a run's folder, a row a sample. A sample is what was drawn: a relation, as
a model answers questions of one relation alike; where the materials state none, a pair of them, or
an item where items are independent.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.foreign import table_at
from harness.verdicts.components import REMEDY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Float

SAMPLES_NAME = "samples.parquet"
SAMPLE_LABELS = ("model", "materials", "claim_id", "prediction_id", "criterion", "evidence")
_COLUMNS = (*SAMPLE_LABELS, "sample", "value")

SampleValues = Mapping[str, float]  # sample to value


@dataclass(frozen=True, slots=True)
class Address:
    """Which prediction of a run, and which piece of its evidence, by its name."""

    model: str
    materials: str
    claim_id: str
    prediction_id: str
    criterion: str
    evidence: str


def by_sample(names: Iterable[str], values: "Float[np.ndarray, ' sample']") -> dict[str, float]:
    """The mean of the values that are known, by the sample's name, which may be repeated."""
    known: dict[str, list[float]] = {}
    for name, value in zip(names, values.tolist(), strict=True):
        if not math.isnan(value):
            known.setdefault(str(name), []).append(value)
    return {name: sum(own) / len(own) for name, own in known.items()}


def samples_frame(samples: Mapping[str, SampleValues], **common: str) -> "pd.DataFrame":
    """One row a sample, columns as in `COLUMNS`, from evidence to sample to value."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and not needed to list tests

    rows = [(name, *sample) for name, values in samples.items() for sample in values.items()]
    frame = pd.DataFrame(rows, columns=["evidence", "sample", "value"]).assign(**common)
    frame["value"] = frame["value"].astype(float)
    return frame[list(_COLUMNS)].astype(dict.fromkeys(SAMPLE_LABELS, "category"))


def read_samples(folder: Path) -> dict[Address, dict[str, float]]:
    """The samples of a run's folder by address; empty if none of its predictions has any.

    Raises:
        ForeignError: If the file is damaged; names it and the column.
    """
    path = folder / SAMPLES_NAME
    if not path.exists():
        return {}
    texts = (*SAMPLE_LABELS, "sample")
    frame = table_at(path, {"value": True}, texts, "a table of samples", REMEDY)
    found: dict[Address, dict[str, float]] = {}
    for labels, rows in frame.groupby(list(SAMPLE_LABELS), observed=True, sort=False):
        names: Any = labels
        values = rows["value"].tolist()
        found[Address(*map(str, names))] = dict(
            zip(rows["sample"].astype(str), values, strict=True)
        )
    return found
