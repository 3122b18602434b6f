"""What all claims would take on Qwen2.5-7B, from the speed of a smaller model on this machine.

    python -m benchmarks.estimate FOLDER

FOLDER is a model of the same family, whose tokenizer counts the prompts. The plan of a run says how
many tokens pass through the layers; the smaller model's speed, in CPU time, is scaled by the
parameters of the layers. Nothing of the large model is run: this is an estimate. Writes
results/full_shape_estimate.json and its lines in docs/results.md.
"""

import argparse
import json
import os
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.full_shape import SHAPE
from benchmarks.page import put_between, table
from benchmarks.real_models import MODELS
from harness.models.architecture import Architecture, architecture_of, stated_in
from harness.models.specs import LoadOptions, resolve
from harness.study.forecast import all_asked, measurements
from harness.study.plan import Plan
from harness.study.speed import Speed, parameters, speed_before

RESULTS = Path(__file__).with_name("results") / "full_shape_estimate.json"
START = "<!-- Qwen2.5-7B: made from benchmarks/results/full_shape_estimate.json -->"
PROBE = 60.0  # seconds
PER_SECOND = 0.1  # PFLOP of a GPU, sustained
KINDS = {
    "answers": "answers",
    "activations": "activations, also of untrained twins",
    "sweep": "edited runs",
    "gradients": "gradients of neurons",
}


def estimated(measured: Architecture, speed: Speed) -> dict:
    """Tokens, arithmetic and CPU seconds of each kind of measurement, all claims together."""
    large = stated_in({"model_type": "qwen2", **SHAPE}, "Qwen2.5-7B")
    works = [w for new in measurements(all_asked(), Plan(), large).values() for w in new]
    tokens: Counter[str] = Counter()
    for work in works:
        tokens[work.kind] += work.prompts * work.passes * speed.tokens[work.materials]
    slower = parameters(large) / parameters(measured)
    return {
        "layers_parameters": parameters(large),
        "slower": slower,
        "kinds": {
            kind: {
                "tokens": round(count),
                "petaflop": 2e-15 * count * parameters(large) * (3 if kind == "gradients" else 1),
                "cpu_seconds": round(count / speed.per_second[kind] * speed.share * slower),
            }
            for kind, count in tokens.items()
        },
    }


def rendered(record: dict) -> str:
    """The lines of the page."""
    kinds = record["kinds"]
    rows = [
        [
            KINDS[kind],
            f"{row['tokens'] / 1e6:,.2f}",
            f"{row['petaflop']:,.0f}",
            f"{row['cpu_seconds'] / 3600:,.0f}",
        ]
        for kind, row in kinds.items()
    ]
    total = sum(row["petaflop"] for row in kinds.values())
    hours = sum(row["cpu_seconds"] for row in kinds.values()) / 3600
    about = (
        "An estimate, nothing of it was run: all claims on Qwen2.5-7B's shape with the default "
        f"plan take {hours:,.0f} core hours on this machine. {record['model']} computes "
        f"{record['said']} here, and the layers of the large model have {record['slower']:.1f} "
        f"times as many parameters. In arithmetic that is {total:,.0f} PFLOP (two operations for "
        "each parameter of the layers and token, six with gradients), "
        f"{total / PER_SECOND / 3600:.1f} hours at a sustained {1000 * PER_SECOND:.0f} TFLOP/s. "
        "Everything is taken to be needed: a model that does not answer costs little."
    )
    heads = ["measured", "million tokens", "PFLOP", "core hours"]
    return f"{about}\n\n{table(heads, rows)}\n\n{_machine(record)}"


def _machine(record: dict) -> str:
    machine = record["hardware"]
    return f"One core of {machine['cores']} ({machine['cpu']}), float32, {record['when'][:10]}."


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="a folder; none: the page alone")
    path = parser.parse_args().model
    if path is not None:
        spec = resolve(str(path))
        speed = speed_before(spec, LoadOptions(device="cpu", dtype="float32"), PROBE)
        record = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": next((m.name for m in MODELS if m.alias == path.name), path.name),
            "hardware": {
                "cpu": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
            },
            "share": speed.share,
            "said": f"{speed.per_second['answers'] / speed.share:,.0f} tokens a second of a core",
            "per_second": dict(speed.per_second),
            "tokens": dict(speed.tokens),
            **estimated(architecture_of(spec), speed),
        }
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    put_between(START, rendered(json.loads(RESULTS.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
