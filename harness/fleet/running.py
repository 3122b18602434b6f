"""The order of things: look at every model, ask what it answers, run its claims, look closer."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.compare.curves import FleetRecord, ModelSeries, SeriesPoint, between, curves
from harness.fleet.asking import needs_of, task_of, value_of
from harness.fleet.cluster import Cluster, Died, gpu_memory
from harness.fleet.entries import Fleet, FleetEntry, FleetError
from harness.fleet.looking import Looked, look
from harness.fleet.rows import CLAIMS, COMPETENCE, Row, cannot_answer
from harness.fleet.sharing import STORE, Shared, carry_out_at_home, home_of
from harness.fleet.table import Table
from harness.fleet.together import renamed
from harness.fleet.waiting import Asked, Waiting
from harness.fleet.work import Ended, Needs, Task, carry_out, ended
from harness.store.store import user_cache
from harness.study.plan import Plan
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME
from harness.verdicts.verdict import Verdict


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
        self.shared = Shared(fleet.url) if fleet.url else None
        here = home_of(fleet.url) / STORE if fleet.url else user_cache()
        self.store = (fleet.store or here).resolve()
        self.rows = [Row(entry, point) for entry in fleet.entries for point in entry.points]
        self.faults = {entry.name: entry.fault for entry in fleet.entries if entry.fault}
        self._gpu_bytes = 0
        self.waiting = Waiting(cluster, table)

    def run(self) -> None:
        """Carry out what is not there yet; each row ends with verdicts or a sentence."""
        for name, fault in self.faults.items():
            self.table.say(f"{name}: {fault}")
        if any(machine.gpus for machine in self.cluster.machines()):
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
            count = int(twins) if twins.isdigit() else 1
            arguments = (row.point.model, dtype, count, chat, self.store)
            self.waiting.ask(Asked(row, look, arguments, Needs()))
        while self.waiting:
            for row, result in self.waiting.came():
                self._take(row, result)
            self.table.draw(self.rows)

    def _take(self, row: Row, result: Looked | Ended | Died) -> None:
        """Go on with a row after what it waited for."""
        made = None
        if isinstance(result, Looked):
            self._looked(row, result)
        elif isinstance(result, Ended):
            made, row.now = result, None
            if result.note:
                self.table.say(result.note)
            row.fault = result.fault
            if self.shared and not row.fault and not self._whole(row, result.task):
                row.fault = row.fault or f"its results are not at {self.shared.url}."
            if not row.fault:
                row.ended[result.task.stage] = result
                self._next(row)
        else:  # whatever was tried
            row.now, row.fault = None, f"its task died: {result.reason.rstrip('.')}."
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
        assert row.looked is not None
        options, machines = self._options(row), self.cluster.machines()
        memory = row.looked.memory
        needs = needs_of(memory, options, machines, self._gpu_bytes, len(self.rows))
        if isinstance(needs, str):
            row.fault = needs
            return
        task = task_of(
            row.label, row.looked, stage, needs, options, self.folder, self.fleet.url or self.store
        )
        made = self._whole(row, task)
        if made is not None:
            row.ended[stage] = made
            self._next(row)
        elif not row.fault:
            row.now = task
            self.waiting.ask(
                Asked(row, carry_out_at_home if task.url else carry_out, (task,), needs)
            )

    def _whole(self, row: Row, task: Task) -> Ended | None:
        """The task, if it is whole here, or where all machines put their tasks."""
        if self.shared is None:
            return ended(task)
        try:
            return self.shared.fetched(task)
        except FleetError as error:
            row.fault = str(error)
            return None

    def _options(self, row: Row) -> tuple[str, ...]:
        return (*self.fleet.options, *row.entry.options)

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
