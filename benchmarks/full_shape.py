"""Untrained networks of Qwen2.5-7B's exact shape through the suite: counts, seconds, memory.

    python -m benchmarks.full_shape --tokenizer DIR --work DIR [--layers 28] [-- PYTEST OPTIONS]

Writes weights as transformers initialises them (bfloat16, 15 GB at full depth) and the given
tokenizer into `--work`, runs the hypotheses on them in a process of its own, and appends to
results/full_shape.json what the published criterion calls specialised, how long it took, on what.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results") / "full_shape.json"
SHAPE = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "tie_word_embeddings": False,
}


def write_model(folder: Path, tokenizer: Path, layers: int, seed: int) -> None:
    """A folder as save_pretrained lays it out, with fresh weights."""
    torch.manual_seed(seed)
    config = Qwen2Config(**{**SHAPE, "num_hidden_layers": layers})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def counted(folder: Path) -> list[dict]:
    """Verdicts of a run, reduced to what a reader compares."""
    rows = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    return [
        {
            "prediction": row["prediction_id"],
            "criterion": row["criterion"],
            "outcome": row["outcome"],
            "value": row["evidence"][0]["effect"]["value"] if row["evidence"] else None,
            "detail": row["evidence"][0]["effect"]["method"] if row["evidence"] else row["reason"],
            "controls": {c["name"]: c["value"] for c in row["controls"]},
            "seconds": row["seconds"],
        }
        for row in rows
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=SHAPE["num_hidden_layers"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("pytest", nargs="*", help="options for pytest, after --")
    arguments = parser.parse_args()
    model = arguments.work / f"qwen2.5-7b-shape-{arguments.layers}-{arguments.seed}"
    started = time.monotonic()
    if not (model / "config.json").exists():
        if os.fork() == 0:  # its memory goes with it
            write_model(model, arguments.tokenizer, arguments.layers, arguments.seed)
            os._exit(0)
        os.wait()
    made = time.monotonic()
    out = arguments.work / "out"
    command = [sys.executable, "-m", "pytest", "hypotheses/", f"--model={model}", "--gate=none"]
    command += [f"--report={out / 'report.html'}", f"--cache-dir={arguments.work / 'cache'}"]
    subprocess.run([*command, "-q", *arguments.pytest], cwd=ROOT, check=True)
    ended = time.monotonic()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    record = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "layers": arguments.layers,
        "seed": arguments.seed,
        "options": arguments.pytest,
        "hardware": {
            "gpu": gpu,
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
        "seconds": {"write weights": round(made - started), "hypotheses": round(ended - made)},
        "peak_gib": round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 1
        ),  # of the largest child
        "verdicts": counted(out),
    }
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([*found, record], indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in record.items() if k != "verdicts"}))


if __name__ == "__main__":
    main()
