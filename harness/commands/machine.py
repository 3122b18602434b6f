"""This machine: versions of Python and libraries, devices, free memory and disk."""

import shutil
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from harness.files import DATA

_PACKAGE = "recall-or-reasoning"
PYTHON = ">=3.11"  # if neither pyproject.toml nor the package's metadata says it
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
MEMORY_USED = Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that the project needs.

    Attributes:
        name: On the package index.
        installed: The installed version; None if it is missing.
        asked: The versions that the project requires, such as `>=2.6`.
        pinned: The version in constraints.txt; None if it is not named there.
    """

    name: str
    installed: str | None
    asked: str
    pinned: str | None

    @property
    def works(self) -> bool:
        """Whether the installed version is one of the required ones."""
        return self.installed is not None and SpecifierSet(self.asked).contains(
            self.installed, prereleases=True
        )

    @property
    def as_measured(self) -> bool:
        """Whether it is the version in constraints.txt, with which the suite was measured."""
        public = (self.installed or "").partition("+")[0]  # torch 2.13.0+cpu is 2.13.0
        return self.pinned in (None, public)


def python_asked() -> str:
    """The required versions of Python, such as `>=3.11`."""
    return str(_project().get("requires-python", PYTHON))


def python_works() -> bool:
    """Whether the running Python is one of the required versions."""
    running = ".".join(map(str, sys.version_info[:3]))
    return SpecifierSet(python_asked()).contains(running)


def installed_libraries() -> list[Library]:
    """The libraries that the project depends on, in the order of pyproject.toml."""
    pins = _pins()
    needed = []
    for text in _project().get("dependencies") or requires(_PACKAGE) or ():
        asked = Requirement(text)
        if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
            continue
        name = str(canonicalize_name(asked.name))
        needed.append(Library(name, installed(name), str(asked.specifier), pins.get(name)))
    return needed


def _project() -> dict:
    path = DATA / "pyproject.toml"
    if not path.exists():
        return {}
    project: dict = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return project


def _pins() -> dict[str, str]:
    path = DATA / "constraints.txt"
    if not path.exists():
        return {}
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {str(canonicalize_name(name)): pin for name, _, pin in pairs}


def installed(name: str) -> str | None:
    """The installed version of a library; None if it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can run a model; `free` is its free memory in bytes, None if unknown."""

    name: str
    description: str
    free: int | None


def devices() -> list[Device]:
    """All devices, GPUs first, the CPU last."""
    import torch  # noqa: PLC0415 - seconds to import

    gpus = [
        Device(f"cuda:{i}", torch.cuda.get_device_name(i), torch.cuda.mem_get_info(i)[0])
        for i in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        gpus.append(Device("mps", "Apple GPU, which shares the machine's memory", memory_free()))
    return [*gpus, Device("cpu", f"{torch.get_num_threads()} threads", memory_free())]


def memory_free() -> int:
    """Free memory in bytes: the machine's, or what the container's limit leaves."""
    import psutil  # noqa: PLC0415

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = MEMORY_LIMIT.read_text().strip(), int(MEMORY_USED.read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else max(min(free, int(limit) - used), 0)


def disk_free(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.expanduser().absolute()
    return next(p for p in (folder, *folder.parents) if p.exists())
