"""Twelve checkpoints and a damaged one by one command, whose driver is killed twice.

    python -m benchmarks.fleet_kills --work DIR [--checkpoints DIR] [--kills 2]

Makes the checkpoints (`fixtures.training.checkpoints forgot`, unless they are given), cuts the
weights of a copy off in the middle and writes a fleet file with it among the others. Then the same
command is started again and again: it gets SIGKILL each time some tasks more are whole and another
is at work, and the last time it is left alone. Every attempt at a task is seen by its folder. What
must hold: a task that was whole is never begun again nor written, nothing is left running after a
kill, the damaged checkpoint costs itself alone. Writes results/fleet_kills.json; the exit status
is 1 if something did not hold.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from fixtures.training import checkpoints
from harness.compare.curves import read_fleet_record
from harness.files import import_path, write_text
from harness.fleet.work import DONE
from harness.verdicts.records import read_verdicts

RESULTS = Path(__file__).with_name("results") / "fleet_kills.json"
DAMAGED = "damaged"
FLEET = """\
options = "-k 'test_h1_layers and published' --items 10 --twins 1 --no-controls"
store = "measurements"

[[entry]]
name = "first half"
model = "checkpoints/step-{{step}}"
steps = {first}

[[entry]]
model = "damaged"

[[entry]]
name = "second half"
model = "checkpoints/step-{{step}}"
steps = {second}
"""
LOOKED = 0.1  # seconds between two looks at the folder
SOON, LEFT = 10, 90  # seconds that processes get to end after their driver


@dataclass
class Start:
    """One start of the command.

    Attributes:
        whole: Tasks that were whole when it ended.
        at_work: Tasks that an attempt was at when it was killed.
        lingering: Its processes that had not ended some seconds after the kill.
    """

    seconds: float
    killed: bool
    whole: list[str]
    at_work: list[str]
    lingering: list[str]
    status: int | None
    said: list[str] = field(default_factory=list)


class Scene:
    """The folder of the fleet file, and what is seen in it."""

    def __init__(self, work: Path) -> None:
        self.work, self.tasks = work, work / "reports" / "fleet" / "tasks"
        self.attempts: dict[str, set[str]] = {}
        self.written: dict[str, int] = {}
        self.problems: list[str] = []
        self.family: list[psutil.Process] = []

    def look(self) -> tuple[list[str], list[str]]:
        """Tasks that are whole, and tasks at which an attempt is; notes what is new."""
        whole, at_work = [], []
        for folder in sorted(self.tasks.iterdir()) if self.tasks.is_dir() else ():
            if folder.name.startswith("."):
                task = folder.name[1:].rpartition(".")[0]
                self.attempts.setdefault(task, set()).add(folder.name)
                at_work.append(task)
            elif (folder / DONE).is_file():
                whole.append(folder.name)
                written = (folder / DONE).stat().st_mtime_ns
                if self.written.setdefault(folder.name, written) != written:
                    self.problems.append(f"{folder.name} was whole and was written again")
        both = sorted(set(whole) & set(at_work))
        self.problems += [f"{task} was whole and was begun again" for task in both]
        return whole, at_work

    def start(self, until: int | None) -> Start:
        """The command, killed once so many tasks are whole and one is at work; None: never."""
        before = len(self.look()[0])
        command = [sys.executable, "-m", "harness", "fleet", "fleet.toml"]
        begun = time.monotonic()
        with (self.work / f"start-{before}.txt").open("w+") as log:
            process = subprocess.Popen(
                command, cwd=self.work, stdout=log, stderr=subprocess.STDOUT, env=_environment()
            )
            family: list[psutil.Process] = []
            killed, at_work = False, []
            while process.poll() is None:
                whole, working = self.look()
                if until is not None and len(whole) >= until and working:
                    at_work = working  # who is killed may still take its folder away
                    family = psutil.Process(process.pid).children(recursive=True)
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    killed = True
                time.sleep(LOOKED)
            seconds = round(time.monotonic() - begun, 1)
            _, alive = psutil.wait_procs(family, SOON)
            log.seek(0)
            said = log.read().replace(f"{self.work}/", "").splitlines()
        self.family += alive
        names = sorted(one.name() for one in alive)
        return Start(seconds, killed, self.look()[0], at_work, names, process.returncode, said)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": import_path(), "OMP_NUM_THREADS": "1"}


def prepare(work: Path, given: Path | None) -> None:
    """Checkpoints, a damaged one, and the fleet file."""
    steps = checkpoints.STEPS["forgot"]
    if given is None:
        checkpoints.make("forgot", work / "checkpoints")
    else:
        shutil.copytree(given, work / "checkpoints", dirs_exist_ok=True)
    shutil.copytree(work / "checkpoints" / f"step-{steps[0]}", work / DAMAGED)
    weights = next((work / DAMAGED).glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    half = len(steps) // 2
    text = FLEET.format(first=list(steps[:half]), second=list(steps[half:]))
    write_text(work / "fleet.toml", text)


def judge(scene: Scene, starts: list[Start]) -> list[str]:
    """What did not hold, in words."""
    found = list(dict.fromkeys(scene.problems))
    out = scene.work / "reports" / "fleet"
    models = {v.model.name for v in read_verdicts(out)}
    steps = {f"checkpoints/step-{step}" for step in checkpoints.STEPS["forgot"]}
    if models != steps:
        found.append(f"the report has {sorted(models)}")
    notes = [note for note in read_fleet_record(out).notes if "was not measured" in note]
    if len(notes) != 1 or not notes[0].startswith(DAMAGED):
        found.append(f"sentences of what was not measured: {notes}")
    _, alive = psutil.wait_procs(scene.family, LEFT)
    found += [f"left running: {one.name()}" for one in alive]
    lost = Counter(task for start in starts if start.killed for task in start.at_work)
    for task, attempts in scene.attempts.items():
        if len(attempts) > 1 + lost[task]:
            found.append(f"{task} was begun {len(attempts)} times, interrupted {lost[task]} times")
    return found


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    parser.add_argument("--checkpoints", type=Path, help="made before")
    parser.add_argument("--kills", type=int, default=2)
    options = parser.parse_args()
    work = options.work.resolve()
    prepare(work, options.checkpoints)
    scene, starts = Scene(work), []
    for number in range(1, options.kills + 1):
        starts.append(scene.start(number * 2 * len(checkpoints.STEPS["forgot"]) // 3))
    starts.append(scene.start(None))
    problems = judge(scene, starts)
    made = {
        "starts": [asdict(start) for start in starts],
        "tasks": len(scene.written),
        "attempts": sum(map(len, scene.attempts.values())),
        "begun more than once": {t: len(a) for t, a in scene.attempts.items() if len(a) > 1},
        "problems": problems,
    }
    write_text(RESULTS, json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
