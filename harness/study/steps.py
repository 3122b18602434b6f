"""What a model writes where steps come before the answer, and how it is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.activations.extracted import Stored
from harness.materials.items import Item, stands_in
from harness.study.generation import BEFORE, begins

STEPS_VERSION = 2  # raise it when reading changes its meaning
STATED = re.compile(r"\banswer\b[\s*_]*:", re.IGNORECASE)  # also in bold type
# Where a model, after its answer, goes on with a question that it makes up.
NEXT = re.compile(r"\bquestion\b[\s*_]*\d*[\s*_]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Written(Stored):
    """Texts that were written after prompts, read.

    Attributes:
        parsed: 1 if the text ends with `Answer:` and one candidate, and some step stands before it
            (a name of the item's chain, or a candidate), else 0.
        right: 1 if it is parsed, and that is the right one, else 0.
        steps: How many names of the item's chain, from the one after that which is asked about,
            stand in the steps before one is missing; the answer is the last of them.
    """

    parsed: Float[np.ndarray, " prompt"]
    right: Float[np.ndarray, " prompt"]
    steps: Float[np.ndarray, " prompt"]


def read_steps(text: str, candidates: Sequence[str]) -> tuple[str, int | None]:
    """The steps, and the index of the candidate that they end in; None if that is not clear.

    The last `Answer:` before a new question counts, and only what follows it at once. Without
    one, all of the text is steps.

    Args:
        text: What was written after the prompt.
        candidates: The possible answers.
    """
    own = NEXT.split(text, maxsplit=1)[0]
    stated = [*STATED.finditer(own)]
    if not stated:
        return own, None
    return own[: stated[-1].start()], begins(own[stated[-1].end() :].lstrip(BEFORE), candidates, {})


def read(items: Sequence[Item], texts: Sequence[str]) -> Written:
    """The texts written after each item, whose `entities` are its chain."""
    found = np.zeros((3, len(items)), np.float32)
    for row, (item, text) in enumerate(zip(items, texts, strict=True)):
        steps, place = read_steps(text, (item.answer, *item.distractors))
        there = [stands_in(name, steps) for name in item.entities[1:]]
        begun = any(there) or any(stands_in(name, steps) for name in item.distractors)
        parsed = place is not None and begun
        found[:, row] = parsed, parsed and place == 0, [*there, False].index(False)
    return Written(*found)
