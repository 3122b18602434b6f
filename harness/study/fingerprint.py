"""What a run's outcome depends on, as hashes: so that a finished run is known to be good still."""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from harness.files import ROOT

# What can change a verdict; how one is drawn, compared or counted afterwards cannot.
CODE = ("harness", "hypotheses", "fixtures", "prompts")
SUFFIXES = (".py", ".toml", ".csv", ".json")
APART = (
    *("harness/calibration", "harness/report", "harness/compare", "harness/commands"),
    *("fixtures/organisms", "fixtures/published", "fixtures/training"),
    "harness/verdicts/verdict.schema.json",
)
LIBRARIES = ("torch", "transformers", "nnsight", "numpy", "scipy", "scikit-learn")


@cache
def instrument() -> str:
    """SHA-256 of the code and the materials that verdicts come from."""
    digest = hashlib.sha256()
    for path in _files():
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    for name in CODE:
        for path in sorted((ROOT / name).rglob("*")):
            place = str(path.relative_to(ROOT))
            apart = any(place == name or place.startswith(f"{name}/") for name in APART)
            if path.suffix in SUFFIXES and not apart:
                yield path


def libraries() -> dict[str, str]:
    """Versions of those that compute."""
    return {name: version(name) for name in LIBRARIES}
