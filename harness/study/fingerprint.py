"""Hashes of all that a verdict depends on, to know whether a stored one is still valid."""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from harness.files import DATA, PACKAGE

# Code and data that can change a verdict; drawing, comparing and counting verdicts cannot.
CODE = ("harness", "hypotheses", "prompts")
SUFFIXES = (".py", ".toml", ".csv", ".json")
APART = (
    *("harness/calibration", "harness/report", "harness/compare", "harness/commands"),
    "harness/fleet",
    "harness/verdicts/verdict.schema.json",
    # In an installed copy the data lie in the package; they are counted under their own names.
    *(
        "harness/hypotheses",
        "harness/prompts",
        "harness/fixtures",
        "harness/reports",
        "harness/docs",
    ),
)
_LIBRARIES = ("torch", "transformers", "nnsight", "numpy", "scipy", "scikit-learn")


@cache
def instrument() -> str:
    """SHA-256 of the code and materials that produce verdicts."""
    digest = hashlib.sha256()
    for name, path in _files():
        digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _files() -> Iterator[tuple[str, Path]]:
    """Name and path of each file; the names are the same in a checkout and installed."""
    for top in CODE:
        folder = PACKAGE if top == "harness" else DATA / top
        for path in sorted(folder.rglob("*")):
            name = f"{top}/{path.relative_to(folder).as_posix()}"
            apart = any(name == other or name.startswith(f"{other}/") for other in APART)
            if path.suffix in SUFFIXES and not apart:
                yield name, path


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that compute."""
    return {name: version(name) for name in _LIBRARIES}
