"""Runs in processes of their own that have imported everything already: forks of the test's.

A fresh interpreter spends two seconds of the processor on what a run imports, six with torch. That
a run finds its imports by itself is asked where Python is started anew: of an installed copy, on a
terminal, and of workers that send figures.
"""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import pytest
from execnet import gateway_io
from execnet.gateway_base import Popen2IO


def start(work: Callable[[], int], files: Mapping[int, int] = MappingProxyType({})) -> int:
    """Begin `work` in a copy of this process, which ends with its number; the copy's process id.

    Args:
        work: What it does.
        files: The open files that are its 0, 1 and 2; without a 0 there is nothing to read, and
            without 1 and 2 it writes where this process does. It has no others.
    """
    with warnings.catch_warnings():
        # The copy has none of the threads of a worker of pytest, and waits for none.
        warnings.simplefilter("ignore", DeprecationWarning)
        copy = os.fork()
    return copy or _be_the_copy(work, files)


def _be_the_copy(work: Callable[[], int], files: Mapping[int, int]) -> NoReturn:
    status = 70
    try:
        for number, file in {0: os.open(os.devnull, os.O_RDONLY), **files}.items():
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, closefd=False) for n in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)  # OpenMP's threads are not in a copy either
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """What `pytester.runpytest_subprocess` returns."""
    return result_of(lambda: run_pytest(*options), pytester.path)


def result_of(work: Callable[[], int], folder: Path) -> pytest.RunResult:
    """How `work` ended in a copy of this process, and what it wrote, which is kept in a folder."""
    began = time.monotonic()
    named = [folder / f"written-{began}-{n}" for n in (1, 2)]
    with named[0].open("wb") as out, named[1].open("wb") as err:
        copy = start(work, {1: out.fileno(), 2: err.fileno()})
        status = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    lines = [path.read_text(encoding="utf-8").splitlines() for path in named]
    return pytest.RunResult(status, *lines, time.monotonic() - began)


def run_pytest(*options: str) -> int:
    """A run in this process, a copy, as `python -m pytest` begins it."""
    sys.path.insert(0, str(Path.cwd()))
    return int(pytest.main([*map(str, options)]))


def run_module(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` returns of `python -m MODULE ARGUMENTS`, all it wrote as text."""
    _, m, module, *arguments = command
    assert m == "-m"

    def work() -> int:
        sys.argv[1:] = arguments
        sys.modules.pop(module, None)  # or it would be there twice, which is a warning
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return 0

    with tempfile.TemporaryDirectory() as folder:
        ended = result_of(work, Path(folder))
    return subprocess.CompletedProcess(command, ended.ret, str(ended.stdout), str(ended.stderr))


class Worker(Popen2IO):
    """A worker of xdist, forked from the run that wants it; execnet would start Python anew."""

    def __init__(self, args: Any, execmodel: Any) -> None:
        (theirs, to_it), (from_it, its) = os.pipe(), os.pipe()
        self.pid = start(lambda: _serve(args[-1]), {0: theirs, 1: its})
        os.close(theirs), os.close(its)
        ends = os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb")
        super().__init__(*ends, execmodel=execmodel)

    def wait(self) -> int | None:
        with suppress(ChildProcessError):
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _serve(program: str) -> int:
    exec(program, {"__name__": "__main__"})  # what execnet passes to `python -c`
    return 0


def fork_workers(patched: pytest.MonkeyPatch) -> None:
    """Let runs here, and those that they fork, fork their workers."""
    patched.setattr(gateway_io, "Popen2IOMaster", Worker)
