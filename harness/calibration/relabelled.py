"""Questions under other labels, so that nothing about processes is left to be found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.findings.processes.kinds import CELLS, cell_of
from harness.materials.items import Item, PromptSet

Relabel = Callable[[PromptSet, np.random.Generator], PromptSet]
_STATES = {"recall": ("weights", 1), "lookup": ("context", 1), "reasoning": ("context", 2)}


def labelled(item: Item, cell: str) -> Item:
    """The same question, said to be of another cell."""
    source, steps = _STATES[cell]
    return replace(item, task=cell, source=source, steps=steps)


def shuffled_cells(prompts: PromptSet, generator: np.random.Generator) -> PromptSet:
    """The three cells change places at random in every block, the questions of a story."""
    orders = {
        pair: dict(zip(CELLS, generator.permutation(CELLS).tolist(), strict=True))
        for pair in prompts.pairs
    }
    return _each(prompts, lambda item: labelled(item, orders[item.pair][cell_of(item)]))


def three_relations(prompts: PromptSet, generator: np.random.Generator) -> PromptSet:
    """Three relations of one cell stand for the three cells, as often as there are relations.

    A unit, in the place of a relation, is such a triple; each relation of a cell is in one at most.
    """
    relations = sorted({item.relation for item in prompts.items})
    units = [
        {(cell, relation): (label, number) for label, relation in zip(CELLS, three, strict=True)}
        for cell in CELLS
        for number, three in enumerate(_threes(generator.permutation(relations).tolist()))
    ]
    chosen = [units[at] for at in generator.permutation(len(units))[: len(relations)]]
    places = {key: (label, f"{key[0]} {n}") for unit in chosen for key, (label, n) in unit.items()}
    kept = prompts.where(lambda item: (cell_of(item), item.relation) in places)

    def placed(item: Item) -> Item:
        label, unit = places[cell_of(item), item.relation]
        # A story asks in several cells, which are now in several units.
        alone = replace(item, relation=unit, pair=f"{item.pair} {cell_of(item)}")
        return labelled(alone, label)

    return _each(kept, placed)


def _threes(names: list[str]) -> list[list[str]]:
    return [names[at : at + 3] for at in range(0, len(names) - 2, 3)]


def _each(prompts: PromptSet, change: Callable[[Item], Item]) -> PromptSet:
    return replace(prompts, items=tuple(map(change, prompts.items)))
