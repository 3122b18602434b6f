"""Where a run writes its report: where it can, and where no other run writes now."""

import os
import tempfile
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


def check_writable(option: str, file: Path) -> None:
    """Refuse a file that cannot be written, before anything is measured; its folder is made.

    Raises:
        pytest.UsageError: Naming the option and what is in the way.
    """
    folder = file.parent
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        problem = f"{there} is a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"{there} cannot be written"
    elif file.is_dir():
        problem = f"{file} is a folder"
    elif file.exists() and not os.access(file, os.W_OK):
        problem = f"{file} cannot be overwritten"
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return
        except OSError as error:  # below /proc: permissions do not tell
            problem = f"{folder} cannot be written ({error.strerror})"
    raise pytest.UsageError(f"{option} {file}: {problem}; give another path.")


def claim(report: Path, config: pytest.Config) -> None:
    """Hold the report's folder until the end of the run: two runs would mix their verdicts.

    The lock lies in the folder, where other users and other machines see it, until the run ends.

    Raises:
        pytest.UsageError: If another run holds it.
    """
    lock = FileLock(report.parent / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise pytest.UsageError(
            f"another run writes to {report.parent} now: wait for it, or give another --report."
        ) from None
    except (OSError, NotImplementedError):
        return  # no locks here: two runs at once are the user's to avoid
    config.add_cleanup(lock.release)
