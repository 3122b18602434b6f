"""What the cluster was asked for and has not answered yet; what is lost is asked for again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.fleet.asking import is_there
from harness.fleet.cluster import Cluster, Died
from harness.fleet.rows import Row
from harness.fleet.table import Table
from harness.fleet.work import Needs

PATIENCE = 0.5  # seconds
RETRIES = 3  # of a task that died of something outside of it


@dataclass(frozen=True, slots=True)
class Asked:
    """A function for a row, and how often it died of something outside of it."""

    row: Row
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    needs: Needs
    died: int = 0


class Waiting:
    """Functions that wait or run."""

    def __init__(self, cluster: Cluster, table: Table) -> None:
        self._cluster, self._table = cluster, table
        self._handles: dict[Any, Asked] = {}
        self._said: set[str] = set()  # who waits for a machine that is not there

    def __bool__(self) -> bool:
        return bool(self._handles)

    def ask(self, asked: Asked) -> None:
        """Give a function to the cluster."""
        handle = self._cluster.submit(asked.function, *asked.arguments, needs=asked.needs)
        self._handles[handle] = asked

    def came(self) -> list[tuple[Row, Any]]:
        """What ended within a moment: rows, and their results or a last `Died`."""
        ready = self._cluster.ready(self._handles, PATIENCE)
        if not ready:
            self._say_who_waits()
        found = []
        for handle, result in ready:
            asked = self._handles.pop(handle)
            if isinstance(result, Died) and result.again and asked.died < RETRIES:
                self._ask_again(asked, result)
            else:
                found.append((asked.row, result))
        return found

    def _ask_again(self, asked: Asked, death: Died) -> None:
        """A task that was lost with its process or machine goes on from what is stored."""
        row, died = asked.row, asked.died + 1
        what = f"{row.label}, {row.now.stage if row.now else 'look'}"
        reason = death.reason.rstrip(".")
        self._table.say(f"{what}: {reason}; it runs again ({died} of {RETRIES})")
        self.ask(replace(asked, died=died))

    def _say_who_waits(self) -> None:
        """A machine that left may have been the only one for a task; another may come."""
        machines = self._cluster.machines()
        for asked in self._handles.values():
            label, needs = asked.row.label, asked.needs
            if label not in self._said and not is_there(needs, machines):
                self._said.add(label)
                self._table.say(
                    f"{label} waits: no machine is left with {needs.cpus} processors, {needs.gpus} "
                    f"GPUs, {needs.memory / 1e9:.1f} GB; add one, or stop and run again"
                )
