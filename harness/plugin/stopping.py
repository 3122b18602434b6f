"""Signals: SIGTERM does what Ctrl-C does, and neither interrupts the writing of the report."""

import atexit
import signal
import threading
from functools import cache, partial
from typing import Any

import pytest

ENDS = (signal.SIGTERM, signal.SIGINT)  # of a CI time-out, Slurm, docker stop; of Ctrl-C

handled_key = pytest.StashKey[bool]()


def stop_at_sigterm(config: pytest.Config) -> None:
    """Until the end of the run, let SIGTERM stop it as Ctrl-C does: with a report."""
    if threading.current_thread() is not threading.main_thread():
        return  # Python lets only the main thread set handlers
    if not config.stash.get(handled_key, False):
        config.stash[handled_key] = True
        for each in ENDS:
            before = signal.getsignal(each)
            if before is not None:  # set by Python, so it can be set again
                # Cleanups go from the last to the first: of what a run has, this ends last.
                config.add_cleanup(partial(_set, each, before))
        _set(signal.SIGTERM, signal.default_int_handler)


def let_finish(config: pytest.Config) -> None:
    """From here to the end of the run, which is seconds, pass over what would stop it."""
    if config.stash.get(handled_key, False):
        for each in ENDS:
            _set(each, signal.SIG_IGN)
        _let_python_end()


@cache
def _let_python_end() -> None:
    """Pass over Ctrl-C while Python ends too: all is written, and it would print a traceback."""
    atexit.register(_set, signal.SIGINT, signal.SIG_IGN)


def _set(number: signal.Signals, handler: Any) -> None:
    signal.signal(number, handler)
