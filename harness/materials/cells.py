"""Stories of the four cells: where an answer comes from, in how many steps.

|              | one step | two steps |
|--------------|----------|-----------|
| from weights | recall   | latent    |
| from context | lookup   | reasoning |

All cells of a relation ask with the same words, and their answers come from one list: a story
tells of invented entities with the answers of known ones. Before a question stand solved ones
about the same story. A *block* is as many stories as a story has chains: they name the same
answers in the same places, and each cell asks for each answer once in a block. So answer words,
their places in the story and in the demonstrations, and distractors are the same in all cells.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, product

from harness.materials.difficulty import SHUFFLED, Difficulty
from harness.materials.items import DISCOVERY, EVALUATION, MaterialsError
from harness.materials.relations import Relation, half_of

CELLS = ("recall", "lookup", "reasoning", "latent")
SOURCE = {"recall": "weights", "latent": "weights", "lookup": "context", "reasoning": "context"}
DEMONSTRATED = ("recall", "lookup", "reasoning")
LATENT_STEPS = 2
# Which chain of a story a cell asks about, counted on from one story of a block to the next.
# The three that are demonstrated differ, so that none is shown its own answer by its own kind.
TURN = {"recall": 0, "lookup": 1, "reasoning": 2, "latent": 0}


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a cell, with its answer and all answers that the story holds.

    Attributes:
        chain: From the name asked about to the answer; empty where the steps are not stated.
        told: The steps along the chain, as sentences in the story's own words.
    """

    cell: str
    relation: str
    text: str
    name: str
    answer: str
    options: tuple[str, ...]
    steps: int
    chain: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """What questions share, and one of each task.

    Attributes:
        relation: What it is about.
        block: The block it belongs to.
        number: Its place in the block.
        split: The half that every name in it belongs to.
        premises: Sentences.
        demonstrations: Solved questions, in order.
        questions: What may be asked, by task.
        counterfactuals: By task, the same question about another entity of the same kind, whose
            answer is another one of the story; None if there is none.
    """

    relation: str
    block: str
    number: int
    split: str
    premises: tuple[str, ...]
    demonstrations: tuple[Question, ...]
    questions: Mapping[str, Question]
    counterfactuals: Mapping[str, Question | None]


@dataclass
class Supply:
    """The facts of a relation in one half; what was used least is drawn first.

    Attributes:
        known: Known entities by answer.
        holders: What leads to them, by answer; empty if the relation has no latent questions.
        used: How often answers and names were drawn.
    """

    relation: Relation
    split: str
    chains: int
    known: Mapping[str, Sequence[str]] = field(init=False)
    holders: Mapping[str, Sequence[str]] = field(init=False)
    used: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.known = known_by_answer(self.relation, self.split)
        self.holders = {}
        if has_latent(self.relation, self.chains):
            self.holders = holders_by_answer(self.relation, self.split)

    def answers(self, rng: random.Random, avoid: Collection[str]) -> list[str]:
        """The answers of a block in the order of its chains; no story asks about one of them."""
        facts = self.relation.facts
        chosen: list[str] = []
        for answer in self._in_turn(rng, self.holders or self.known):
            asked_about = facts.get(answer) in chosen or answer in map(facts.get, chosen)
            free = set(self.known[answer]).difference(avoid) and answer not in avoid
            if free and not asked_about:
                chosen.append(answer)
            if len(chosen) == self.chains:
                self.used.update(chosen)
                rng.shuffle(chosen)
                return chosen
        raise MaterialsError(
            f"{self.relation.name} has not {self.chains} answers for a story in its "
            f"{self.split} half: add facts, or take fewer --chains."
        )

    def entity(self, rng: random.Random, answer: str, avoid: Collection[str] = ()) -> str:
        """A known entity with this answer."""
        return self._take(rng, self.known[answer], avoid)

    def others(self, rng: random.Random, answers: Sequence[str]) -> list[str]:
        """As many known entities as there are answers, none of which is that of one of them.

        Raises:
            MaterialsError: If there are too few.
        """
        names = [
            name
            for answer, held in self.known.items()
            for name in held
            if answer not in answers and name not in answers
        ]
        if len(names) < len(answers):
            raise MaterialsError(
                f"{self.relation.name} has {len(names)} entities without the answers "
                f"{', '.join(answers)} in its {self.split} half, expected {len(answers)}: add "
                "facts, or take fewer --chains."
            )
        chosen = self._in_turn(rng, names)[: len(answers)]
        self.used.update(chosen)
        return chosen

    def holder(self, rng: random.Random, answer: str) -> str:
        """What leads to a known entity with this answer."""
        return self._take(rng, self.holders[answer], ())

    def _take(self, rng: random.Random, names: Sequence[str], avoid: Collection[str]) -> str:
        name = self._in_turn(rng, (name for name in names if name not in avoid))[0]
        self.used[name] += 1
        return name

    def _in_turn(self, rng: random.Random, names: Iterable[str]) -> list[str]:
        return sorted(sorted(names), key=lambda name: (self.used[name], rng.random()))


def known_by_answer(relation: Relation, split: str) -> dict[str, list[str]]:
    """Known entities of a half, by answer."""
    found: dict[str, list[str]] = defaultdict(list)
    for entity, answer in relation.facts.items():
        if half_of(entity) == split:
            found[answer].append(entity)
    return dict(found)


def holders_by_answer(relation: Relation, split: str) -> dict[str, list[str]]:
    """What leads to known entities, both of a half, by answer."""
    found: dict[str, list[str]] = defaultdict(list)
    for holder, entity in relation.latent.items():
        if half_of(holder) == half_of(entity) == split:
            found[relation.facts[entity]].append(holder)
    return dict(found)


def has_latent(relation: Relation, chains: int) -> bool:
    """Whether latent questions have answers enough in both halves."""
    halves = (DISCOVERY, EVALUATION)
    return all(len(holders_by_answer(relation, half)) >= chains for half in halves)


def fits(relation: Relation, difficulty: Difficulty) -> bool:
    """Whether a relation has links for these steps, and answers for these chains in each half."""
    halves = (DISCOVERY, EVALUATION)
    enough = all(len(known_by_answer(relation, half)) >= difficulty.chains for half in halves)
    return enough and len(relation.links) >= difficulty.steps - 1


def draw_block(
    supply: Supply,
    block: str,
    difficulty: Difficulty,
    rng: random.Random,
    avoid: Collection[str] = (),
) -> list[Story]:
    """A block of stories with a question of each cell.

    Args:
        supply: Where answers and known entities come from.
        block: Its name.
        difficulty: How hard the stories are.
        rng: Decides everything.
        avoid: Names and answers that another relation tells in the same stories.
    """
    answers = supply.answers(rng, avoid)
    turns = {cell: TURN[cell] % difficulty.chains for cell in DEMONSTRATED}
    plan = demonstration_plan(rng, difficulty, turns)
    order = premise_order(rng, difficulty, difficulty.steps)
    drawing = _Drawing(supply, block, difficulty, tuple(answers), plan, order, frozenset(avoid))
    return [drawing.story(number, rng) for number in range(difficulty.chains)]


def demonstration_plan(
    rng: random.Random, difficulty: Difficulty, turns: Mapping[str, int]
) -> list[tuple[str, int]]:
    """(kind, turn) of the demonstrations of a block's first story, in order.

    Each answer is demonstrated equally often, never by a kind that asks for it itself, kinds are
    as even as can be, and no kind is shown one answer twice. The next story begins one later in
    the list and counts turns on by one, so that over a block every place in the list holds
    each answer once.

    Raises:
        MaterialsError: If there are more shots than that allows.
    """
    chains, rounds = difficulty.chains, difficulty.shots // difficulty.chains
    choices = [
        list(combinations([kind for kind, at in turns.items() if at != turn], rounds))
        for turn in range(chains)
    ]
    if not all(choices):
        raise MaterialsError(
            f"--shots {difficulty.shots} are too many for {' and '.join(turns)} on "
            f"{chains} chains: a solved question would be asked again; take {chains}."
        )

    def unevenness(kinds: Sequence[Sequence[str]]) -> int:
        counts = Counter(kind for some in kinds for kind in some)
        return max(counts[kind] for kind in turns) - min(counts[kind] for kind in turns)

    every = list(product(*choices))
    least = min(map(unevenness, every))
    even = rng.choice([some for some in every if unevenness(some) == least])
    kinds = [rng.sample(some, rounds) for some in even]
    turns_in_order = rng.sample(range(chains), chains)
    return [(kinds[turn][number], turn) for number in range(rounds) for turn in turns_in_order]


def plan_of_story(plan: Sequence[tuple[str, int]], number: int) -> list[tuple[str, int]]:
    """The plan of a block as its story of that number begins it: one later in each story."""
    shift = number % max(1, len(plan))
    return [*plan[shift:], *plan[:shift]]


def premise_order(rng: random.Random, difficulty: Difficulty, steps: int) -> list[int]:
    """Where each premise of a block's stories comes from, counted along their chains."""
    order = list(range(difficulty.chains * steps))
    if difficulty.order == SHUFFLED:
        rng.shuffle(order)
    return order


def invent(rng: random.Random, names: Iterable[str], split: str, taken: Collection[str]) -> str:
    """An invented name of a half that begins unlike those taken: small models mix up others."""
    names = [name for name in names if half_of(name) == split]
    for letters in (1, 2, 3):
        begun = {name[:letters].lower() for name in taken}
        free = [n for n in names if n not in taken and n[:letters].lower() not in begun]
        if free:
            return rng.choice(free)
    raise MaterialsError(
        f"the {len(names)} invented names of the {split} half are too few: take fewer items "
        "(--items) or chains, or add names in prompts/relations."
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What the stories of a block share."""

    supply: Supply
    block: str
    difficulty: Difficulty
    answers: tuple[str, ...]
    plan: Sequence[tuple[str, int]]
    order: Sequence[int]
    avoid: frozenset[str]

    def story(self, number: int, rng: random.Random) -> Story:
        relation = self.supply.relation
        ladders = self._ladders(rng)
        told = []
        for ladder, answer in zip(ladders, self.answers, strict=True):
            told += relation.tell(ladder, answer)
        cells = [cell for cell in CELLS if cell != "latent" or self.supply.holders]
        plan = plan_of_story(self.plan, number)
        solved = tuple(self._question(kind, number + turn, ladders, rng) for kind, turn in plan)
        asked = {cell: self._question(cell, number + TURN[cell], ladders, rng) for cell in cells}
        return Story(
            relation.name,
            self.block,
            number,
            self.supply.split,
            tuple(told[at] for at in self.order),
            solved,
            asked,
            {cell: self._counterfactual(asked[cell], ladders, solved) for cell in cells},
        )

    def _ladders(self, rng: random.Random) -> list[list[str]]:
        """The invented names of each chain: the entity, its holder, and on."""
        relation, split = self.supply.relation, self.supply.split
        lists = [relation.names, *(k.names for k in relation.links[: self.difficulty.steps - 1])]
        taken: set[str] = set(self.avoid)
        ladders = []
        for _ in self.answers:
            ladder = []
            for names in lists:
                ladder.append(invent(rng, names, split, taken))
                taken.add(ladder[-1])
            ladders.append(ladder)
        return ladders

    def _question(
        self, cell: str, turn: int, ladders: Sequence[Sequence[str]], rng: random.Random
    ) -> Question:
        chain = turn % len(self.answers)
        answer, level = self.answers[chain], self._level(cell)
        if cell == "recall":
            name = self.supply.entity(rng, answer, self.avoid)
        elif cell == "latent":
            name = self.supply.holder(rng, answer)
        else:
            name = ladders[chain][level]
        question = self._about(cell, name, answer)
        if cell == "latent":  # what leads to a known entity has no sentence
            return question
        ladder = [name] if cell == "recall" else ladders[chain][: level + 1]
        told = tuple(self.supply.relation.tell(ladder, answer))
        return replace(question, chain=(*ladder[::-1], answer), told=told)

    def _about(self, cell: str, name: str, answer: str) -> Question:
        relation, level = self.supply.relation, self._level(cell)
        text = relation.ask(name, level)
        return Question(cell, relation.name, text, name, answer, self.answers, level + 1)

    def _level(self, cell: str) -> int:
        """Links from the name that a cell asks about to the entity with the answer."""
        steps = {"latent": LATENT_STEPS, "reasoning": self.difficulty.steps}
        return steps.get(cell, 1) - 1

    def _counterfactual(
        self,
        question: Question,
        ladders: Sequence[Sequence[str]],
        solved: Sequence[Question],
    ) -> Question | None:
        """The question about another chain, one that is not solved before it if there is one.

        None where all others are asked about by another relation in the same stories. Chosen by
        names alone, so that what is drawn afterwards stays as it is.
        """
        cell, source = question.cell, SOURCE[question.cell]
        told = self.supply.known if cell == "recall" else self.supply.holders
        others = []
        for answer, ladder in zip(self.answers, ladders, strict=True):
            names = told[answer] if source == "weights" else [ladder[self._level(cell)]]
            others += [(answer, name) for name in names if answer != question.answer]
        shown = {each.text for each in solved}
        asked = [self._about(cell, n, a) for a, n in others if n not in self.avoid]
        free = [other for other in asked if other.text not in shown]
        key = partial(_order_after, question)
        return min(free or asked, key=key, default=None)


def _order_after(question: Question, other: Question) -> bytes:
    """A key to order by that depends on texts alone and means nothing."""
    return hashlib.sha256(f"{question.text}/{other.text}".encode()).digest()


def in_one(first: Story, second: Story, cell: str) -> Story:
    """A story of two relations, each with its question of one cell; tasks are the relations."""
    both = zip(first.demonstrations, second.demonstrations, strict=True)
    return replace(
        first,
        relation=f"{first.relation}-{second.relation}",
        premises=(*first.premises, *second.premises),
        demonstrations=tuple(question for two in both for question in two),
        questions={story.relation: story.questions[cell] for story in (first, second)},
        counterfactuals={each.relation: each.counterfactuals[cell] for each in (first, second)},
    )
