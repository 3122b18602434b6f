"""Where a run writes its report: where it can, and where no other run writes now."""

import os
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

FILE = "report.html"
LOCK = ".in-use.lock"


def report_path(typed: str) -> Path:
    """The file of the report; of a folder, report.html in it."""
    path = Path(typed).expanduser()
    is_folder = typed.endswith(("/", os.sep)) or path.is_dir()
    return (path / FILE if is_folder else path).resolve()


def check_writable(report: Path) -> None:
    """Refuse a path that cannot be written, before anything is measured.

    Raises:
        pytest.UsageError: Naming what is in the way.
    """
    there = next(path for path in (report.parent, *report.parent.parents) if path.exists())
    if not there.is_dir():
        problem = f"{there} is a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"{there} cannot be written"
    elif report.exists() and not os.access(report, os.W_OK):
        problem = f"{report} cannot be overwritten"
    elif report.is_dir():
        problem = f"{report} is a folder"
    else:
        return
    raise pytest.UsageError(f"--report {report}: {problem}; give another path.")


def claim(report: Path, config: pytest.Config) -> None:
    """Hold the report's folder until the end of the run: two runs would mix their verdicts.

    The lock lies in the folder, where other users and other machines see it, until the run ends.

    Raises:
        pytest.UsageError: If another run holds it.
    """
    lock = FileLock(report.parent / LOCK)
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise pytest.UsageError(
            f"another run writes to {report.parent} now: wait for it, or give another --report."
        ) from None
    except (OSError, NotImplementedError):
        return  # no locks here: two runs at once are the user's to avoid
    config.add_cleanup(lock.release)
