"""Signals: SIGTERM does what Ctrl-C does, and neither interrupts the writing of the report."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

ENDS = (signal.SIGTERM, signal.SIGINT)  # of a CI time-out, Slurm, docker stop; of Ctrl-C


def stop_at_sigterm(config: pytest.Config) -> None:
    """Until the end of the run, let SIGTERM stop it as Ctrl-C does: with a report."""
    _handle((signal.SIGTERM,), signal.default_int_handler, config)


def let_finish(config: pytest.Config) -> None:
    """From here to the end of the run, which is seconds, pass over what would stop it."""
    _handle(ENDS, signal.SIG_IGN, config)


def _handle(
    signals: tuple[signal.Signals, ...],
    handler: Callable[..., Any] | signal.Handlers,
    config: pytest.Config,
) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # Python lets only the main thread set handlers
    for each in signals:
        before = signal.signal(each, handler)
        if before is not None:  # set by Python, so it can be set again
            config.add_cleanup(partial(_set, each, before))


def _set(number: signal.Signals, handler: Any) -> None:
    signal.signal(number, handler)
