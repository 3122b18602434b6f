"""Carrying the runs out: in parallel, one process and one core each, resumable."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from harness.calibration.jobs import CONSISTENCY, WRITTEN, Job, jobs_of
from harness.calibration.settings import CalibrationSettings
from harness.files import DATA, import_path, write_text
from harness.foreign import parsed
from harness.models import hub, identity, specs
from harness.models.recipes import organism_folder, written_organism
from harness.models.specs import LoadOptions, ModelError, ModelSpec
from harness.study.fingerprint import instrument, library_versions
from harness.verdicts.records import JSON_NAME

DONE = "job.json"  # written last: a run that has it is whole
LOG = "log.txt"
CIRCUIT = "circuit.json"  # beside a network's weights, written last: what is known of it
OPTIONS_OF = "HARNESS_"  # variables that stand for options of the suite begin so
TAIL = 1500  # characters of a failed run's output that are shown


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that is whole, on disk."""

    job: Job
    folder: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that ended without verdicts, and the end of what it said."""

    job: Job
    said: str


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What there is after a calibration ran, or was stopped."""

    ran: tuple[Ran, ...]
    failed: tuple[Failed, ...]
    planned: int
    interrupted: bool

    @property
    def whole(self) -> bool:
        """Whether every planned run is there, and nothing was stopped."""
        return len(self.ran) == self.planned and not self.interrupted


class Workshop:
    """Where the runs of a calibration lie: networks, measurements, runs.

    Attributes:
        folder: The work folder.
        settings: What is calibrated.
    """

    def __init__(self, folder: Path, settings: CalibrationSettings) -> None:
        self.folder = folder.resolve()
        self.settings = settings
        self._specs: dict[str, ModelSpec] = {}
        self._identities: dict[str, dict[str, Any]] = {}
        for name in ("organisms", "runs", "caches"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Before runs begin, write organisms and hash every model.

        Raises:
            ModelError: If there is no such model or claim.
        """
        self._files()
        for job in jobs:
            if job.kind == WRITTEN:
                written_organism(job.base, self.folder)
        for job in jobs:
            self._identity(job)

    def model(self, job: Job) -> str:
        """What the job's run is told to study: a folder, a GGUF file, or a hub model's commit."""
        if job.kind == WRITTEN:
            return str(organism_folder(self.folder, job.base))
        spec = self._spec(job.base)
        if spec.is_local or spec.fixed is None:
            return str(spec.gguf_file or spec.path)
        return f"{spec.path}@{spec.fixed}"

    def _spec(self, name: str) -> ModelSpec:
        """The model of this name; a hub model is fixed to one commit for all runs."""
        if name not in self._specs:
            self._specs[name] = hub.pinned(specs.resolve(name))
        return self._specs[name]

    def _identity(self, job: Job) -> dict[str, Any]:
        name = self.model(job)
        if name not in self._identities:
            found = identity.identity_of(self._spec(name), LoadOptions(), self.folder / "caches")
            self._identities[name] = found
        return self._identities[name]

    def run_folder(self, job: Job) -> Path:
        """Where a job's run lies: its name, and a hash of all that its outcome depends on."""
        depends = {
            "model": self._identity(job),
            "instrument": instrument(),
            "libraries": library_versions(),
            "only": self._only(job),
        }
        key = job.fingerprint(self.settings, depends)
        return self.folder / "runs" / f"{job.name.replace(' ', '-')}-{key}"

    def there(self, job: Job) -> Ran | None:
        """The run, if it was made already and is whole."""
        folder = self.run_folder(job)
        try:
            made = parsed((folder / DONE).read_bytes())
            seconds = float(made["seconds"])
        except Exception:  # of any kind: the run is made again
            return None
        return Ran(job, folder, seconds) if (folder / JSON_NAME).is_file() else None

    def cache(self, job: Job) -> Path:
        """Where a job keeps what it measures; its own unless others share it."""
        return self.folder / "caches" / (job.cache or self.run_folder(job).name)

    def command(self, job: Job) -> list[str]:
        """What a user would type."""
        return [
            *(sys.executable, "-m", "pytest", *self._files(), "-q", "-p", "no:cacheprovider"),
            # hypothesis' plugin, where that is installed, imports all of it at every run's end.
            *("-p", "no:hypothesispytest"),
            *(f"--model={self.model(job)}", f"--cache-dir={self.cache(job)}"),
            f"--report={self.run_folder(job) / 'report.html'}",
            *job.options(self.settings),
            *self._only(job),
        ]

    def _only(self, job: Job) -> list[str]:
        """Of a model whose verdicts are known, the option for the predictions that they are of."""
        known = {} if job.part == CONSISTENCY else expected_of(self.model(job))
        if not known:
            return []
        names = [place.partition("/")[2].split("-") for place in known]
        return ["-k", " or ".join(sorted(f"({' and '.join(name)})" for name in names))]

    def _files(self) -> list[str]:
        folder = DATA / "hypotheses"
        if not self.settings.claims:
            return [str(folder)]
        found: list[str] = []
        for claim in self.settings.claims:
            files = sorted(folder.glob(f"test_{claim}_*.py"))
            if not files:
                known = {file.stem.split("_")[1] for file in folder.glob("test_*.py")}
                raise ModelError(
                    f"there is no claim {claim!r} in {folder}: expected one of "
                    f"{', '.join(sorted(known, key=lambda name: (len(name), name)))}."
                )
            found += map(str, files)
        return found


def expected_of(model: str) -> dict[str, str]:
    """Outcome by `<claim>/<prediction>`, as the circuit.json beside a model's weights says.

    Empty if nothing is known of the model.
    """
    file = Path(specs.resolve(model).path) / CIRCUIT
    expected: dict[str, str] = parsed(file.read_bytes())["expected"] if file.is_file() else {}
    return expected


class Runner:
    """Workers that take chains of jobs until there are none, or until they are told to stop."""

    def __init__(self, workshop: Workshop, plan: Sequence[Sequence[Job]], cores: int) -> None:
        self.workshop = workshop
        self.plan = plan
        self.cores = cores
        self.stopping = threading.Event()
        self._processes: dict[int, subprocess.Popen] = {}
        self._waiting: queue.SimpleQueue[Sequence[Job]] = queue.SimpleQueue()
        self._made: queue.SimpleQueue[Ran | Failed | BaseException] = queue.SimpleQueue()
        self._left = Counter(job.cache for job in jobs_of(plan))
        self._lock = threading.Lock()

    def run(self, stream: TextIO | None) -> RunOutcome:
        """Carry out what is not there yet; Ctrl-C keeps what there is."""
        jobs = jobs_of(self.plan)
        self.workshop.prepare(jobs)
        ran = [found for job in jobs if (found := self.workshop.there(job))]
        missing = len(jobs) - len(ran)
        failed: list[Failed] = []
        for chain in self.plan:
            self._waiting.put(chain)
        threads = [threading.Thread(target=self._work) for _ in range(min(self.cores, missing))]
        with tqdm(
            total=len(jobs),
            initial=len(ran),
            desc="runs",
            unit="run",
            file=stream,
            disable=stream is None,
            smoothing=0,
        ) as bar:
            for thread in threads:
                thread.start()
            try:
                for _ in range(missing):
                    made = self._made.get()
                    if isinstance(made, BaseException):
                        raise made
                    (ran if isinstance(made, Ran) else failed).append(made)  # type: ignore[arg-type]
                    bar.set_postfix_str(made.job.name)
                    bar.update()
                    if stream is None:  # a log, not a terminal: a line a run
                        print(f"{len(ran) + len(failed)} of {len(jobs)} runs: {made.job.name}")
            except KeyboardInterrupt:
                return RunOutcome(tuple(ran), tuple(failed), len(jobs), interrupted=True)
            finally:
                self._stop()
                for thread in threads:
                    thread.join()
        return RunOutcome(tuple(ran), tuple(failed), len(jobs), interrupted=False)

    def _stop(self) -> None:
        self.stopping.set()
        with self._lock:
            for process in self._processes.values():
                process.terminate()

    def _work(self) -> None:
        try:
            for chain in iter(self._next, None):
                for job in chain:
                    if self.stopping.is_set():
                        return
                    if self.workshop.there(job) is None:
                        made = self._one(job)
                        if made is None:
                            return
                        self._made.put(made)
                    self._finished(job)
        except BaseException as error:  # a thread's error is the run's
            self._made.put(error)

    def _next(self) -> Sequence[Job] | None:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _one(self, job: Job) -> Ran | Failed | None:
        """Run a job; None if it was stopped."""
        folder = self.workshop.run_folder(job)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = time.monotonic()
        with (folder / LOG).open("w", encoding="utf-8") as log:
            # In a session of its own: Ctrl-C is for us, and we tell our children.
            process = subprocess.Popen(
                self.workshop.command(job),
                cwd=DATA,
                env=run_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            with self._lock:
                self._processes[process.pid] = process
            if self.stopping.is_set():
                process.terminate()
            status = process.wait()
            with self._lock:
                del self._processes[process.pid]
        if self.stopping.is_set():
            return None
        seconds = round(time.monotonic() - started, 1)
        if status not in (0, 1) or not (folder / JSON_NAME).is_file():
            said = (folder / LOG).read_text(encoding="utf-8", errors="replace")[-TAIL:]
            return Failed(job, f"status {status}\n{said}")
        (folder / "report.html").unlink(missing_ok=True)  # `python -m harness report` remakes it
        note = {"job": job.to_json(), "seconds": seconds, "command": self.workshop.command(job)}
        write_text(folder / DONE, json.dumps(note, indent=1) + "\n")
        return Ran(job, folder, seconds)

    def _finished(self, job: Job) -> None:
        """Throw away measurements that no later run will read."""
        with self._lock:
            self._left[job.cache] -= 1
            over = not job.cache or self._left[job.cache] == 0
        if over:
            shutil.rmtree(self.workshop.cache(job), ignore_errors=True)


def run_environment() -> dict[str, str]:
    """Ours without options of the suite, with one thread a process, without the suite's own check.

    The organisms that check the instrument in every run would be measured anew in each of ours.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith((OPTIONS_OF, "PYTEST_"))}
    ours = {"PYTHONPATH": import_path(), "OMP_NUM_THREADS": "1", f"{OPTIONS_OF}NO_CONTROLS": "1"}
    return {**kept, **ours}
