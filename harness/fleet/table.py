"""What is seen while a fleet runs: a table on a terminal, a line a task elsewhere."""

import shutil
import time
from collections.abc import Sequence
from typing import IO

from harness.fleet.rows import CLAIMS, COMPETENCE, MARKS, Row
from harness.fleet.work import Ended
from harness.foreign import printable
from harness.study.progress import clock

REDRAWN = 1.0  # seconds
LEGEND = ", ".join(f"{mark} {outcome}" for outcome, mark in MARKS.items())


class Table:
    """Models by claims, and the time that is left."""

    def __init__(self, stream: IO[str], slots: int, *, live: bool) -> None:
        self.stream, self.slots, self.live = stream, max(slots, 1), live
        self.seconds: dict[str, list[float]] = {COMPETENCE: [], CLAIMS: []}
        self._lines, self._drawn = 0, 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self.stream.write(printable(text) + "\n")
        self.stream.flush()

    def done(self, row: Row, rows: Sequence[Row], made: Ended | None = None) -> None:
        """A task of a row ended, or the row did without one."""
        if made is not None and not made.fault:
            self.seconds[made.task.stage].append(made.seconds)
        over = sum(r.over for r in rows)
        said = row.fault or " ".join(f"{c} {t}" for c, t in sorted(row.cells().items()))
        took = f", {made.task.stage} in {clock(made.seconds)}" if made else ""
        self.say(
            f"[{over}/{len(rows)}] {row.label}: {row.state if row.over else 'answered'}{took}"
            f"{'; ' if said else ''}{said}{self.left(rows)}"
        )

    def left(self, rows: Sequence[Row]) -> str:
        """`; 4:10 left`, once a task of each kind that is left has ended."""
        work = 0.0
        for stage, seconds in self.seconds.items():
            waiting = sum(not r.over and stage not in r.ended for r in rows)
            if waiting and not seconds:
                return ""
            work += waiting * (sum(seconds) / len(seconds) if seconds else 0.0)
        return f"; {clock(work / self.slots)} left" if work else ""

    def draw(self, rows: Sequence[Row]) -> None:
        """The table again, on a terminal."""
        if not self.live or time.monotonic() - self._drawn < REDRAWN:
            return
        self._drawn = time.monotonic()
        width, height = shutil.get_terminal_size()
        lines = [line[: width - 1] for line in lines_of(rows)]
        if len(lines) > height - 3:
            lines = [*lines[: height - 4], f"... {len(lines) - height + 4} more"]
        over = sum(r.over for r in rows)
        lines.append(f"{over} of {len(rows)} models{self.left(rows)}   ({LEGEND})"[: width - 1])
        self._clear()
        self.stream.write("\n".join(map(printable, lines)) + "\n")
        self.stream.flush()
        self._lines = len(lines)

    def _clear(self) -> None:
        if self._lines:
            self.stream.write(f"\x1b[{self._lines}A\x1b[J")
            self._lines = 0


def lines_of(rows: Sequence[Row]) -> list[str]:
    """The table: a row a model, a column a claim."""
    cells = [row.cells() for row in rows]
    claims = sorted({claim for of_row in cells for claim in of_row})
    first = max((len(row.label) for row in rows), default=5)
    widths = {c: max(len(c), *(len(of.get(c, "")) for of in cells)) for c in claims}
    head = f"{'model':<{first}}  {'':<14}" + "".join(f"  {c:<{widths[c]}}" for c in claims)
    return [
        head.rstrip(),
        *(
            f"{row.label:<{first}}  {row.state[:14]:<14}"
            + "".join(f"  {of.get(c, '.'):<{widths[c]}}" for c in claims)
            for row, of in zip(rows, cells, strict=True)
        ),
    ]
