"""Models that a script writes where they are needed, so that their weights need not ship.

What is known of such a model, and its configuration, lie in `fixtures/organisms`. The weights are
written into a folder whose name holds a hash of the recipe, when the model is loaded; until then
the recipe stands for them, so that a run whose verdicts are all stored writes nothing.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from harness.files import DATA, import_path
from harness.models.specs import ModelError, ModelSpec

SCRIPT = "fixtures.training.written"
WHOLE = "circuit.json"  # beside the weights, written last
TABLES = (".toml", ".csv", ".txt")  # of prompts, which organisms know


def recipe_hash() -> str:
    """SHA-256 over the scripts that write organisms, and over the facts that they write."""
    return _hash_of(DATA)


@cache
def _hash_of(data: Path) -> str:
    facts = (path for path in (data / "prompts").rglob("*") if path.suffix in TABLES)
    digest = hashlib.sha256()
    for path in (*sorted((data / "fixtures" / "training").glob("*.py")), *sorted(facts)):
        digest.update(f"{path.relative_to(data).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def on_disk(spec: ModelSpec, cache_dir: Path) -> ModelSpec:
    """The model with its weights, which are written if they are not there.

    Raises:
        ModelError: If they cannot be written.
    """
    if not spec.recipe:
        return spec
    return replace(spec, path=str(written_organism(spec.recipe, cache_dir)))


def organism_folder(work: Path, name: str) -> Path:
    """Where an organism is written; its recipe is part of the name, so that an old one is left."""
    return work / "organisms" / f"{name}-{recipe_hash()[:8]}"


def written_organism(name: str, work: Path) -> Path:
    """An organism's folder, written if it is not there.

    Raises:
        ModelError: If there is no such organism, or the folder cannot be written.
    """
    folder = organism_folder(work, name)
    if (folder / WHOLE).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{name}-") as aside:
            _write_organism(name, Path(aside) / name)
            with suppress(OSError):  # another worker was faster: its folder is as good
                (Path(aside) / name).replace(folder)
    except OSError as error:
        raise ModelError(
            f"the organism {name!r} could not be written to {folder}: {error}"
        ) from error
    return folder


def _write_organism(name: str, folder: Path) -> None:
    """In a process of its own: what writes organisms is no part of the suite.

    Raises:
        ModelError: If there is no such organism.
    """
    ours = {**os.environ, "PYTHONPATH": import_path()}
    if fault := fault_of(SCRIPT, [name, "--out", str(folder.resolve())], ours):
        raise ModelError(f"the organism {name!r} could not be written: {fault}")


def fault_of(script: str, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The last line of a script that fails, run in a process of its own; empty if it does not."""
    done = subprocess.run(
        [sys.executable, "-m", script, *arguments],
        cwd=DATA,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
    return last[0] if done.returncode else ""
