"""Contrasts by relation: the unit is the question type, not the prompt.

A model may treat questions about capitals unlike questions about colours whatever the process.
So a contrast is taken within each relation, between prompts of the same stories, and what counts
is that it holds over relations (Clark 1973, Yarkoni 2022: prompts of one relation are no sample of
questions).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from harness.findings.processes.kinds import cell_of
from harness.materials.items import Item


@dataclass(frozen=True, slots=True)
class Questions:
    """Prompts of one set with what is asked of them, and one number a prompt for every place.

    Attributes:
        values: Of every place (a metric of a layer or head, a neuron).
        asked: The cell of each prompt.
        relation, split: Of each prompt.
        block: Prompts that share their stories and answers.
    """

    values: Float[np.ndarray, "prompt place"]
    asked: np.ndarray
    relation: np.ndarray
    split: np.ndarray
    block: np.ndarray

    @classmethod
    def of(cls, values: Float[np.ndarray, "prompt place"], items: Sequence[Item]) -> "Questions":
        """The prompts that state relation, source and steps."""
        kept = [at for at, item in enumerate(items) if cell_of(item) and item.relation]
        chosen = [items[at] for at in kept]
        return cls(
            values=values[kept],
            asked=np.array([cell_of(item) for item in chosen]),
            relation=np.array([item.relation for item in chosen]),
            split=np.array([item.split for item in chosen]),
            block=np.array([item.pair for item in chosen]),
        )

    def rows(self, keep: np.ndarray) -> "Questions":
        """Some of the prompts."""
        return Questions(
            self.values[keep],
            self.asked[keep],
            self.relation[keep],
            self.split[keep],
            self.block[keep],
        )


def relation_contrasts(
    questions: Questions,
    cells: tuple[str, str],
    relations: Sequence[str],
    scale: Float[np.ndarray, " place"] | None = None,
) -> Float[np.ndarray, "relation place"]:
    """The difference of the first cell less the second in each relation: d by relation.

    In units of the SD of prompts of one relation and cell, pooled over these; 0 for a place that
    never varies.

    Args:
        questions: Of one split.
        cells: Their names.
        relations: Each has a block with prompts of both cells.
        scale: The units, if they are known from more prompts than these.
    """
    inside = np.isin(questions.asked, cells) & np.isin(questions.relation, relations)
    found = questions.rows(inside)
    if scale is None:
        scale = sd_within(found, found.asked)
    rows = [_difference(found, relation, cells) for relation in relations]
    return in_units(np.array(rows).reshape(len(relations), -1), scale)


def relations_with(questions: Questions, cells: tuple[str, str]) -> set[str]:
    """Relations that have a block with prompts of both cells."""
    first, second = (
        set(zip(questions.relation[asked], questions.block[asked], strict=True))
        for asked in (questions.asked == cell for cell in cells)
    )
    return {str(relation) for relation, _ in first & second}


def _difference(
    questions: Questions, relation: str, cells: tuple[str, str]
) -> Float[np.ndarray, " place"]:
    """Mean over blocks of the difference within the block, so that stories cancel out."""
    here = questions.relation == relation
    differences = []
    for block in np.unique(questions.block[here]):
        rows = here & (questions.block == block)
        first, second = (questions.values[rows & (questions.asked == cell)] for cell in cells)
        if len(first) and len(second):
            differences.append(first.mean(0, dtype=float) - second.mean(0, dtype=float))
    return np.asarray(np.mean(differences, axis=0))


def exchanged(
    questions: Questions, cells: tuple[str, str], generator: np.random.Generator
) -> np.ndarray:
    """The cell of each prompt, both cells exchanged in blocks that a fair coin chooses."""
    blocks, number = np.unique(questions.block, return_inverse=True)
    coin = generator.random(len(blocks)) < 1 / 2
    swapped = np.where(questions.asked == cells[0], cells[1], cells[0])
    return np.where(coin[number] & np.isin(questions.asked, cells), swapped, questions.asked)


def sd_within(questions: Questions, label: np.ndarray) -> Float[np.ndarray, " place"]:
    """SD of prompts of one relation and label, pooled over these.

    Args:
        questions: Of one split.
        label: Of each of them.
    """
    return pooled_sd(questions.values, _groups(questions.relation, label))


def _groups(*labels: np.ndarray) -> Int[np.ndarray, " prompt"]:
    """A number for each combination of labels."""
    joined = np.array(["\0".join(row) for row in zip(*labels, strict=True)])
    return np.unique(joined, return_inverse=True)[1]


def pooled_sd(
    values: Float[np.ndarray, "prompt place"], group: Int[np.ndarray, " prompt"]
) -> Float[np.ndarray, " place"]:
    """SD within groups, pooled over them; 0 where no group has two prompts."""
    squares, freedom = np.zeros(values.shape[1]), 0
    for number in np.unique(group):
        inside = values[group == number].astype(float)
        squares += np.square(inside - inside.mean(0)).sum(0)
        freedom += len(inside) - 1
    return np.asarray(np.sqrt(squares / max(freedom, 1)))


def in_units(
    values: Float[np.ndarray, "unit place"], scale: Float[np.ndarray, " place"]
) -> Float[np.ndarray, "unit place"]:
    """Values over their scale; 0 for a place without any, which never varies."""
    units = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
    return np.asarray(units)
