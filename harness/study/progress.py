"""How far a run is, for somebody who waits: a bar on a terminal, a line now and then elsewhere."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from tqdm import tqdm

PATIENCE = 1.0  # seconds before a measurement gets a bar: most are quick, or stored
NUMBERS = 48  # columns of a bar and the numbers after it, with the time left
REDRAWN = 0.5  # seconds between two states of a bar
EVERY = 30.0  # seconds between two lines
TELLING = 0.02  # share of a measurement that tells its pace: the first prompt pays for the start
CLEARED = "\r\x1b[K"


@dataclass
class Measurement:
    """Prompts that are being measured.

    Attributes:
        done: Those that are measured and kept.
        begun: How much of the next ones is measured, in prompts.
    """

    what: str
    total: int
    done: int = 0
    begun: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    @property
    def measured(self) -> float:
        """Prompts that are measured, with what is begun."""
        return min(self.done + self.begun, self.total)

    @property
    def text(self) -> str:
        """`activations on geography: 64 of 200 prompts, 1:05 left`."""
        said = f"{self.what}: {self.measured:,.0f} of {self.total:,} prompts"
        return said if self.left is None else f"{said}, {clock(self.left)} left"

    @property
    def left(self) -> float | None:
        """Seconds left; None before so much is measured that it tells the pace."""
        if not self.measured or self.measured < TELLING * self.total:
            return None
        return self.elapsed / self.measured * (self.total - self.measured)


class Progress:
    """Shows how far a run is, from a thread of its own: a measurement may not report for minutes.

    Attributes:
        stream: Where it is shown; None shows nothing.
        bars: Whether the stream is a terminal: each measurement then gets a bar. Elsewhere a line
            says every `EVERY` seconds how far the run is.
        done, total: Predictions.
        now: What is being judged.
        left: Seconds left of the run; None where nobody knows.
    """

    def __init__(self, stream: IO[str] | None = None, *, bars: bool = False) -> None:
        self.stream, self.bars = stream, bars
        self.done, self.total, self.now = 0, 0, ""
        self.left: Callable[[], float | None] = lambda: None
        self._measurement: Measurement | None = None
        self._drawn = False
        self._started = time.monotonic()
        self._lock, self._over = threading.Lock(), threading.Event()

    def start(self) -> None:
        """Begin to show it."""
        if self.stream is not None:
            threading.Thread(target=self._show, name="progress", daemon=True).start()

    def stop(self) -> None:
        """Show nothing any more."""
        with self._lock:
            self._over.set()
            self._clear()

    @contextmanager
    def measuring(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Around a measurement of prompts; calls what it gives with the number of new ones."""
        measurement = self._measurement = Measurement(what, total)

        def advance(number: int) -> None:
            measurement.done += number
            measurement.begun = 0.0

        try:
            yield advance
        finally:
            with self._lock:
                self._measurement = None
                self._clear()

    def begin(self, prompts: float) -> None:
        """More of what is under way is measured: a sweep of every head takes minutes a prompt."""
        if self._measurement is not None:
            self._measurement.begun += prompts

    def say(self, text: str) -> None:
        """A line of its own, at once."""
        with self._lock:
            if self.stream is not None and not self._over.is_set():
                self._clear()
                self._write(f"\n{text}\n")

    @property
    def _left(self) -> str:
        """`, 6:10 left`: no less than of what is being measured."""
        seconds, measured = self.left(), self._measurement
        if seconds is None:
            return ""
        own = measured.left if measured else None
        return f", {clock(max(seconds, own or 0.0))} left"

    def line(self) -> str:
        """`12 of 74 predictions in 2:31, 6:10 left; now mini-qwen, h5: sweep on geography: ...`."""
        so_far = clock(time.monotonic() - self._started)
        run = f"{self.done} of {self.total} predictions in {so_far}{self._left}"
        measured = self._measurement
        now = ", ".join(text for text in (self.now, measured.text if measured else "") if text)
        return f"{run}; now {now}" if now else run

    def _show(self) -> None:
        while not self._over.wait(REDRAWN if self.bars else EVERY):
            with self._lock:
                if self._over.is_set():
                    return
                if self.bars:
                    self._draw()
                else:
                    self._write(f"\n{self.line()}\n")

    def _draw(self) -> None:
        """Draw the bar of a measurement that takes its time, on a line of its own."""
        measured = self._measurement
        if measured is None or measured.elapsed < PATIENCE:
            return
        # A column stays free: a line as wide as the terminal would go on in the next.
        columns = shutil.get_terminal_size().columns - 1
        run = f"{self.done} of {self.total}{self._left}"
        ways = (f"{run}, {self.now}: {measured.what}", f"{run}, {measured.what}", run)
        prefix = next((way for way in ways if len(way) + NUMBERS <= columns), run)
        bar = tqdm.format_meter(
            round(measured.measured),
            measured.total,
            measured.elapsed,
            ncols=columns,
            prefix=prefix,
            unit=" prompts",
        )
        self._write(f"{CLEARED if self._drawn else chr(10)}{bar[:columns]}")
        self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            self._write(CLEARED)
        self._drawn = False

    def _write(self, text: str) -> None:
        assert self.stream is not None
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal is gone: the run goes on without
            self._over.set()


def clock(seconds: float) -> str:
    """`0:05`, `12:31`, `2:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
