"""What a run loses that is killed, told to stop or interrupted at random moments of its life.

    python -m benchmarks.kills --work DIR --tries 200 --tries-with-workers 40 --minutes 60

Runs two claims on a tiny untrained model, undisturbed. Then come chains: a run gets a signal at a
random moment, the next run on the same cache and folder goes on where it was stopped and gets one
too, and so on up to ten times. What lies on disk is looked at after each. The last run of a chain
is left alone, and its verdicts must be those of the undisturbed run.

With two workers, every other signal goes to them too. Runs are forked from a process that has made
one already: imports would be most of their life, and nothing can be lost in them. Writes every try
to results/kills.json, goes on where that ends, and prints a table; the exit status is 1 if anything
was lost, wrong or not said.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kills_runs import (
    CLAIMS,
    EARLY,
    ENDINGS,
    FAULTS,
    KILLED,
    OPTIONS,
    PHASES,
    REPORT,
    ROOT,
    WHOLE,
    Place,
    how_it_ended,
    left_running,
    lost,
)
from tests.support import tiny_models

RESULTS = Path(__file__).with_name("results") / "kills.json"
SIGNALS = ("KILL", "TERM", "INT")
LONGER = 1.5  # a run that measures takes longer than one that goes on with what is stored
PATIENCE = 240  # seconds that a run gets to end after a signal
LINKS = 10  # runs of a chain that are disturbed


@dataclass(frozen=True, slots=True)
class Try:
    """One run that was disturbed.

    Attributes:
        chain: Of this signal and number of workers; the runs of a chain share cache and folder.
        link: How many runs of the chain were disturbed before.
        to_all: Whether the signal went to the workers too.
        after: Seconds from its start to the signal.
        during: What it was doing then, one of PHASES.
        kept: Verdicts on disk when it had ended.
        stored: Measurements in the cache then.
        problems: What was lost or wrong, in words.
    """

    sent: str
    workers: int
    chain: int
    link: int
    to_all: bool
    after: float
    during: str
    ended: str
    kept: int
    stored: int
    problems: tuple[str, ...]

    @property
    def disturbed(self) -> bool:
        """Whether the signal came while a run of ours was going on."""
        return self.ended not in (WHOLE, EARLY)


class Trial:
    """An undisturbed run, and chains of runs that are disturbed.

    Attributes:
        seconds: What the last run took that ended by itself.
    """

    def __init__(self, work: Path, workers: int) -> None:
        self.work, self.workers = work, workers
        place = self._place("undisturbed")
        started = time.monotonic()
        process = place.start("run.txt")
        process.join()
        self.seconds = time.monotonic() - started
        if process.exitcode != 0:
            raise RuntimeError(f"the undisturbed run failed:\n{place.said('run.txt')[-2000:]}")
        self.expected = place.verdicts("verdicts.json")

    def _place(self, name: str) -> Place:
        return Place(self.work, self.work / f"{self.workers}-workers" / name, self.workers)

    def chain(self, name: str, chain: int, rng: random.Random) -> list[Try]:
        """Disturb run after run on one cache and folder, then let one end."""
        place, tries = self._place(f"{name}-{chain}"), []
        shutil.rmtree(place.folder, ignore_errors=True)
        for link in range(LINKS):
            after = round(rng.uniform(0, LONGER * self.seconds), 2)
            tries.append(self._disturb(place, name, (chain, link), after))
            if tries[-1].ended == WHOLE:
                break
        problems = (*tries[-1].problems, *self._to_the_end(place, tries[-1].ended == WHOLE))
        tries[-1] = replace(tries[-1], problems=problems)
        if not any(each.problems for each in tries):
            shutil.rmtree(place.folder)
        return tries

    def _disturb(self, place: Place, name: str, number: tuple[int, int], after: float) -> Try:
        """Send a signal so many seconds after a run begins, and look at what is left."""
        chain, link = number
        log, before = f"run-{link}.txt", place.stored()
        to_all = bool(self.workers) and link % 2 == 1
        started, process = time.monotonic(), place.start(log)
        process.join(after)
        during = place.phase(log, len(self.expected))
        if process.exitcode is None:
            send = os.killpg if to_all else os.kill
            send(process.pid, signal.Signals[f"SIG{name}"])
        process.join(PATIENCE)
        ended = how_it_ended(place.said(log), process.exitcode, name)
        if ended == WHOLE:
            self.seconds = time.monotonic() - started  # other work on the machine comes and goes
        problems = [f"ended: {ended}"] if ended in FAULTS else []
        if left_running(process.pid):
            problems.append("processes were left running")
        process.join()
        kept, wrong = self._kept(place, log, ended)
        now = place.stored()
        problems += wrong + lost(before, now)
        at = (chain, link, to_all, after, during)
        return Try(name, self.workers, *at, ended, kept, len(now), tuple(problems))

    def _kept(self, place: Place, log: str, ended: str) -> tuple[int, list[str]]:
        """How many verdicts lie on disk after a run was disturbed, and what is wrong with them."""
        try:
            there = place.verdicts("verdicts.jsonl")
        except ValueError as error:
            # A last line that was torn by kill -9 is left out by whoever reads it.
            return 0, [] if ended == KILLED else [f"verdicts.jsonl: {error}"]
        problems = self._differing(there)
        fallen = place.fallen(log)
        if len(there) < fallen:
            problems.append(f"{fallen} verdicts had fallen, {len(there)} are on disk")
        if ended == REPORT and there.keys() - place.verdicts("verdicts.json").keys():
            problems.append("the report lacks verdicts")  # it may have one that was being written
        return len(there), problems

    def _to_the_end(self, place: Place, has_ended: bool) -> list[str]:
        """What is wrong at the end of a chain, after a run that is left alone."""
        problems, before = [], place.stored()
        if not has_ended:
            started, process = time.monotonic(), place.start("last.txt")
            process.join()
            self.seconds = time.monotonic() - started
            problems += [f"at last: exit status {process.exitcode}"] if process.exitcode else []
            problems += lost(before, place.stored())
        found = place.verdicts("verdicts.json")
        if missing := self.expected.keys() - found.keys():
            problems.append(f"at last: {len(missing)} verdicts are missing")
        if any("measured again" in log.read_text() for log in place.folder.glob("*.txt")):
            problems.append("at last: the cache was damaged")
        left = [*place.folder.rglob("*.parts"), *place.folder.rglob("*.tmp")]
        if left:
            problems.append(f"at last: left behind {', '.join(p.name for p in left)}")
        return problems + self._differing(found)

    def _differing(self, found: dict[str, str]) -> list[str]:
        wrong = [name for name, said in found.items() if self.expected.get(name) != said]
        return [f"other numbers: {', '.join(wrong)}"] if wrong else []


def prepare(work: Path) -> None:
    """Write the model, and make one run in this process, which imports all that is needed."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "tiny").is_dir():
        tiny_models.save(work / "tiny")
    os.environ["PYTHONPATH"] = str(ROOT)  # of workers
    os.chdir(ROOT)
    place, said = Place(work, work / "first", 0), io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(place.arguments())
    if status:
        raise RuntimeError(f"the first run failed:\n{said.getvalue()[-2000:]}")


def table(tries: Sequence[Try]) -> list[dict[str, Any]]:
    """How runs ended, a row for each signal and number of workers."""
    rows = []
    for sent, workers in sorted({(each.sent, each.workers) for each in tries}):
        own = [each for each in tries if (each.sent, each.workers) == (sent, workers)]
        ended, during = Counter(each.ended for each in own), Counter(t.during for t in own)
        row = {"signal": sent, "workers": workers, "chains": len({t.chain for t in own})}
        row |= {"disturbed": sum(each.disturbed for each in own)}
        row |= {kind: ended[kind] for kind in ENDINGS} | {each: during[each] for each in PHASES}
        rows.append({**row, "with problems": sum(bool(each.problems) for each in own)})
    return rows


def write(path: Path, trials: Mapping[int, Trial], tries: Sequence[Try], seed: int) -> None:
    """Write how runs ended, and every try on a line of its own."""
    head = {
        "seed": seed,
        "claims": CLAIMS,
        "options": OPTIONS,
        "seconds of a whole run": {f"{n} workers": round(t.seconds, 1) for n, t in trials.items()},
        "verdicts of a run": len(trials[0].expected),
        "ended": table(tries),
        "columns": [field.name for field in fields(Try)],
    }
    lines = ",\n  ".join(json.dumps(astuple(each)) for each in tries)
    text = json.dumps(head, indent=1).removesuffix("\n}")
    path.write_text(f'{text},\n "tries": [\n  {lines}\n ]\n}}\n', encoding="utf-8")


def read(path: Path, seed: int) -> list[Try]:
    """The tries that were made with this seed."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return [Try(*each) for each in before["tries"]] if before.get("seed") == seed else []


def disturbed(tries: Sequence[Try]) -> Counter[tuple[str, int]]:
    """How many runs were disturbed, by signal and number of workers."""
    return Counter((each.sent, each.workers) for each in tries if each.disturbed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--tries", type=int, default=200, help="of each signal, without workers")
    parser.add_argument("--tries-with-workers", type=int, default=40, help="of each signal")
    parser.add_argument("--minutes", type=float, default=600, help="begin no chain after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    counts = {0: given.tries, 2: given.tries_with_workers}
    work, tries = given.work.resolve(), read(given.output, given.seed)
    prepare(work)
    trials = {workers: Trial(work, workers) for workers, count in counts.items() if count}
    kinds = [(name, workers) for workers in trials for name in SIGNALS]
    while time.monotonic() < end:
        made = disturbed(tries)
        missing = [max(0, counts[kind[1]] - made[kind]) for kind in kinds]
        if not any(missing):
            break
        rng = random.Random(f"{given.seed} {len(tries)}")
        ((name, workers),) = rng.choices(kinds, missing)
        chain = len({t.chain for t in tries if (t.sent, t.workers) == (name, workers)})
        for each in trials[workers].chain(name, chain, rng):
            tries.append(each)
            print(*astuple(each), flush=True)
        write(given.output, trials, tries, given.seed)
    for row in table(tries):
        print(row)
    sys.exit(any(each.problems for each in tries))


if __name__ == "__main__":
    main()
