"""What this machine has: libraries against what is asked for, devices, free memory and disk."""

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

PACKAGE = "recall-or-reasoning"
PYTHON = ">=3.11"  # where neither pyproject.toml nor the package's metadata is at hand
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
MEMORY_USED = Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that is needed: what is installed, asked for, and was measured with.

    `installed` is None if it is missing, `pinned` if constraints.txt does not name it.
    """

    name: str
    installed: str | None
    asked: str
    pinned: str | None

    @property
    def works(self) -> bool:
        """Whether the installed version is one that is asked for."""
        return self.installed is not None and SpecifierSet(self.asked).contains(
            self.installed, prereleases=True
        )

    @property
    def as_measured(self) -> bool:
        """Whether it is the version that everything was measured with."""
        public = (self.installed or "").partition("+")[0]  # torch 2.13.0+cpu is 2.13.0
        return self.pinned in (None, public)


def python_asked() -> str:
    """Versions of Python that are asked for, such as >=3.11."""
    return str(_project().get("requires-python", PYTHON))


def python_works() -> bool:
    """Whether this Python is one of them."""
    running = ".".join(map(str, sys.version_info[:3]))
    return SpecifierSet(python_asked()).contains(running)


def libraries() -> list[Library]:
    """Every library the project depends on, in the order it names them."""
    pins = _pins()
    found = []
    for text in _project().get("dependencies") or requires(PACKAGE) or ():
        asked = Requirement(text)
        if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
            continue
        name = str(canonicalize_name(asked.name))
        found.append(Library(name, installed(name), str(asked.specifier), pins.get(name)))
    return found


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
    """Its version, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Device:
    """Something a model can run on, with the bytes that are free on it; None if it cannot tell."""

    name: str
    description: str
    free: int | None


def devices() -> list[Device]:
    """GPUs first, the CPU last."""
    import torch  # noqa: PLC0415 - seconds to import

    found = [
        Device(f"cuda:{i}", torch.cuda.get_device_name(i), torch.cuda.mem_get_info(i)[0])
        for i in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU, which shares the machine's memory", memory_free()))
    return [*found, Device("cpu", f"{torch.get_num_threads()} threads", memory_free())]


def memory_free() -> int:
    """Bytes that a process may still take: the machine's, or what its container is allowed."""
    import psutil  # noqa: PLC0415

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = MEMORY_LIMIT.read_text().strip(), int(MEMORY_USED.read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else max(min(free, int(limit) - used), 0)


def disk_free(folder: Path) -> int:
    """Bytes that are free where a folder lies or would be made."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.expanduser().absolute()
    return next(p for p in (folder, *folder.parents) if p.exists())
