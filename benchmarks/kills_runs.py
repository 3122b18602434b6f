"""One run of `benchmarks.kills`: how it is begun, what it leaves, and how it ended."""

import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.inner_runs import IMPORTED

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ("benchmarks/kills_claim.py", "hypotheses/test_h2_heads.py")
OPTIONS = (
    *("--criterion=published", "--items=4", "--no-controls", "--gate=none", "-v", "-rN"),
    *("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *IMPORTED),
)
LEFT = 20  # seconds that workers get to end after the controller
NUMBERS = ("outcome", "reason", "evidence", "controls", "gates", "notes")  # of a verdict
BEGUN = re.compile(r"collected \d+ items|\[\d+ items\]")
FALLEN = re.compile(r"^.*::.*(?:PASSED|SKIPPED|XFAIL)|(?:PASSED|SKIPPED|XFAIL) .*::", re.MULTILINE)

PHASES = ("starting", "collecting", "loading or first prediction", "measuring", "writing")

# How a run ended; the last three are faults.
WHOLE = "ended before"  # the signal came too late
EARLY = "before pytest"  # had come to this project
KILLED, REPORT, SENTENCE = "killed", "report", "sentence"
FAULTS = SILENT, TRACEBACK, HUNG = ("silent", "traceback", "hung")
ENDINGS = (WHOLE, EARLY, KILLED, REPORT, SENTENCE, *FAULTS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run reads and writes: the work folder of all runs, and its own."""

    work: Path
    folder: Path
    workers: int

    def arguments(self) -> list[str]:
        """What pytest is given."""
        named = (f"--cache-dir={self.folder / 'cache'}", f"--report={self.folder / 'out'}/")
        many = ("-n", str(self.workers)) if self.workers else ()
        return [*CLAIMS, *OPTIONS, *many, *named, f"--model={self.work / 'tiny'}"]

    def start(self, log: str) -> Any:
        """Begin a run that prints to a file, in a process and a session of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = multiprocessing.get_context("fork").Process(target=self._run, args=(log,))
        process.start()
        return process

    def _run(self, log: str) -> None:
        os.setsid()
        file = os.open(self.folder / log, os.O_WRONLY | os.O_CREAT)
        for number in (1, 2):
            os.dup2(file, number)
        sys.stdout = sys.__stdout__ = os.fdopen(1, "w", 1)
        sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
        os._exit(pytest.main(self.arguments()))

    def said(self, log: str) -> str:
        """All that a run printed."""
        path = self.folder / log
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def verdicts(self, name: str) -> dict[str, str]:
        """What must not change of the verdicts on disk, by prediction and materials.

        Raises:
            ValueError: If a record is not whole.
        """
        path = self.folder / "out" / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if path.suffix == ".json":
            records = json.loads(text)["verdicts"] if text else []
        else:
            records = [json.loads(line) for line in text.splitlines()]
        return {
            f"{r['prediction_id']} {r.get('part', '')} {r['materials']['name']}": json.dumps(
                [r[n] for n in NUMBERS]
            )
            for r in records
        }

    def stored(self) -> dict[str, str]:
        """What the sidecar of each measurement says, which is written last; by its place."""
        cache = self.folder / "cache"
        sidecars = cache.glob("[0-9a-f]*/*.json")
        return {str(p.relative_to(cache)): p.read_text(encoding="utf-8") for p in sidecars}

    def fallen(self, log: str) -> int:
        """How many verdicts a run has printed."""
        return len(FALLEN.findall(self.said(log)))

    def phase(self, log: str, predictions: int) -> str:
        """What a run does now, one of PHASES."""
        said, fallen = self.said(log), self.fallen(log)
        if "session starts" not in said:
            return PHASES[0]
        if not BEGUN.search(said):
            return PHASES[1]
        if not fallen:
            return PHASES[2]
        return PHASES[3] if fallen < predictions else PHASES[4]


def lost(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What was stored before and is gone or another now."""
    gone = [name for name, said in before.items() if now.get(name) != said]
    return [f"stored before, lost now: {', '.join(gone)}"] if gone else []


def how_it_ended(said: str, status: int | None, sent: str) -> str:
    """What a run made of a signal; None is the status of one that still runs."""
    if status == 0 or status is None:
        return HUNG if status is None else WHOLE
    if sent == "KILL":
        return KILLED
    if "session starts" not in said and "/harness/" not in said and "Exit: " not in said:
        return EARLY
    if "Traceback (most recent call last)" in said or "INTERNALERROR" in said:
        return TRACEBACK
    for word, ending in (("report: ", REPORT), ("Interrupt", SENTENCE), ("Exit: ", SENTENCE)):
        if word in said:
            return ending
    return SILENT


def left_running(group: int) -> bool:
    """Whether processes of a session did not end by themselves; they are ended."""
    for _ in range(LEFT * 10):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return True
