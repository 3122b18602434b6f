"""Made-up activations on prompts of the cells: effects of process, of relation and of place."""

from dataclasses import replace
from functools import cache

import numpy as np

from harness.activations.extracted import Activations
from harness.findings.processes.kinds import cell_of
from harness.findings.processes.same_process import told_places
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import SHUFFLED, Difficulty
from harness.materials.items import Item, PromptSet
from tests.support.synthetic import noise

WEIGHTS, TWO_STEPS = ("recall", "latent"), ("reasoning", "latent")
RELATION_SD = 2.5  # of what relations differ by: more than a process does, as on real models


@cache
def cells(items: int = 200, name: str = "cells") -> PromptSet:
    """The shipped materials."""
    return draw_cells(name, items, 0, Difficulty(order=SHUFFLED))


def made(
    prompts: PromptSet, *effects, seed: int = 0, relations: float = RELATION_SD
) -> Activations:
    """Noise, a main effect of relation everywhere, and effects in some places.

    Each effect is (array, place, which items, size).
    """
    found = noise(prompts, seed)
    generator = np.random.default_rng(5)
    names = sorted({item.relation for item in prompts.items})
    at = np.array([names.index(item.relation) for item in prompts.items])
    for array in ("layers", "heads", "neurons"):
        values = getattr(found, array)
        shift = relations * generator.standard_normal((len(names), *values.shape[1:]))
        found = replace(found, **{array: values + shift[at].astype(np.float32)})
    for array, place, which, size in effects:
        values = getattr(found, array).copy()
        rows = which(prompts) if callable(which) else asks(prompts, which)
        values[(rows, *place)] += size
        found = replace(found, **{array: values})
    return found


def asks(prompts: PromptSet, cells_wanted: tuple[str, ...]) -> np.ndarray:
    """Which prompts ask in these cells."""
    return np.array([cell_of(item) in cells_wanted for item in prompts.items])


def told_first(prompts: PromptSet) -> np.ndarray:
    """Prompts whose answer is told first in the story."""
    return told_places(prompts.items) == "first"


def in_relation(name: str, cells_wanted: tuple[str, ...]):
    """Prompts of one relation that ask in these cells."""

    def which(prompts: PromptSet) -> np.ndarray:
        def there(item: Item) -> bool:
            return item.relation == name and cell_of(item) in cells_wanted

        return np.array([there(item) for item in prompts.items])

    return which
