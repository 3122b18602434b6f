"""Models of which it is known what serves a process, and the components that a run found.

`circuit.json`, beside a model's weights, says what is known of it:

    {"role": "positive",
     "processes": {"retrieval": {"layers": [0], "heads": [[0, 1]], "neurons": {"0": [3, 7]}},
                   "composing": {...}},
     "expected": {"h3/some_neurons_serve_retrieval": "supported"}, "why": "..."}
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.calibration.running import Ran
from harness.models import specs
from harness.models.hub import local_folder
from harness.models.specs import ModelError
from harness.verdicts.components import COMPONENTS_NAME, MODEL

if TYPE_CHECKING:
    import pandas as pd

CIRCUIT = "circuit.json"
CLAIMS = {"layer": "h1", "head": "h2", "neuron": "h3"}
_COLUMNS = ("claim_id", "source", "kind", "layer", "index", "effect", "passed")
_Place = tuple[int, int]  # layer, and head or neuron (-1 for a layer)


def circuit_of(model: str) -> dict[str, Any] | None:
    """What is known of a model; None if nothing is.

    Raises:
        ModelError: If its circuit.json is not of the form above.
    """
    folder = local_folder(specs.resolve(model))
    path = folder / CIRCUIT if folder else None
    if path is None or not path.is_file():
        return None
    known = specs.read_json(path)
    if not isinstance(known.get("processes"), dict):
        raise ModelError(f"{path} names no processes: expected role, processes, expected, why.")
    return known


def places(known: Mapping[str, Any], kind: str) -> set[_Place]:
    """The components of a kind in one of the sets of circuit.json."""
    if kind == "layer":
        return {(int(layer), -1) for layer in known.get("layers", ())}
    if kind == "head":
        return {(int(layer), int(head)) for layer, head in known.get("heads", ())}
    rows = known.get("neurons", {}).items()
    return {(int(layer), int(neuron)) for layer, neurons in rows for neuron in neurons}


def components(run: Ran) -> "pd.DataFrame":
    """The run's table of components; empty if it has none."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    path = run.folder / COMPONENTS_NAME
    if not path.is_file():
        return pd.DataFrame(columns=_COLUMNS)
    table = pd.read_parquet(path)
    return table[table["criterion"] == "controlled"]


def observational(table: "pd.DataFrame", kind: str) -> dict[_Place, tuple[float, bool]]:
    """(largest |d|, passed) of every component of a kind, in the model itself."""
    rows = table[
        (table["claim_id"] == CLAIMS[kind]) & (table["source"] == MODEL) & (table["kind"] == kind)
    ]
    return _largest(rows, rows["effect"].abs() if len(rows) else ())


def _largest(rows: "pd.DataFrame", score: Any) -> dict[_Place, tuple[float, bool]]:
    largest: dict[_Place, tuple[float, bool]] = {}
    for layer, index, value, passed in zip(
        rows["layer"], rows["index"], score, rows["passed"], strict=True
    ):
        place = (int(layer), int(index))
        number = 0.0 if np.isnan(value) else float(value)
        before = largest.get(place, (-np.inf, False))
        largest[place] = (max(before[0], number), before[1] or bool(passed))
    return largest
