"""Measurements on disk, addressed by everything that they depend on.

An entry is a folder named by the hash of its key. It consists of shards of prompts: each is a
safetensors file with a JSON sidecar (key, shape, SHA-256), written under a temporary name and then
renamed, so that a killed run continues after its last shard. A shard that does not match its
sidecar is reported in `Store.damaged` and measured again. Nothing is pickled.
"""

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from harness.store.addresses import address_of, full_key_of
from harness.store.filling import Filling
from harness.store.shards import (
    WRITE_ERRORS,
    DamagedError,
    plain,
    read_shard,
    read_sidecar,
    write_json,
    write_shard,
)

_SHARD = 32  # prompts in a shard: the most that a killed run loses
LARGE = 8 << 30  # bytes; larger arrays are mapped from a temporary file instead of held in memory


def user_cache() -> Path:
    """Where measurements are stored by default."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "recall-or-reasoning"


class Mode(StrEnum):
    """How a store is used: `use` reads and writes, `refresh` measures again, `off` does neither."""

    USE = "use"
    REFRESH = "refresh"
    OFF = "off"


class Store:
    """A content-addressed cache of measurements.

    Attributes:
        root: The folder; created when something is first written.
        damaged: One sentence for each stored part that was damaged and measured again.
        problems: One sentence if the folder cannot be written; the run continues without it.
        measured: Calls of a `measure` function so far.
    """

    def __init__(self, root: Path, mode: Mode | str = Mode.USE, *, large: int = LARGE) -> None:
        """With `refresh`, each entry is measured again once in the life of this object."""
        self.root = Path(root)
        self.mode = Mode(mode)
        self.damaged: list[str] = []
        self.problems: list[str] = []
        self.measured = 0
        self._large = large
        self._fresh: set[str] = set()

    def fetch(
        self,
        key: Mapping[str, Any],
        count: int,
        measure: Callable[[slice], Mapping[str, np.ndarray]],
        *,
        shard_size: int = _SHARD,
    ) -> dict[str, np.ndarray]:
        """The arrays of `count` prompts; `measure` is called for the shards that are missing.

        Each array is allocated once and filled shard by shard. A second process that wants the
        same entry waits for the first one to finish instead of measuring twice.

        Args:
            key: Everything that the numbers depend on, as plain JSON values.
            count: Number of prompts: the length of every array's first axis.
            measure: Arrays by name for a range of prompts; not called on a full hit.
            shard_size: Prompts in a shard; another size makes another entry.

        Raises:
            ValueError: If `count` or `shard_size` is below one, or `measure` returns arrays of the
                wrong length, of another shape than the shards before, or not of numbers.
        """
        if count < 1 or shard_size < 1:
            raise ValueError(f"count {count} and shard_size {shard_size} must be at least 1")
        shards = [slice(i, min(i + shard_size, count)) for i in range(0, count, shard_size)]
        full_key = full_key_of(key, count=count, shard_size=shard_size)
        folder = self.root / address_of(full_key)
        filling = Filling(count, self._allocate)

        def read(number: int) -> bool:
            arrays = read_shard(folder, number)
            if arrays is None:
                return False
            try:
                filling.put(shards[number], arrays)
            except ValueError as error:
                raise DamagedError(str(error)) from None
            return True

        def make(number: int, keep: bool) -> None:
            arrays = {k: plain(k, v) for k, v in measure(shards[number]).items()}
            filling.put(shards[number], arrays)
            if keep:
                self._keep(lambda: write_shard(folder, number, full_key, arrays))

        self._complete(folder, range(len(shards)), read, make)
        return filling.arrays

    def fetch_json(
        self, key: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """A small result of plain JSON values; `measure` is called if it is not stored.

        The first and every later call return the same thing: tuples come back as lists.
        """
        full_key = full_key_of(key, json=True)
        folder = self.root / address_of(full_key)
        result: dict[str, Any] = {}

        def read(_: int) -> bool:
            text = read_sidecar(folder / "result.json")
            if text is not None:
                result.update(json.loads(text))
            return text is not None

        def make(_: int, keep: bool) -> None:
            text = json.dumps(dict(measure()))
            result.update(json.loads(text))
            if keep:
                self._keep(lambda: write_json(folder / "result.json", full_key, text))

        self._complete(folder, range(1), read, make, "result")
        return result

    def size(self) -> int:
        """Bytes in the entries that can be read."""
        size = 0
        for entry in self.entries():
            with suppress(OSError), os.scandir(entry) as files:  # another user's, or taken away
                size += sum(file.stat().st_size for file in files if file.is_file())
        return size

    def entries(self) -> list[Path]:
        """The folders of all entries, also of those that are not complete."""
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as there:  # tens of thousands, of which few are looked at
            return [self.root / e.name for e in there if re.fullmatch("[0-9a-f]{32}", e.name)]

    def _complete(
        self,
        folder: Path,
        parts: Iterable[int],
        read: Callable[[int], bool],
        make: Callable[[int, bool], None],
        what: str = "shard {}",
    ) -> None:
        """Read what is stored and make the rest.

        Reading needs no lock. What looks damaged without the lock may still be written by another
        process, so it is checked again under the lock.
        """
        trusted = self.mode is Mode.USE or folder.name in self._fresh
        missing = [part for part in parts if not (trusted and _readable(read, part))]
        if not missing:
            return
        with self._locked(folder) as keep:
            if keep and not trusted:
                self._keep(lambda: _empty(folder))
            for part in missing:
                damage = ""
                try:
                    if trusted and read(part):
                        continue
                except DamagedError as error:
                    part_name = what.format(part)
                    damage = f"cache entry {folder.name} {part_name} was damaged ({error})"
                make(part, keep)
                self.measured += 1
                if damage:
                    self.damaged.append(f"{damage}; measured again")
        if self.mode is Mode.REFRESH:
            self._fresh.add(folder.name)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[bool]:
        """Hold the entry's lock; yields whether measurements can be written."""
        if self.mode is Mode.OFF or self.problems:
            yield False
            return
        lock = FileLock(self._lock_path(folder))
        try:
            self._lock_path(folder).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (OSError, NotImplementedError) as error:
            self._give_up(error)
            yield False
            return
        try:
            yield self._keep(lambda: _prepare(folder))
        finally:
            lock.release()

    def _lock_path(self, folder: Path) -> Path:
        return self.root / "locks" / f"{folder.name}.lock"

    def _keep(self, write: Callable[[], None]) -> bool:
        """Write, unless writing failed before; whether it was done."""
        if self.problems:
            return False
        try:
            write()
        except WRITE_ERRORS as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.problems.append(
            f"The cache at {self.root} cannot be written ({reason}): this run's results are "
            "complete, but what it measures from here on is not stored; free space there or name "
            "another folder with --cache-dir."
        )

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An empty array, in memory or, from `large` bytes on, in a temporary file under `root`.

        If there can be no such file, it is in memory too.
        """
        size = math.prod(shape) * dtype.itemsize
        if size < self._large or self.mode is Mode.OFF or not hasattr(os, "posix_fallocate"):
            return np.empty(shape, dtype)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                # Without this a full disk would end the process with a bus error later.
                os.posix_fallocate(file.fileno(), 0, size)
                return np.memmap(file, dtype, "r+", shape=shape)
        except OSError:
            return np.empty(shape, dtype)


def _readable(read: Callable[[int], bool], part: int) -> bool:
    try:
        return read(part)
    except DamagedError:
        return False


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _prepare(folder: Path) -> None:
    """Create the folder and remove what a killed process left; call it under the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.glob("*.tmp"):
        stray.unlink()
