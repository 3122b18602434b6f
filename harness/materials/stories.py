"""Stories over invented names, and questions about them and about stored facts.

The same in every domain: premises link names to chains, and a question asks for the name one or
more links further.
"""

import random
from dataclasses import dataclass

from harness.materials.domains import WORDINGS, Domain, Fact, invented_names

CHAINS = 3  # chains of names in a story
DISTRACTORS = 3


@dataclass(frozen=True, slots=True)
class Story:
    """Premises over invented names; `chains[c][level]` is a name (person, town, country, ...)."""

    chains: tuple[tuple[str, ...], ...]
    premises: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question in one wording, with its answer."""

    task: str
    kind: str  # recall: the relation; otherwise "start+hops"
    text: str
    entity: str
    answer: str
    distractors: tuple[str, ...]
    hops: int


def is_held_out(first: str, last: str) -> bool:
    """Whether a question of two or more hops from `first` to `last` is kept out of training.

    A quarter of all ordered pairs of names, the same in every domain. The materials ask only
    these and the training data only the others, so no evaluated answer can be memorised.
    """
    index = invented_names().index
    return (index(first) * 7 + index(last) * 13) % 4 == 0


def draw_story(rng: random.Random, domain: Domain) -> Story:
    """Three chains over twelve different names, premises shuffled."""
    levels = domain.levels
    drawn = rng.sample(invented_names(), CHAINS * levels)
    chains = tuple(tuple(drawn[c * levels : (c + 1) * levels]) for c in range(CHAINS))
    premises = [
        link.format(chain[i], chain[i + 1])
        for chain in chains
        for i, link in enumerate(domain.links)
    ]
    rng.shuffle(premises)
    return Story(chains, tuple(premises))


def recall_question(domain: Domain, fact: Fact, wording: str, rng: random.Random) -> Question:
    """Ask for a stored fact; distractors are other answers to the same relation.

    None shares its part before a hyphen with the answer (fifty-six, fifty-four): the first
    token could not distinguish them.
    """
    template = domain.template_of(fact.relation)
    known = {f.answer for f in domain.facts if f.relation == fact.relation} | {*template.also}
    start = fact.answer.split("-")[0]
    others = sorted(a for a in known if a != fact.answer and a.split("-")[0] != start)
    return Question(
        task="recall",
        kind=fact.relation,
        text=template.wordings[WORDINGS.index(wording)].format(fact.entity),
        entity=fact.entity,
        answer=fact.answer,
        distractors=tuple(rng.sample(others, DISTRACTORS)),
        hops=0,
    )


def recall_twin(domain: Domain, question: Question, wording: str, rng: random.Random) -> Question:
    """The same question about another entity with as many words and another answer."""
    words = len(question.entity.split())
    alike = [
        f
        for f in domain.facts
        if f.relation == question.kind
        and f.answer != question.answer
        and len(f.entity.split()) == words
    ]
    return recall_question(domain, rng.choice(alike), wording, rng)


def story_questions(domain: Domain, story: Story, wording: str, chain: int) -> list[Question]:
    """Every lookup and reasoning question about one chain.

    Distractors are the names at the answer's level in the other chains, and the name of the
    right chain that is one link nearer (for lookup, one further).
    """
    questions = []
    own = story.chains[chain]
    for template in domain.story:
        start, hops = template.start, template.hops
        end = start + hops
        near = end - 1 if hops > 1 else (end + 1 if end + 1 < len(own) else start)
        others = [c[end] for i, c in enumerate(story.chains) if i != chain]
        if near != start:
            others.append(own[near])
        else:  # at the last link the only neighbour is the entity asked about
            others.append(story.chains[(chain + 1) % CHAINS][start])
        questions.append(
            Question(
                template.task,
                template.kind,
                template.wordings[WORDINGS.index(wording)].format(own[start]),
                own[start],
                own[end],
                tuple(others),
                hops,
            )
        )
    return questions


def story_twin(
    domain: Domain, story: Story, chain: int, level: int, rng: random.Random
) -> tuple[Story, str]:
    """The story with the objects of two chains' premises exchanged, and the new answer.

    The object is the name at `level` of `chain`. The words, and so the length, stay the same.
    """
    other = rng.choice([c for c in range(CHAINS) if c != chain])
    link = domain.links[level - 1]
    mine, theirs = story.chains[chain], story.chains[other]
    swap = {
        link.format(mine[level - 1], mine[level]): link.format(mine[level - 1], theirs[level]),
        link.format(theirs[level - 1], theirs[level]): link.format(theirs[level - 1], mine[level]),
    }
    premises = tuple(swap.get(p, p) for p in story.premises)
    return Story(story.chains, premises), theirs[level]
