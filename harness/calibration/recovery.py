"""Recovery: are the components that the suite finds those of a circuit that is known.

`circuit.json`, beside a model's weights, says what is known of it:

    {"tasks": {"recall": {"layers": [0], "heads": [[0, 1]], "neurons": {"0": [3, 7]}},
               "reasoning": {...}},
     "shared": {...}, "bystanders": {...},
     "expected": {"h3/some_neurons_serve_retrieval": "supported"}, "why": "..."}

Positives are components of either task's set. Negatives are all others; those listed as shared
serve both tasks, so they are left out, and counted as negatives in a second reading.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import stats
from harness.calibration.running import Ran
from harness.models import specs
from harness.models.hub import local_folder
from harness.models.specs import ModelError
from harness.verdicts.components import CAUSAL, COMPONENTS_NAME, MODEL

if TYPE_CHECKING:
    import pandas as pd

CIRCUIT = "circuit.json"
CLAIMS = {"layer": "h1", "head": "h2", "neuron": "h3"}
_EITHER = "either"
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
    if not any(isinstance(known.get(name), dict) for name in ("tasks", "processes")):
        raise ModelError(
            f"{path} names no tasks and no processes: expected tasks or processes, shared, "
            "bystanders, expected."
        )
    return known


def places(known: Mapping[str, Any], kind: str) -> set[_Place]:
    """The components of a kind in one of the sets of circuit.json."""
    if kind == "layer":
        return {(int(layer), -1) for layer in known.get("layers", ())}
    if kind == "head":
        return {(int(layer), int(head)) for layer, head in known.get("heads", ())}
    rows = known.get("neurons", {}).items()
    return {(int(layer), int(neuron)) for layer, neurons in rows for neuron in neurons}


def recovered(runs: Sequence[Ran], items: int) -> list[dict[str, Any]]:
    """One entry a run without shuffling, kind, way of looking and set; none of other models.

    `observational` scores a component by its largest |d| on held-out pairs of crossed prompts,
    `causal` by what its loss costs (either task: the larger cost; one task: its cost less the
    other's, which is how the suite ranks). Found is what passed, or is part of a circuit.
    """
    found = []
    for run in runs:
        job = run.job
        if job.part != "power" or (job.items, job.share) != (items, 0.0):
            continue
        known = circuit_of(job.base)
        if known is not None and "tasks" in known:
            place = {"model": Path(job.base).name, "seed": job.seed, "items": job.items}
            found += [{**place, **entry} for entry in _of_run(run, known)]
    return found


def _of_run(run: Ran, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    table = components(run)
    for kind in CLAIMS:
        ways = {("observational", _EITHER): observational(table, kind)} | causal(table, kind)
        for (source, target), scored in ways.items():
            tasks = list(known["tasks"]) if target == _EITHER else [target]
            positive = set().union(*(places(known["tasks"].get(t, {}), kind) for t in tasks))
            if scored and positive:
                shared = places(known.get("shared", {}), kind)
                for counted in (False, True):
                    where = {"source": source, "target": target, "kind": kind}
                    told = _compared(scored, positive, set() if counted else shared)
                    yield {**where, "shared_counted": counted, **told}


def components(run: Ran) -> "pd.DataFrame":
    """The run's table of components; empty if it has none."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    path = run.folder / COMPONENTS_NAME
    if not path.is_file():
        return pd.DataFrame(columns=["claim_id", "criterion", "source", "kind"])
    table = pd.read_parquet(path)
    return table[table["criterion"] == "controlled"]


def observational(table: "pd.DataFrame", kind: str) -> dict[_Place, tuple[float, bool]]:
    """(largest |d|, passed) of every component of a kind, in the model itself."""
    rows = table[
        (table["claim_id"] == CLAIMS[kind]) & (table["source"] == MODEL) & (table["kind"] == kind)
    ]
    return _largest(rows, rows["effect"].abs() if len(rows) else ())


def causal(
    table: "pd.DataFrame", kind: str
) -> dict[tuple[str, str], dict[_Place, tuple[float, bool]]]:
    """(cost of its loss, in the circuit) of every component, by task and for either of them."""
    sources = [s for s in table["source"].unique() if str(s).startswith(CAUSAL)]
    by_task = {}
    for source in sources:
        rows = table[(table["source"] == source) & (table["kind"] == kind)]
        if len(rows):
            by_task[str(source).removeprefix(CAUSAL)] = _largest(rows, rows["effect"])
    if len(by_task) != 2:
        return {}
    (a, first), (b, second) = by_task.items()
    either = {p: (max(first[p][0], second[p][0]), first[p][1] or second[p][1]) for p in first}
    found = {("causal", _EITHER): either}
    for task, mine, other in ((a, first, second), (b, second, first)):
        found["causal", task] = {p: (mine[p][0] - other[p][0], mine[p][1]) for p in mine}
    return found


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


def _compared(
    scored: Mapping[_Place, tuple[float, bool]], positive: set[_Place], left_out: set[_Place]
) -> dict[str, Any]:
    kept = [place for place in scored if place in positive or place not in left_out]
    found = stats.recovery(
        np.array([scored[p][0] for p in kept]),
        np.array([scored[p][1] for p in kept]),
        np.array([p in positive for p in kept]),
    )
    numbers = {"auroc": found.auroc, "precision": found.precision, "recall": found.recall}
    return {
        **{name: None if np.isnan(value) else value for name, value in numbers.items()},
        "positives": found.positives,
        "negatives": found.negatives,
        "found": found.found,
    }
