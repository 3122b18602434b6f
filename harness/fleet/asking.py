"""What a row asks of the cluster next: its task, and the processors, GPUs and memory for it."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from harness.fleet.looking import Looked
from harness.fleet.rows import COMPETENCE, slug
from harness.fleet.work import Needs, Task
from harness.plugin.options import variables_set
from harness.study.fingerprint import instrument, library_versions

ASKED = (
    "-k",
    "test_the_model_answers",
    "--criterion=both",
    "--no-controls",
)  # of h0: what a model can answer


def needs_of(
    memory: int, options: Sequence[str], machines: Sequence[Needs], gpu_bytes: int, rows: int
) -> Needs | str:
    """What a run asks for; a sentence if no machine has it.

    Args:
        memory: Bytes that the model needs.
        options: Of pytest.
        machines: What there is.
        gpu_bytes: Memory of a GPU; 0 where there is none.
        rows: Models that share the machines.
    """
    shown = f"it needs {memory / 1e9:.1f} GB"
    if gpu_bytes and value_of(options, "--device", "auto") != "cpu":
        gpus, most = max(1, math.ceil(memory / gpu_bytes)), max(m.gpus for m in machines)
        if gpus > most:
            return f"{shown}, and the largest machine has {most} GPUs of " + (
                f"{gpu_bytes / 1e9:.0f} GB: --twins 0 or --dtype bfloat16 needs less."
            )
        return Needs(1, gpus, memory)
    roomy = max(m.memory for m in machines)
    if memory > roomy:
        return f"{shown}, and the largest machine has {roomy / 1e9:.1f} GB of memory."
    share = max(1, sum(m.cpus for m in machines) // rows)  # of few models, each computes faster
    return Needs(min(share, max(m.cpus for m in machines if m.memory >= memory)), 0, memory)


def is_there(needs: Needs, machines: Sequence[Needs]) -> bool:
    """Whether some machine has all of it."""
    return any(
        m.cpus >= needs.cpus and m.gpus >= needs.gpus and (needs.gpus or m.memory >= needs.memory)
        for m in machines
    )


def task_of(
    label: str,
    looked: Looked,
    stage: str,
    needs: Needs,
    options: Sequence[str],
    folder: Path,
    store: Path | str,
) -> Task:
    """The task, in a folder whose name has a hash of all that its outcome depends on.

    `store` is a folder that all machines see, or a URL.
    """
    options = (*options, *(ASKED if stage == COMPETENCE else ()))
    depends = [looked.identity, stage, options, contents_of(options), instrument()]
    depends += [library_versions(), variables_set()]
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    spread = ("--device-map=auto",) if needs.gpus > 1 else ()
    cache = () if isinstance(store, str) else (f"--cache-dir={store}",)
    return Task(
        label,
        stage,
        folder / "tasks" / f"{slug(label)}-{stage}-{key}",
        (*options, *spread, f"--model={looked.model}", *cache),
        needs,
        Path.cwd(),
        store if isinstance(store, str) else "",
    )


def contents_of(options: Sequence[str]) -> dict[str, str]:
    """A hash of every file that options name, such as prompts: it may change under its name."""
    named = sorted({option.rpartition("=")[2] for option in options})
    # `Path.is_file` raises where a `-k` expression is longer than a name may be.
    files = [name for name in named if os.path.isfile(name)]  # noqa: PTH113
    return {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in files}


def value_of(options: Sequence[str], name: str, default: str) -> str:
    """The last value of an option, as pytest would read it."""
    found = default
    for at, option in enumerate(options):
        if option.startswith(f"{name}="):
            found = option.partition("=")[2]
        elif option == name and at + 1 < len(options):
            found = options[at + 1]
    return found
