"""One task: an ordinary `pytest hypotheses/` in a folder of its own, whole or absent.

A run writes into a folder that begins with a dot and is renamed when it is whole. So a task that
was killed with its process, its machine or its driver leaves nothing that looks finished, and two
attempts do not meet; what they measured is in the store.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.files import DATA, import_path, write_text
from harness.foreign import parsed
from harness.plugin.forecasting import UNWATCHED
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME, read_verdicts

DONE = "task.json"  # written last
LOG = "log.txt"
TAIL = 300  # characters of a sentence that pytest said
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
SAID = re.compile(r"^(?:ERROR:|FAILED|E  )\s*(.+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task asks of the machine that runs it; memory in bytes, of the GPU if it has one."""

    cpus: int = 1
    gpus: int = 0
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A run that is asked for.

    Attributes:
        label: Its model, as reports show it.
        stage: `competence` or `claims`.
        folder: Where it lies when it is whole; named by all that it depends on.
        options: Of pytest, besides the report.
        url: The store, where it is a URL (`sharing`).
    """

    label: str
    stage: str
    folder: Path
    options: tuple[str, ...]
    needs: Needs = Needs()
    cwd: Path = Path()
    url: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.label}, {self.stage}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that is whole, or the sentence why it is not; a note is a sentence besides."""

    task: Task
    seconds: float = 0.0
    fault: str = ""
    note: str = ""


class KilledError(RuntimeError):
    """The run was killed from outside, or what it made was not taken: the task is tried again."""


def ended(task: Task) -> Ended | None:
    """The task, if it was made already and is whole: its records are the only memory."""
    try:
        made = parsed((task.folder / DONE).read_bytes())
        seconds = float(made["seconds"])
    except Exception:  # of any kind: the task is made again
        return None
    return Ended(task, seconds) if (task.folder / JSON_NAME).is_file() else None


def carry_out(task: Task) -> Ended:
    """Run the task, unless it is there already; called on the machine that Ray chose.

    Raises:
        KilledError: If its process was killed.
    """
    if (made := ended(task)) is not None:
        return made
    with _attempt(task) as folder:
        started = time.monotonic()
        status = _run(task, folder)
        seconds = round(time.monotonic() - started, 1)
        if status < 0:
            raise KilledError(f"the run was killed by signal {-status}.")
        fault = _fault(status, folder)
        if fault:
            shutil.copy2(folder / LOG, task.folder.with_suffix(".log"))
            return Ended(task, seconds, fault)
        (folder / "report.html").unlink(missing_ok=True)  # the fleet has one report
        note = {"task": task.name, "seconds": seconds, "options": list(task.options)}
        write_text(folder / DONE, json.dumps(note, indent=1) + "\n")
        with suppress(OSError):  # another attempt was faster
            folder.rename(task.folder)
    return Ended(task, seconds)


@contextmanager
def _attempt(task: Task) -> Iterator[Path]:
    """A folder of this attempt's own; what earlier ones of this task left is taken away."""
    for left in attempts(task):
        shutil.rmtree(left, ignore_errors=True)
    folder = task.folder.with_name(f".{task.folder.name}.{uuid.uuid4().hex[:8]}")
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def attempts(task: Task) -> list[Path]:
    """Folders of attempts at the task that are at work, or were killed."""
    return list(task.folder.parent.glob(f".{task.folder.name}.*"))


def command(task: Task, folder: Path) -> list[str]:
    """What a user would type."""
    return [
        *(sys.executable, "-m", "pytest", str(DATA / "hypotheses"), "-q", "-p", "no:cacheprovider"),
        *("--gate=none", *task.options, f"--report={folder / 'report.html'}"),
    ]


def _run(task: Task, folder: Path) -> int:
    """The exit status; the run ends with the process that began it."""
    threads = str(task.needs.cpus)
    ours = {"PYTHONPATH": import_path(), "OMP_NUM_THREADS": threads, UNWATCHED: "1"}
    with (folder / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command(task, folder),
            cwd=task.cwd if task.cwd.is_dir() else DATA,
            env={**os.environ, **ours},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_leash(),  # noqa: PLW1509 - it makes one system call and no more
        )
        try:
            return process.wait()
        finally:
            process.kill()


def _leash() -> Callable[[], object] | None:
    """What ends a child with its parent, however that ends; None where the system cannot."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    return lambda: prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _fault(status: int, folder: Path) -> str:
    """Why there are no verdicts, or none that was measured, in a sentence; empty if there are."""
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    if status in (0, 1) and (folder / JSON_NAME).is_file():
        verdicts = read_verdicts(folder / JSON_NAME)
        if any(v.outcome is not Outcome.NOT_MEASURED for v in verdicts):
            return ""
        return verdicts[0].reason
    if status == 5:
        return "its options select no prediction: look at -k and --criterion."
    found = SAID.findall(log)
    return " ".join((found[0] if found else log[-TAIL:]).split()) or f"pytest ended with {status}."
