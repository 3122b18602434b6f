"""The folder of the suite's data, and atomic file writes: complete or absent, even after a kill."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def data_folder() -> Path:
    """The folder that holds hypotheses/, prompts/, fixtures/ and reports/templates/.

    In a checkout this is the top of the repository. In an installed copy it is the package itself,
    into which `setup.py` puts them.
    """
    installed = (PACKAGE / "prompts").is_dir()
    return PACKAGE if installed else PACKAGE.parent


DATA = data_folder()
IN_CHECKOUT = DATA != PACKAGE


def import_path() -> str:
    """The `PYTHONPATH` of a process of ours: it finds the data's scripts wherever it starts."""
    return os.pathsep.join(filter(None, (str(DATA), os.environ.get("PYTHONPATH", ""))))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name that becomes `path` if all goes well, and vanishes if not.

    The name is unique over machines that share a folder, and the umask decides who may read the
    file, whatever library wrote it.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask, which can be read only by setting it."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, and its folder if there is none; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
