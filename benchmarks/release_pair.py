"""How often the gate catches a damaged release, and how often it cries wolf.

    python -m benchmarks.release_pair --work DIR [--draws 20] [--items 60]

Makes two further releases of `mini-qwen` (`fixtures/training/releases.py`): one whose recall is
damaged, one that differs by noise. Over redrawn materials, keeps a baseline of `mini-qwen` and runs
both against it under `--gate regressions`; writes both rates to results/release_pair.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from harness import stats

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results") / "release_pair.json"
RELEASES = ("again", "forgot")
PREDICTIONS = ["hypotheses/test_h0_measurement.py", "-k", "model_answers"]


def run(work: Path, draw: int, items: int, *options: str) -> int:
    """Exit status of the competence prediction on one drawing of the materials."""
    command = [sys.executable, "-m", "pytest", *PREDICTIONS, "-q", f"--seed={draw}"]
    command += [f"--items={items}", f"--baseline-dir={work / 'baselines'}"]
    command += [f"--cache-dir={work / 'cache'}", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"draw {draw} {options}: status {done.returncode}\n{done.stdout[-2000:]}"
        )
    return done.returncode


def judged(work: Path, draw: int, items: int) -> dict[str, int]:
    """Exit status of each release against the baseline of one drawing."""
    name = f"draw-{draw}"
    out = work / "out" / name
    kept = ["--model=mini-qwen", f"--save-baseline={name}", "--gate=none"]
    run(work, draw, items, *kept, f"--report={out / 'baseline' / 'report.html'}")
    found = {}
    for release in RELEASES:
        options = [f"--model={work / release}", f"--baseline={name}", "--gate=regressions"]
        found[release] = run(
            work, draw, items, *options, f"--report={out / release / 'report.html'}"
        )
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--items", type=int, default=60)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    started = time.monotonic()
    if not all((work / r / "card.json").exists() for r in RELEASES):
        make = [sys.executable, "-m", "fixtures.training.releases", "--out", str(work)]
        subprocess.run(make, cwd=ROOT, check=True)
    with ThreadPoolExecutor(2) as pool:
        draws = range(1, arguments.draws + 1)
        every = list(pool.map(lambda draw: judged(work, draw, arguments.items), draws))
    record = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "prediction": "h0, the model answers",
        "draws": arguments.draws,
        "items": arguments.items,
        "hardware": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "seconds": round(time.monotonic() - started),
        "accuracy": {
            r: json.loads((work / r / "card.json").read_text(encoding="utf-8"))["accuracy"]
            for r in RELEASES
        },
        "failed": {
            r: {
                "count": (count := sum(found[r] for found in every)),
                "share": count / len(every),
                "interval": stats.binomial_interval(count, len(every)),
            }
            for r in RELEASES
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["failed"]))


if __name__ == "__main__":
    main()
