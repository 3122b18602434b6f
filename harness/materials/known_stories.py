"""Stories about known entities: controls of what known against unknown names alone would do.

A *conflict* story contradicts what is known of every entity it tells of, and is asked for what
the text says (lookup) or for what is so (recall). A *neutral* story tells something new of known
entities, and is asked for that (lookup) or for a fact about them (recall). So it gives each entity
the answer of another one, which small models do not follow. A *known* story is easier: its
entities have none of the answers in it, and recall asks about others, which the story names as
often and says nothing of. What is new there is told of an entity's "friend", in the relation's own
words, so that every relation has such stories and both questions have the same words but for
that. Blocks are balanced as those of the cells are; the name that recall asks
about is named in one place in all stories of a block, while its answer is told in every place once.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.materials.cells import (
    TURN,
    Question,
    Story,
    Supply,
    demonstration_plan,
    known_by_answer,
    plan_of_story,
    premise_order,
)
from harness.materials.difficulty import Difficulty
from harness.materials.domains import frames
from harness.materials.items import DISCOVERY, EVALUATION
from harness.materials.relations import Relation

CONFLICT, NEUTRAL, KNOWN = "conflict", "neutral", "known"
KINDS = ("recall", "lookup")
TURNS = {kind: TURN[kind] for kind in KINDS}


def draw_known_block(
    supply: Supply, block: str, difficulty: Difficulty, rng: random.Random, kind: str
) -> list[Story]:
    """A block of stories with both questions; `kind` is `conflict`, `neutral` or `known`."""
    answers = supply.answers(rng, ())
    plan = demonstration_plan(rng, difficulty, TURNS)
    order = premise_order(rng, difficulty, 1)
    away = rng.randrange(1, difficulty.chains)
    drawing = _Drawing(supply, block, kind, tuple(answers), plan, order, away)
    if kind == KNOWN:
        place, first = rng.randrange(difficulty.chains), rng.random() < 0.5
        drawing = replace(drawing, place=place, first=first)
    return [drawing.story(number, rng) for number in range(difficulty.chains)]


def tells_of_others(relation: Relation, chains: int) -> bool:
    """Whether there are entities enough for `known` stories, whichever answers they hold."""
    for half in (DISCOVERY, EVALUATION):
        sizes = sorted(map(len, known_by_answer(relation, half).values()))
        if sum(sizes[:-chains]) < chains:
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What the stories of a block share.

    Attributes:
        away: How many chains on the answer is told that the entity of a chain has.
        place: Of the name that recall asks about, among those that a `known` story says nothing of.
        first: Whether it names them before it tells of the others.
    """

    supply: Supply
    block: str
    kind: str
    answers: tuple[str, ...]
    plan: Sequence[tuple[str, int]]
    order: Sequence[int]
    away: int
    place: int = 0
    first: bool = False

    def story(self, number: int, rng: random.Random) -> Story:
        relation = self.supply.relation
        names = self._names(rng)
        every = [self._told(e, a) for e, a in zip(names["lookup"], self.answers, strict=True)]
        told, named = [every[at] for at in self.order], self._named(names["recall"], number)
        plan = plan_of_story(self.plan, number)
        solved = tuple(self._question(kind, number + turn, names) for kind, turn in plan)
        return Story(
            relation.name,
            self.block,
            number,
            self.supply.split,
            tuple([*named, *told] if self.first else [*told, *named]),
            solved,
            {kind: self._question(kind, number + turn, names) for kind, turn in TURNS.items()},
            {
                kind: self._counterfactual(kind, number + turn, names, solved)
                for kind, turn in TURNS.items()
            },
        )

    def _names(self, rng: random.Random) -> dict[str, list[str]]:
        """The entities that each kind asks about, in the order of the answers they lead to."""
        supply, chains = self.supply, len(self.answers)
        if self.kind == KNOWN:
            told = supply.others(rng, self.answers)
            return {"lookup": told, "recall": [supply.entity(rng, a) for a in self.answers]}
        truths = [self.answers[(chain + self.away) % chains] for chain in range(chains)]
        told = [supply.entity(rng, truth) for truth in truths]
        return {"lookup": told, "recall": [told[(at - self.away) % chains] for at in range(chains)]}

    def _told(self, entity: str, answer: str) -> str:
        """What the story says of an entity that lookup asks about."""
        relation = self.supply.relation
        if self.kind == NEUTRAL:
            return relation.state_neutral(entity, answer)
        return relation.state(friend(relation, entity) if self.kind == KNOWN else entity, answer)

    def _named(self, names: Sequence[str], number: int) -> list[str]:
        """Sentences that name what recall asks about in a `known` story, and tell nothing."""
        if self.kind != KNOWN:
            return []
        on = number + TURNS["recall"] - self.place
        return [
            self.supply.relation.put(frames("known")["named"], names[(on + at) % len(names)])
            for at in range(len(names))
        ]

    def _counterfactual(
        self,
        cell: str,
        turn: int,
        names: Mapping[str, Sequence[str]],
        solved: Sequence[Question],
    ) -> Question:
        """The question about the next chain that is not solved before it, if there is one."""
        others = [self._question(cell, turn + on, names) for on in range(1, len(self.answers))]
        shown = {each.text for each in solved}
        return next((other for other in others if other.text not in shown), others[0])

    def _question(self, cell: str, turn: int, names: Mapping[str, Sequence[str]]) -> Question:
        at = turn % len(self.answers)
        name = names[cell][at]
        return Question(
            cell,
            self.supply.relation.name,
            self._text(cell, name),
            name,
            self.answers[at],
            self.answers,
            1,
        )

    def _text(self, cell: str, name: str) -> str:
        relation = self.supply.relation
        if self.kind == CONFLICT:
            asked = relation.ask(name)
            return frames("known")[cell].format(question=asked[0].lower() + asked[1:])
        if cell == "recall":
            return relation.ask(name)
        if self.kind == KNOWN:
            return relation.ask(friend(relation, name))
        return relation.ask_neutral(name)


def friend(relation: Relation, entity: str) -> str:
    """What stands in place of an entity where its friend is meant, of which nothing is known.

    "the friend of Kenya", but "friend of the newt", as the relation itself says "the" of a newt.
    """
    whole = frames("known")["beside"].format(entity=relation.phrase.format(name=entity))
    return whole.removeprefix("the ") if relation.phrase.startswith("the ") else whole
