"""Tables of components (layers, heads, neurons): what a criterion found, one entry a component."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from harness.foreign import table_at
from harness.verdicts import typeset

if TYPE_CHECKING:
    import pandas as pd

ComponentKind = Literal["layer", "head", "neuron"]

COMPONENTS_NAME = "components.parquet"  # every component's numbers
REMEDY = "copy the run's folder again, or make the run again"
MODEL = "model"  # source of a table about the model itself; others are about twins or effects
COSTS = "costs"  # source of a table of what the loss of each component costs a process

COMPONENT_COLUMNS = (
    "model",
    "materials",
    "claim_id",
    "criterion",
    "prediction_id",
    "source",
    "kind",
    "layer",
    "index",
    "metric",
    "effect",
    "effect_discovery",
    "q",
    "passed",
    "type",
    "contrast",
    "stack",
)
# Which prediction saved a row, what d is the difference of, and the stack are not in files of old
# runs.
ADDED = {"prediction_id": "", "contrast": "", "stack": ""}


@dataclass(frozen=True, slots=True)
class Components:
    """What a criterion found, one entry a component.

    Attributes:
        metric: The component's strongest metric, as a position in `metrics`.
        effect: d of that metric (controlled: on evaluation pairs).
        effect_discovery: d on discovery pairs; nan where all prompts are used at once.
        q: Corrected p of that metric.
        passed: Whether the criterion calls it specialised.
        type: recall, reasoning (by sign), mixed (votes tie) or "" where no rule was met. A mixed
            one does not pass where the claim counts the others alone.
        cells_d: d of every cell, for profiles.
        contrast: The two classes whose difference d is: the first minus the second.
    """

    kind: ComponentKind
    layer: Int[np.ndarray, " component"]
    index: Int[np.ndarray, " component"]
    metrics: tuple[str, ...]
    metric: Int[np.ndarray, " component"]
    effect: Float[np.ndarray, " component"]
    effect_discovery: Float[np.ndarray, " component"]
    q: Float[np.ndarray, " component"]
    passed: Bool[np.ndarray, " component"]
    type: np.ndarray
    cells_d: Float[np.ndarray, "component metric"]
    contrast: tuple[str, str]

    @property
    def count(self) -> int:
        """Components that passed."""
        return int(self.passed.sum())

    @property
    def count_mixed(self) -> int:
        """Components whose votes tie, whether or not they pass."""
        return int((self.type == "mixed").sum())

    def count_of(self, *types: str) -> int:
        """Components that passed with one of these types."""
        return int(np.isin(self.type, types).sum())

    def __len__(self) -> int:
        return len(self.layer)


def read_components(folder: Path) -> "pd.DataFrame | None":
    """The table of a run's folder; None if it has none.

    Raises:
        ForeignError: If the file is damaged; names it and the column.
    """
    path = folder / COMPONENTS_NAME
    if not path.exists():
        return None
    numbers = dict.fromkeys(("layer", "index", "passed"), True)
    numbers |= dict.fromkeys(("effect", "effect_discovery", "q"), False)
    texts = tuple(name for name in COMPONENT_COLUMNS if name not in numbers)
    # d is infinite where a component varies between the classes and in neither of them.
    infinite = ("effect", "effect_discovery")
    frame = table_at(
        path, numbers, texts, "a table of components", REMEDY, infinite=infinite, added=ADDED
    )
    return frame[list(COMPONENT_COLUMNS)]


def components_frame(table: Components, encoder_layers: int = 0, **common: str) -> "pd.DataFrame":
    """One row a component (layers: one a layer and metric), columns as in `COLUMNS`.

    The column `stack` says where in an encoder-decoder it is, and is empty of other models.
    """
    import pandas as pd  # noqa: PLC0415

    if table.kind == "layer":
        metrics = len(table.metrics)
        strongest = np.arange(metrics)[None] == table.metric[:, None]
        columns = {
            "layer": np.repeat(table.layer, metrics),
            "index": -1,
            "metric": np.tile(np.array(table.metrics), len(table)),
            "effect": table.cells_d.ravel(),
            "effect_discovery": np.where(
                strongest, table.effect_discovery[:, None], np.nan
            ).ravel(),
            "q": np.where(strongest, table.q[:, None], np.nan).ravel(),
            "passed": (table.passed[:, None] & strongest).ravel(),
            "type": np.where(strongest, table.type[:, None], "").ravel(),
        }
    else:
        columns = {
            "layer": table.layer,
            "index": table.index,
            "metric": np.array(table.metrics)[table.metric],
            "effect": table.effect,
            "effect_discovery": table.effect_discovery,
            "q": table.q,
            "passed": table.passed,
            "type": table.type,
        }
    named = {**common, "kind": table.kind, "contrast": " minus ".join(table.contrast)}
    names = {n: typeset.stack(n, encoder_layers, table.kind) for n in set(table.layer.tolist())}
    columns["stack"] = pd.Series(columns["layer"]).map(names)
    frame = pd.DataFrame({**named, **columns})[list(COMPONENT_COLUMNS)]
    for name in (*named, "metric", "type", "stack"):
        frame[name] = frame[name].astype("category")
    return frame
