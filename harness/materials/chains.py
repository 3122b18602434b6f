"""The chains of names that a story of the cells tells, read back from its sentences."""

from dataclasses import dataclass

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
    return tuple(_chain(relation, story, answer, difficulty.steps, item.id) for answer in answers)


def _chain(relation: Relation, story: str, answer: str, steps: int, of: str) -> Chain:
    names: list[str] = []
    for level in range(steps):
        options = relation.links[level - 1].names if level else relation.names
        found = [n for n in options if _told(relation, level, n, [answer, *names][-1]) in story]
        if len(found) != 1:
            raise MaterialsError(
                f"prompt {of!r}: {len(found)} names of its story lead to {[answer, *names][-1]!r} "
                "in the words of its relation; expected 1, as the suite's own stories have."
            )
        names += found
    return Chain(answer, tuple(names))


def _told(relation: Relation, level: int, name: str, leads_to: str) -> str:
    if level:
        return relation.lead(level, name, leads_to)
    return relation.state(name, leads_to)
