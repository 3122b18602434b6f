"""What a fleet takes past one machine, by arithmetic and simulation; a store of 10^6 shards.

    python -m benchmarks.scale                     both, and the lines of docs/scale.md
    python -m benchmarks.scale --page              the lines alone

Nothing large is run. Tokens of a prompt are measured (results/full_shape_estimate.json), what the
claims ask for is `harness.study.cost`'s, a GPU's arithmetic is assumed. Tasks are given out as a
fleet does it: first what each model answers, then its claims, each to the GPUs that are free first.
The store is simulated with entries of linked shards, and read by the suite's own code.
"""

import argparse
import heapq
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.estimate import PER_SECOND
from benchmarks.estimate import RESULTS as ESTIMATE
from benchmarks.full_shape import SHAPE
from benchmarks.page import put_between, table
from harness.commands.doctor import measured_bytes
from harness.files import DATA
from harness.fleet.looking import ROOM
from harness.models.architecture import Architecture, stated_in
from harness.models.sizes import BYTES, parameters_of
from harness.store.shards import read_shard
from harness.store.store import Store
from harness.study.forecast import Asked, all_asked, measurements
from harness.study.plan import Plan
from harness.study.speed import parameters

RESULTS = Path(__file__).with_name("results") / "scale.json"
PAGE, START = DATA / "docs" / "scale.md", "<!-- scale: made from benchmarks/results/scale.json -->"
LARGE = {
    **{"model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "vocab_size": 128256},
    **{"num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 28672},
    **{"tie_word_embeddings": False, "torch_dtype": "bfloat16"},
}
STARTING = 30.0  # seconds: a process, its imports, statistics of h0
READING = 1e9  # bytes of weights a second
GPU = 80e9  # bytes
ENTRIES, SHARDS, LINKS = 10_000, 100, 50_000
HEADS = "head"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model takes, in PFLOP; `twins` of it is the same for every model of its shape."""

    answers: float
    rest: float
    twins: float
    weights: float  # bytes


def cost_of(
    shape: Mapping[str, object], asked: Iterable[Asked], tokens: Mapping[str, float]
) -> Cost:
    """The arithmetic of claims on a model: two operations a token and parameter of the layers."""
    stated = stated_in(shape, "model")
    sums: Counter[str] = Counter()
    for new in measurements(tuple(asked), Plan(), stated).values():
        for work in new:
            cost = 2e-15 * work.prompts * work.passes * tokens[work.materials] * parameters(stated)
            kind = "twins" if work.what == "twins" else work.kind
            sums[kind] += cost * (3 if work.kind == "gradients" else 1)
    rest = sum(v for kind, v in sums.items() if kind not in ("answers", "twins"))
    weights = BYTES["bfloat16"] * parameters_of(shape, "model")
    return Cost(sums["answers"], rest, sums["twins"], weights)


def simulated(cost: Cost, models: int, unable: int, slots: int, rate: float) -> dict[str, float]:
    """Hours until all models are done, of which the first `unable` cannot answer.

    The first model that comes to its claims measures the twins; later ones read them.
    """
    starting = STARTING + cost.weights / READING
    free, ready, busy = [0.0] * slots, [], 0.0
    for at in range(models):
        seconds = starting + cost.answers / rate
        ended = heapq.heapreplace(free, free[0] + seconds) + seconds
        busy += seconds
        ready += [ended] if at >= unable else []
    for number, there in enumerate(sorted(ready)):
        seconds = starting + (cost.rest + (cost.twins if number == 0 else 0.0)) / rate
        heapq.heapreplace(free, max(free[0], there) + seconds)
        busy += seconds
    return {"hours": max(free) / 3600, "busy": busy / (slots * max(free))}


def planned() -> dict:
    """Both plans."""
    tokens = json.loads(ESTIMATE.read_text(encoding="utf-8"))["tokens"]
    small_shape = {"model_type": "qwen2", **SHAPE}
    small = cost_of(small_shape, all_asked(), tokens)
    heads = [a for a in all_asked() if HEADS in f"{a.name} {a.parameters}"]
    large = cost_of(LARGE, heads, tokens)
    gpus = -(-int(large.weights * ROOM) // int(GPU))
    return {
        "checkpoints": {
            "petaflop": {"answers": small.answers, "rest": small.rest, "twins": small.twins},
            "runs": [
                {"rate": rate, "unable": unable, **simulated(small, 50, unable, 8, rate)}
                for rate in (PER_SECOND / 2, PER_SECOND, 2 * PER_SECOND)
                for unable in (0, 20)
            ],
            "memory": small.weights * 2 * ROOM,
            "store": _store_bytes(stated_in(small_shape, "7B"), 50),
        },
        "heads": {
            "petaflop": large.answers + large.rest,
            "gpus": gpus,
            "memory": large.weights * ROOM,
            "hours": (large.answers + large.rest) / PER_SECOND / 3600,
            "store": measured_bytes(stated_in(LARGE, "70B"), 0),
        },
    }


def _store_bytes(stated: Architecture, models: int) -> float:
    """Activations on the crossed prompts, of models and, once, of the twins."""
    one = measured_bytes(stated, 0)
    return models * one + measured_bytes(stated, Plan().twins) - one


def store_times(folder: Path) -> dict:
    """Milliseconds of what a store is asked, with a million shards in it."""
    began = time.perf_counter()
    store = Store(folder / "store")
    key, values = {"kind": "benchmark"}, {"a": np.zeros((3200, 8), np.float32)}
    store.fetch(key, 3200, lambda part: {"a": values["a"][part]}, shard_size=32)
    (first,) = store.entries()
    _fill(folder / "store", folder / "files")
    made = time.perf_counter() - began
    other = {f"{n:032x}" for n in range(ENTRIES // 2, ENTRIES // 2 + ENTRIES)}
    return {
        "entries": ENTRIES,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "files": "tmpfs" if str(folder).startswith("/dev/shm") else "a disk",
        "shards": ENTRIES * SHARDS,
        "made_in_seconds": round(made, 1),
        "ms": {
            "list the entries": timed(store.entries),
            "find that an entry is not there": timed(
                lambda: read_shard(folder / "store" / f"{ENTRIES * 2:032x}", 0)
            ),
            "read and check a shard of an entry": timed(lambda: read_shard(first, 7)),
            "read and check an entry of 100 shards": timed(
                lambda: store.fetch(key, 3200, _never, shard_size=32)
            ),
            "which entries another store of as many has more": timed(
                lambda: other - {path.name for path in store.entries()}
            ),
            "add up its size (doctor)": timed(store.size, 1),
        },
    }


def _never(_: slice) -> dict:
    raise AssertionError("all of it is stored")


def _fill(root: Path, files: Path) -> None:
    """Entries whose shards are links to some files: a directory entry each, as real ones."""
    files.mkdir()
    number = 0
    for entry in range(1, ENTRIES):
        folder = root / f"{entry:032x}"
        folder.mkdir()
        for shard in range(SHARDS):
            for suffix in ("json", "safetensors"):
                source = files / f"{number // LINKS}.{suffix}"
                if number % LINKS < 2:
                    source.touch()
                os.link(source, folder / f"shard-{shard:05d}.{suffix}")
                number += 1


def timed(ask: Callable[[], object], times: int = 7) -> list[float]:
    """Median milliseconds of a processor, and of the clock: other work may run here."""
    taken = []
    for _ in range(times):
        computed, began = time.process_time(), time.perf_counter()
        ask()
        taken.append((time.process_time() - computed, time.perf_counter() - began))
    return [round(1000 * statistics.median(column), 3) for column in zip(*taken, strict=True)]


def rendered(record: dict) -> str:
    """The lines of the page."""
    many, heads, store = record["checkpoints"], record["heads"], record["store"]
    rows = [
        [
            f"{1000 * run['rate']:.0f} TFLOP/s",
            f"{run['unable']} of 50",
            f"{run['hours']:.1f}",
            f"{100 * run['busy']:.0f} %",
        ]
        for run in many["runs"]
    ]
    flop = many["petaflop"]
    parts = [
        "Estimates: arithmetic and a simulation, nothing of it was run. What a GPU sustains is "
        "an assumption, so the table has three.",
        f"**50 checkpoints of a 7B model on 8 GPUs**, all claims, default plan: "
        f"{flop['answers'] + flop['rest']:,.0f} PFLOP a checkpoint, {flop['twins']:,.0f} for "
        f"the twins, once. A run needs {many['memory'] / 1e9:.0f} GB of a GPU; the store takes "
        f"{many['store'] / 1e9:,.0f} GB for activations.",
        table(["a GPU sustains", "checkpoints that cannot answer", "hours", "GPUs busy"], rows),
        f"**All heads of a 70B model on 2 x 8 GPUs of 80 GB** (predictions on heads, no twins): "
        f"{heads['petaflop']:,.0f} PFLOP. The model takes {heads['memory'] / 1e9:.0f} GB, so "
        f"{heads['gpus']} GPUs, and `--device-map auto` lets one of them work at a time: "
        f"{heads['hours']:,.0f} hours at {1000 * PER_SECOND:.0f} TFLOP/s. One model is one task: "
        f"the other {16 - heads['gpus']} GPUs stand idle, unless its claims are given to several "
        "entries with different `-k`.",
        f"**A store of {store['entries']:,} entries and {store['shards']:,} shards**, on a "
        f"machine of {store['cores']} cores with {store['load']:.0f} processes at work; files on "
        f"{store['files']}:",
        table(
            ["asked", "ms of a processor", "ms of the clock"],
            [[asked, *(f"{ms:,.2f}" for ms in taken)] for asked, taken in store["ms"].items()],
        ),
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="write the page alone")
    if not parser.parse_args().page:
        record = planned()
        with tempfile.TemporaryDirectory() as folder:
            record["store"] = store_times(Path(folder))
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    put_between(START, rendered(json.loads(RESULTS.read_text(encoding="utf-8"))), PAGE)


if __name__ == "__main__":
    main()
