"""The order of things: look at every model, ask what it answers, run its claims, look closer."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.compare.curves import FleetRecord, ModelSeries, SeriesPoint, between, curves
from harness.fleet.cluster import Cluster, gpu_memory
from harness.fleet.entries import Fleet, FleetEntry
from harness.fleet.looking import Looked, look
from harness.fleet.rows import CLAIMS, COMPETENCE, Row, cannot_answer, slug
from harness.fleet.table import Table
from harness.fleet.together import renamed
from harness.fleet.work import Ended, Needs, Task, carry_out, ended
from harness.store.store import user_cache
from harness.study.fingerprint import instrument, library_versions
from harness.study.plan import Plan
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME
from harness.verdicts.verdict import Verdict

ASKED = (
    "-k",
    "test_the_model_answers",
    "--criterion=both",
    "--no-controls",
)  # of h0: what a model can answer
PATIENCE = 0.5  # seconds


class FleetRun:
    """A fleet on its way.

    Attributes:
        fleet: What is asked for.
        folder: Where the tasks and the one report lie.
        rows: Every model, in the order of the file.
        bisect: How often each gap in which an outcome flips is halved.
    """

    def __init__(
        self, fleet: Fleet, folder: Path, cluster: Cluster, table: Table, *, bisect: int = 0
    ) -> None:
        self.fleet, self.folder, self.cluster, self.table = fleet, folder, cluster, table
        self.bisect = bisect
        self.store = (fleet.store or user_cache()).resolve()
        self.rows = [Row(entry, point) for entry in fleet.entries for point in entry.points]
        self.faults = {entry.name: entry.fault for entry in fleet.entries if entry.fault}
        self._gpu_bytes = 0
        self._handles: dict[Any, Row] = {}

    def run(self) -> None:
        """Carry out what is not there yet; each row ends with verdicts or a sentence."""
        for name, fault in self.faults.items():
            self.table.say(f"{name}: {fault}")
        if self.cluster.gpus:
            handle = self.cluster.submit(gpu_memory, needs=Needs(gpus=1))
            ((_, found),) = self.cluster.ready([handle], 600) or ((None, 0),)
            self._gpu_bytes = found if isinstance(found, int) else 0
        self._go_through(self.rows)
        for _ in range(self.bisect):
            closer = self._closer()
            if not closer:
                break
            self.rows += closer
            self._go_through(closer)

    def _go_through(self, rows: Sequence[Row]) -> None:
        for row in rows:
            options = self._options(row)
            twins = value_of(options, "--twins", str(Plan().twins))
            dtype, chat = value_of(options, "--dtype", "auto"), "--chat-template" in options
            asked = (row.point.model, dtype, int(twins) if twins.isdigit() else 1, chat, self.store)
            self._handles[self.cluster.submit(look, *asked, needs=Needs())] = row
        while self._handles:
            for handle, result in self.cluster.ready(self._handles, PATIENCE):
                self._take(self._handles.pop(handle), result)
            self.table.draw(self.rows)

    def _take(self, row: Row, result: Any) -> None:
        """Go on with a row after what it waited for."""
        made = None
        if isinstance(result, Looked):
            self._looked(row, result)
        elif isinstance(result, Ended):
            made, row.now = result, None
            if result.fault:
                row.fault = result.fault
            else:
                row.ended[result.task.stage] = result
                self._next(row)
        else:  # an error of Ray: the task died, whatever was tried
            row.now, row.fault = None, f"its task died: {' '.join(str(result).split())[:300]}"
        if made is not None or row.over:
            self.table.done(row, self.rows, made)

    def _looked(self, row: Row, looked: Looked) -> None:
        row.looked, row.fault = looked, looked.fault
        if row.fault:
            return
        first = next((r for r in self.rows if r is not row and self._alike(r, row)), None)
        if first is not None:
            row.same_as = first.label
            return
        self._next(row)

    def _alike(self, other: Row, row: Row) -> bool:
        """Whether another row is, or will be, measured with this one's identity and options."""
        if other.looked is None or row.looked is None or other.same_as or other.fault:
            return False
        same = other.looked.identity == row.looked.identity
        return same and other.entry.options == row.entry.options

    def _next(self, row: Row) -> None:
        """Give the row's next task to the cluster; one that is whole already is taken as it is."""
        if COMPETENCE in row.ended and CLAIMS not in row.ended:
            found = row.verdicts()
            if found and all(v.outcome is Outcome.NOT_MEASURED for v in found):
                row.fault = found[0].reason
                return
            row.unable = cannot_answer(found)
        if row.over:
            return
        stage = CLAIMS if COMPETENCE in row.ended else COMPETENCE
        needs = self._needs(row)
        if isinstance(needs, str):
            row.fault = needs
            return
        task = self._task(row, stage, needs)
        made = ended(task)
        if made is not None:
            row.ended[stage] = made
            self._next(row)
            return
        row.now = task
        self._handles[self.cluster.submit(carry_out, task, needs=needs)] = row

    def _needs(self, row: Row) -> Needs | str:
        """What a run asks for; a sentence if no machine has it."""
        assert row.looked is not None
        memory, most = row.looked.memory, self.cluster.largest
        shown = f"it needs {memory / 1e9:.1f} GB"
        if self._gpu_bytes and value_of(self._options(row), "--device", "auto") != "cpu":
            gpus = max(1, math.ceil(memory / self._gpu_bytes))
            if gpus > most.gpus:
                return f"{shown}, and the largest machine has {most.gpus} GPUs of " + (
                    f"{self._gpu_bytes / 1e9:.0f} GB: --twins 0 or --dtype bfloat16 needs less."
                )
            return Needs(1, gpus, memory)
        if memory > most.memory:
            return f"{shown}, and the largest machine has {most.memory / 1e9:.1f} GB of memory."
        share = max(1, self.cluster.cpus // len(self.rows))  # of few models, each computes faster
        return Needs(min(share, most.cpus), 0, memory)

    def _options(self, row: Row) -> tuple[str, ...]:
        return (*self.fleet.options, *row.entry.options)

    def _task(self, row: Row, stage: str, needs: Needs) -> Task:
        """The task, in a folder whose name has a hash of all that its outcome depends on."""
        assert row.looked is not None
        options = (*self._options(row), *(ASKED if stage == COMPETENCE else ()))
        depends = [row.looked.identity, stage, options, instrument(), library_versions()]
        key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
        spread = ("--device-map=auto",) if needs.gpus > 1 else ()
        return Task(
            row.label,
            stage,
            self.folder / "tasks" / f"{slug(row.label)}-{stage}-{key}",
            (*options, *spread, f"--model={row.looked.model}", f"--cache-dir={self.store}"),
            needs,
            Path.cwd(),
        )

    def _closer(self) -> list[Row]:
        """Rows for the steps in the middle of gaps in which an outcome flips."""
        found = []
        for series, entry in zip(self.series(), self._ordered(), strict=True):
            at = {p.step: p for p in entry.between if p.step is not None}
            drawn = curves(series, self.verdicts())
            primary = [c for c in drawn if c.last.primary] or drawn
            steps = {step for curve in primary for step in between(curve, tuple(at))}
            taken = {row.point.step for row in self.rows if row.entry.name == entry.name}
            found += [Row(entry, at[step]) for step in sorted(steps - taken)]
        return found

    def _ordered(self) -> list[FleetEntry]:
        return [entry for entry in self.fleet.entries if entry.axis]

    def series(self) -> list[ModelSeries]:
        """Entries with an order, as the report has them; what was looked at closer too."""
        return [
            ModelSeries(entry.name, entry.axis, tuple(self._points(entry)))
            for entry in self._ordered()
        ]

    def _points(self, entry: FleetEntry) -> Iterable[SeriesPoint]:
        rows = [row for row in self.rows if row.entry.name == entry.name]
        if any(row.point.step is not None for row in rows):
            rows.sort(key=lambda row: row.point.step or 0)
        for row in rows:
            yield SeriesPoint(row.label, row.same_as or row.label, row.point.step)

    def verdicts(self) -> list[Verdict]:
        """Of all models, each prediction once, under the names that the file has for models."""
        found = {}
        for row in self.rows:
            for v in row.verdicts():
                key = (row.label, v.claim_id, v.criterion, v.prediction_id, v.materials.name)
                found[key] = renamed(v, row.label)
        return list(found.values())

    def folders(self) -> list[tuple[str, Path]]:
        """Model and folder of every task that is whole, the claims' last."""
        return [
            (row.label, made.task.folder)
            for stage in (COMPETENCE, CLAIMS)
            for row in self.rows
            if (made := row.ended.get(stage)) and (made.task.folder / JSON_NAME).is_file()
        ]

    def record(self) -> FleetRecord:
        """What the report says besides verdicts: orders, and what was not measured."""
        failed = [*self.faults.items(), *((r.label, r.fault) for r in self.rows if r.fault)]
        notes = [f"{name} was not measured: {fault}" for name, fault in failed]
        notes += [
            f"{row.label} has the weights, tokenizer and configuration of {row.same_as}: they were "
            "measured once."
            for row in self.rows
            if row.same_as
        ]
        notes += [
            f"{row.label} answers nothing above the gate, so its claims were not run: {row.unable}."
            for row in self.rows
            if row.unable
        ]
        return FleetRecord(tuple(self.series()), tuple(notes))


def value_of(options: Sequence[str], name: str, default: str) -> str:
    """The last value of an option, as pytest would read it."""
    found = default
    for at, option in enumerate(options):
        if option.startswith(f"{name}="):
            found = option.partition("=")[2]
        elif option == name and at + 1 < len(options):
            found = options[at + 1]
    return found
