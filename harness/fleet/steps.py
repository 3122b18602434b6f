"""Checkpoints of one training: which there are, and which of them are asked for."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.foreign import why
from harness.models.specs import ModelError

PLACE = "{step}"
FORM = re.compile(r"(\d+)\s*\.\.\s*(\d+)\s+(log\s+)?(\d+)")
EXPECTED = '"all", a list of numbers, or "1000..143000 log 10" (without log: evenly spaced)'
MANY = 10_000  # steps of one entry


def chosen(asked: Any, there: Sequence[int] | None, model: str) -> list[int]:
    """The steps that are asked for, ascending.

    Args:
        asked: `"all"`, `"1000..143000 log 10"`, or a list of steps.
        there: The steps that there are; None where nobody can say, and a list is needed.
        model: As the entry has it, for messages.

    Raises:
        ModelError: If it is none of these, or there are no such steps.
    """
    if isinstance(asked, list) and asked and all(type(s) is int and s >= 0 for s in asked):
        absent = [s for s in asked if there is not None and s not in there]
        if absent:
            raise ModelError(f"there is no step {absent[0]} of {model}: {_range(there or ())}.")
        return sorted(set(asked))
    form = FORM.fullmatch(asked.strip()) if isinstance(asked, str) else None
    if form is None and asked != "all":
        raise ModelError(f"steps is {asked!r}, expected {EXPECTED}.")
    if there is None:
        raise ModelError(f"the hub does not say which steps {model} has: give steps as a list.")
    if not there:
        raise ModelError(f"there is no checkpoint {model}: check the path.")
    return sorted(there) if form is None else _nearest(form, there, model)


def _nearest(form: re.Match[str], there: Sequence[int], model: str) -> list[int]:
    """The steps that are nearest to the asked ones; each once."""
    first, last, count, log = int(form[1]), int(form[2]), int(form[4]), bool(form[3])
    within = [s for s in there if first <= s <= last]
    if last < first or not 1 <= count <= MANY or (log and first < 1):
        raise ModelError(f"steps is {form[0]!r}, expected {EXPECTED}.")
    if not within:
        raise ModelError(f"there is no step from {first} to {last} of {model}: {_range(there)}.")
    place = math.log if log else float
    low, high = place(first), place(last)
    wanted = [low + (high - low) * at / max(count - 1, 1) for at in range(count)]
    near = (min(within, key=lambda s: abs(place(s) - at)) for at in wanted)
    return sorted(set(near))


def _range(there: Sequence[int]) -> str:
    if not there:
        return "there are none"
    return f"there are {len(there)}, from {min(there)} to {max(there)}"


def available(model: str, folder: Path) -> list[int] | None:
    """Every step of a model whose name has `{step}`; None if the hub does not say.

    Args:
        model: A path, absolute or from `folder`, or `hub/id@revision-{step}`.
        folder: Where the file lies.
    """
    repository, at, revision = model.partition("@")
    if at and PLACE in revision and PLACE not in repository and not (folder / repository).exists():
        return _on_hub(repository, revision)
    pattern = str(folder / Path(model).expanduser())
    top = Path(pattern.partition(PLACE)[0]).parent
    found = _numbers(pattern, (str(p) for p in top.rglob("*") if p.is_dir()))
    return sorted(found)


def _on_hub(repository: str, revision: str) -> list[int] | None:
    from huggingface_hub import HfApi  # noqa: PLC0415 - only hub models need it

    try:
        refs = HfApi().list_repo_refs(repository)
    except OSError:
        return None  # no network; an entry with a list of steps needs none
    except Exception as error:  # of many kinds
        raise ModelError(f"{repository} has no list of revisions: {why(error)}.") from error
    return sorted(_numbers(revision, [ref.name for ref in (*refs.branches, *refs.tags)]))


def _numbers(pattern: str, names: Any) -> set[int]:
    """The numbers that stand in the place of `{step}`."""
    form = re.compile(
        r"(\d+)".join(map(re.escape, pattern.split(PLACE, 1))).replace(re.escape(PLACE), r"\1")
    )
    return {int(found[1]) for name in names if (found := form.fullmatch(name))}
