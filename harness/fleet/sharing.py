"""A store at a URL, for machines that share no folder: each works at home, then merges.

The URL is any that fsspec knows (`s3://`, `gs://`, `file://`). Below it lie `store`, laid out as
the store on a disk, and `tasks`, a folder for each task that is whole. A file is put under another
name and moved, and what says that others are whole comes last: a shard's sidecar, a task's
`task.json`. So whoever is killed leaves a file too many and no wrong one.
"""

import hashlib
import re
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.fleet.entries import FleetError
from harness.fleet.work import DONE, Ended, KilledError, Task, carry_out, ended
from harness.foreign import parsed, why
from harness.store.store import user_cache

STORE, TASKS, MERGED = "store", "tasks", "merged"


def home_of(url: str) -> Path:
    """Where this machine works before it merges: a folder of its own for each URL."""
    return user_cache() / "fleet" / hashlib.sha256(url.encode()).hexdigest()[:16]


def carry_out_at_home(task: Task) -> Ended:
    """`carry_out` with folders of this machine alone, whose content is merged in the end.

    Raises:
        KilledError: If the run was killed, or the URL does not take what it made.
    """
    shared, home = Shared(task.url), home_of(task.url)
    cache = f"--cache-dir={home / STORE}"
    here = replace(task, folder=home / TASKS / task.folder.name, options=(*task.options, cache))
    made = shared.fetched(here) or carry_out(here)
    if made.fault:
        return replace(made, task=task)
    try:
        differing = shared.merge_store(home)
        shared.merge_task(here.folder)
    except Exception as error:  # of any kind: of a network, or of the library that speaks to it
        raise KilledError(f"{task.url} did not take its results ({why(error)})") from error
    note = ""
    if differing:
        note = (
            f"{task.name}: {len(differing)} parts were measured otherwise than {task.url} has them "
            f"under the same name, {differing[0]} first; those that it has stay."
        )
    return replace(made, task=task, note=note)


class Shared:
    """What lies at a URL.

    Attributes:
        url: Without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        """Open it.

        Raises:
            FleetError: If nothing here can read such a URL.
        """
        self.url = url.rstrip("/")
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra

            self._files, self._root = url_to_fs(self.url)
        except Exception as error:  # a library that is missing, credentials, a wrong protocol
            raise FleetError(
                f"store {url} cannot be opened ({why(error)}): install what reads it (s3fs for s3, "
                "gcsfs for gs), or give a folder."
            ) from error

    def check(self) -> None:
        """Write a file and take it away.

        Raises:
            FleetError: If that fails: better now than after the first run.
        """
        path = f"{self._root}/{uuid.uuid4().hex}.tmp"
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(path, b"")
            self._files.rm_file(path)
        except Exception as error:
            raise FleetError(f"store {self.url} cannot be written ({why(error)}).") from error

    def fetched(self, task: Task) -> Ended | None:
        """The task, if it is whole here or there; it is here then.

        Raises:
            FleetError: If it cannot be brought here.
        """
        try:
            self._files.invalidate_cache()  # other machines write there
            return ended(task) or (self._fetch(task.folder) and ended(task)) or None
        except Exception as error:
            raise FleetError(f"{self.url} does not give its results ({why(error)}).") from error

    def _fetch(self, folder: Path) -> bool:
        there = f"{self._root}/{TASKS}/{folder.name}"
        if not self._files.exists(f"{there}/{DONE}"):
            return False
        coming = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
        try:
            for path in self._files.find(there):
                if not path.endswith(".tmp"):
                    target = coming / path[len(there) + 1 :]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._files.get_file(path, str(target))
            with suppress(OSError):  # another was faster
                coming.rename(folder)
        finally:
            shutil.rmtree(coming, ignore_errors=True)
        return True

    def merge_task(self, folder: Path) -> None:
        """Put a task there, unless it is there: its name has all that it depends on."""
        there = f"{self._root}/{TASKS}/{folder.name}"
        if self._files.exists(f"{there}/{DONE}"):
            return
        files = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
        self._put(folder, there, sorted(files, key=lambda path: (path.name == DONE, path)))

    def merge_store(self, home: Path) -> list[str]:
        """Put what was measured at home there; names whose content there is another, and stays.

        What was compared once is noted at home and not asked for again.
        """
        self._files.invalidate_cache()
        differing, entries = [], self._names(f"{self._root}/{STORE}")
        for folder in sorted((home / STORE).iterdir()) if (home / STORE).is_dir() else ():
            if not re.fullmatch("[0-9a-f]{32}", folder.name):
                continue
            there, noted = f"{self._root}/{STORE}/{folder.name}", home / MERGED / folder.name
            known = noted.read_text("utf-8").split() if noted.is_file() else []
            known = known if folder.name in entries else []
            new = sorted(p for p in folder.glob("*.json") if p.name not in known)
            names = self._names(there) if new and folder.name in entries else set()
            for sidecar in new:
                if sidecar.name not in names:
                    arrays = sidecar.with_suffix(".safetensors")
                    self._put(folder, there, [*([arrays] if arrays.exists() else []), sidecar])
                elif _sha256(sidecar.read_bytes()) != _sha256(
                    self._files.cat_file(f"{there}/{sidecar.name}")
                ):
                    differing.append(f"{folder.name}/{sidecar.name}")
            if new:
                write_text(noted, "\n".join([*known, *(p.name for p in new)]))
        return differing

    def _names(self, folder: str) -> set[str]:
        try:
            found = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return set()
        return {path.rstrip("/").rpartition("/")[2] for path in found}

    def _put(self, folder: Path, there: str, files: Iterable[Path]) -> None:
        for path in files:
            target = f"{there}/{path.relative_to(folder).as_posix()}"
            temporary = f"{target}.{uuid.uuid4().hex[:12]}.tmp"
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), temporary)
            self._files.mv(temporary, target)


def _sha256(sidecar: bytes) -> Any:
    """Of the arrays or the value that a sidecar describes."""
    return parsed(sidecar).get("sha256")
