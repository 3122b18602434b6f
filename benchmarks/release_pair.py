"""How often the gate catches a damaged release, and how often it cries wolf.

    python -m benchmarks.release_pair --work DIR [--draws 20] [--items 60] [--model FOLDER]

Makes two further releases of `mini-qwen` (`fixtures/training/releases.py`), or of a pretrained
model in a folder (`fine_tuned.py`): one whose recall is damaged, one that differs by noise. Over
redrawn materials, keeps a baseline of the model and runs both against it under `--gate
regressions`; writes both rates to results/release_pair.json (of a folder, release_pair_NAME.json).

A pretrained model is asked recall and lookup only, in a prompt file of each drawing: one that does
not answer questions of two steps is not competent in all cells, and what is not supported in the
baseline cannot regress.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import fine_tuned
from harness import stats
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import TOLD, Difficulty

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results")
MODEL = "mini-qwen"
EASIEST = Difficulty(2, 2, TOLD)
ASKED = ("recall", "lookup")
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


def questions(folder: Path, draw: int, items: int) -> Path:
    """A prompt file of one drawing: recall and lookup, two solved questions before each."""
    drawn = [i for i in draw_cells("cells", items, draw, EASIEST).items if i.task in ASKED]
    fields = ("id", "task", "prompt", "answer", "distractors", "pair", "template", "relation")
    rows = ({name: getattr(item, name) for name in fields} for item in drawn)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"draw-{draw}.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def judged(
    work: Path, draw: int, items: int, model: str, releases: Sequence[str]
) -> dict[str, int]:
    """Exit status of each release against the baseline of one drawing."""
    name = f"draw-{draw}"
    out = work / "out" / name
    asked = [] if model == MODEL else [f"--prompts={questions(work / 'prompts', draw, items)}"]
    run_one = partial(run, work, draw, items, *asked)
    kept = [f"--model={model}", f"--save-baseline={name}", "--gate=none"]
    run_one(*kept, f"--report={out / 'baseline' / 'report.html'}")
    found = {}
    for release in releases:
        options = [f"--model={work / release}", f"--baseline={name}", "--gate=regressions"]
        found[release] = run_one(*options, f"--report={out / release / 'report.html'}")
    return found


def _accuracy(release: Path) -> dict[str, float]:
    card: dict = json.loads((release / "card.json").read_text(encoding="utf-8"))
    return card["accuracy"]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--model", default=MODEL, help="the first release; or a folder of one")
    arguments = parser.parse_args()
    work, started = arguments.work.resolve(), time.monotonic()
    small = arguments.model == MODEL
    model = MODEL if small else str(Path(arguments.model).resolve())
    releases = ("again", "forgot") if small else fine_tuned.RELEASES
    if small and not all((work / r / "card.json").exists() for r in releases):
        make = [sys.executable, "-m", "fixtures.training.releases", "--out", str(work)]
        subprocess.run(make, cwd=ROOT, check=True)
    if not small:
        for release in releases:
            if not (work / release / "tokenizer_config.json").exists():  # which is written last
                fine_tuned.make(release, Path(model), work)
    with ThreadPoolExecutor(2 if small else 1) as pool:
        draws = range(1, arguments.draws + 1)
        ask = partial(judged, work, items=arguments.items, model=model, releases=releases)
        every = list(pool.map(ask, draws))
    record = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "prediction": "h0, the model answers",
        "draws": arguments.draws,
        "items": arguments.items,
        "hardware": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "seconds": round(time.monotonic() - started),
        **({"accuracy": {r: _accuracy(work / r) for r in releases}} if small else {}),
        "failed": {
            r: {
                "count": (count := sum(found[r] for found in every)),
                "share": count / len(every),
                "interval": stats.binomial_interval(count, len(every)),
            }
            for r in releases
        },
    }
    name = "release_pair.json" if small else f"release_pair_{Path(model).name}.json"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["failed"]))


if __name__ == "__main__":
    main()
