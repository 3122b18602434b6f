"""The chains of names that a story of the cells tells, read back from its sentences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from harness.materials.difficulty import Difficulty
from harness.materials.items import Item, MaterialsError
from harness.materials.relations import FOLDER, Relation, load_relations


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of a story.

    Attributes:
        answer: That it ends in.
        names: From the entity that has the answer to its holder, and on; one for each step.
    """

    answer: str
    names: tuple[str, ...]


@cache  # every reader of a set asks, of the model and of each twin
def chains_told(item: Item, difficulty: Difficulty) -> tuple[Chain, ...]:
    """The chains of an item's story, in the order of their answers.

    Args:
        item: Of a set of cells.
        difficulty: Of the set.

    Raises:
        MaterialsError: If the story does not tell them in the words of the item's relation.
    """
    known = {each.name: each for each in load_relations(FOLDER, difficulty.names)}
    story = item.premises[0].partition("\n")[0] if item.premises else ""
    if item.relation not in known:
        raise MaterialsError(f"prompt {item.id!r}: {item.relation!r} is no relation of the suite.")
    relation = known[item.relation]
    answers = sorted({item.answer, *item.distractors})
    there = {*re.findall(r"\w+", story)}
    names = [[n for n in some if n in there] for some in _names(relation, difficulty.steps)]
    return tuple(_chain(relation, story, answer, names, item.id) for answer in answers)


def _names(relation: Relation, steps: int) -> list[Sequence[str]]:
    """Names that may stand at each place of a chain."""
    return [relation.names, *(link.names for link in relation.links[: steps - 1])]


def _chain(
    relation: Relation, story: str, answer: str, names: Sequence[Sequence[str]], of: str
) -> Chain:
    chain = [answer]
    for level, some in enumerate(names):
        found = [name for name in some if _told(relation, level, name, chain[-1]) in story]
        if len(found) != 1:
            raise MaterialsError(
                f"prompt {of!r}: {len(found)} names of its story lead to {chain[-1]!r} in the "
                "words of its relation; expected 1, as the suite's own stories have."
            )
        chain += found
    return Chain(answer, tuple(chain[1:]))


def _told(relation: Relation, level: int, name: str, leads_to: str) -> str:
    if level:
        return relation.lead(level, name, leads_to)
    return relation.state(name, leads_to)
