"""The constants that a verdict depends on beside those of its hypothesis file: the suite's own."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

DECIDE = (
    "harness.findings",
    "harness.stats",
    "harness.study.difficulty",
    "harness.verdicts.evidence",
    "harness.verdicts.wording",
)
DRAW = ("plots",)  # last part of the name of a module that only draws
CUT_WORK = ("_SHARD", "CHUNK", "CHUNK_BYTES")  # into pieces: they change the time a run takes
_ASSIGNED = re.compile(r"^(_?[A-Z][A-Z0-9_]*)(?:: [^=\n]+)? = ", re.MULTILINE)


@cache
def suite_constants() -> dict[str, dict[str, Any]]:
    """Upper-case numbers, public and private, of every module that decides, by the module's name.

    Texts are left out: they are names and sentences.
    """
    found = {}
    for module in _modules():
        constants = own_constants(module)
        if constants:
            found[module.__name__] = constants
    return found


def own_constants(module: ModuleType) -> dict[str, Any]:
    """The upper-case numbers that a module sets itself, with those in tuples and mappings."""
    assert module.__file__ is not None
    names = _ASSIGNED.findall(Path(module.__file__).read_text(encoding="utf-8"))
    values = {name: getattr(module, name, None) for name in names if name not in CUT_WORK}
    return {name: value for name, value in sorted(values.items()) if _has_a_number(value)}


def _modules() -> Iterator[ModuleType]:
    for name in DECIDE:
        module = importlib.import_module(name)
        yield module
        inside = pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}.")
        for found in sorted(m.name for m in inside):
            if found.rpartition(".")[2] not in DRAW:
                yield importlib.import_module(found)


def _has_a_number(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_a_number, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_has_a_number, value))
    return isinstance(value, int | float)
