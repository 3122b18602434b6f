"""The named prompt sets, drawn from the data in `prompts/` with a seed.

Everything the embedded models were trained on is drawn from here too, so that words and
templates agree; what keeps the sets held out is `is_held_out`.
"""

import csv
import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.prompts import (
    DISCOVERY,
    EVALUATION,
    Item,
    MaterialsError,
    PromptSet,
    put,
    subject_span,
)
from harness.prompts import cross as cross_pair

PROMPTS = Path(__file__).resolve().parent.parent / "prompts"
CHAINS = 3  # chains of names in a story
LINKS = ("person", "town", "country")  # premise kinds along a chain of four names
WORDINGS = ("a", "b")
RELATIONS = ("capital", "continent", "currency")
DISTRACTORS = 3
DEFAULT_ITEMS = 200  # facts a task, for verdicts
TASKS = ("recall", "lookup", "reasoning")


@dataclass(frozen=True, slots=True)
class Story:
    """Premises over invented names; `chains[c][level]` is a person, town, country or continent."""

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


@cache
def countries() -> tuple[dict[str, str], ...]:
    """The rows of countries.csv."""
    with (PROMPTS / "countries.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def names() -> tuple[str, ...]:
    """The invented names, in the order of names.txt."""
    return tuple((PROMPTS / "names.txt").read_text(encoding="utf-8").split())


@cache
def grammar() -> dict[str, Any]:
    """Templates of geography.toml."""
    return tomllib.loads((PROMPTS / "geography.toml").read_text(encoding="utf-8"))


@cache
def facts() -> tuple[tuple[str, str, str], ...]:
    """(country, relation, answer) of every recall fact.

    A capital that shares a word with its country (Mexico City) is left out: its answer could be
    copied from the question.
    """
    return tuple(
        (row["country"], relation, row[relation])
        for row in countries()
        for relation in RELATIONS
        if not (set(row["country"].split()) & set(row[relation].split()))
    )


@cache
def published_templates() -> dict[str, str]:
    """The two templates of geography-published.toml, by task."""
    text = (PROMPTS / "geography-published.toml").read_text(encoding="utf-8")
    templates: dict[str, str] = tomllib.loads(text)["templates"]
    return templates


def is_held_out(first: str, last: str) -> bool:
    """Whether a question of two or more hops from `first` to `last` is kept out of training.

    A quarter of all ordered pairs of names. The training script asks only the others, the
    materials only these, so no evaluated answer can have been memorised with its name.
    """
    index = names().index
    return (index(first) * 7 + index(last) * 13) % 4 == 0


def draw_story(rng: random.Random) -> Story:
    """Three chains over twelve different names, premises shuffled."""
    levels = len(LINKS) + 1
    drawn = rng.sample(names(), CHAINS * levels)
    chains = tuple(tuple(drawn[c * levels : (c + 1) * levels]) for c in range(CHAINS))
    premises = [
        grammar()["premises"][link].format(chain[i], chain[i + 1])
        for chain in chains
        for i, link in enumerate(LINKS)
    ]
    rng.shuffle(premises)
    return Story(chains, tuple(premises))


def recall_question(fact: tuple[str, str, str], wording: str, rng: random.Random) -> Question:
    """Ask for a stored fact; distractors are other answers to the same relation."""
    country, relation, answer = fact
    text = next(q for q in grammar()["question"] if q.get("relation") == relation)[wording]
    others = sorted({f[2] for f in facts() if f[1] == relation} - {answer})
    distractors = tuple(rng.sample(others, DISTRACTORS))
    return Question("recall", relation, text.format(country), country, answer, distractors, 0)


def story_questions(story: Story, wording: str, chain: int) -> list[Question]:
    """Every lookup and reasoning question about one chain.

    Distractors are the names at the answer's level in the other chains and, in the asked
    chain, the name one link nearer (or, for lookup, one further): right chain, wrong hop.
    """
    questions = []
    own = story.chains[chain]
    for row in grammar()["question"]:
        if row["task"] == "recall":
            continue
        start, hops = row["start"], row["hops"]
        end = start + hops
        near = end - 1 if hops > 1 else (end + 1 if end + 1 < len(own) else start)
        others = [c[end] for i, c in enumerate(story.chains) if i != chain]
        if near != start:
            others.append(own[near])
        else:  # the last link of a chain has no neighbour but the entity asked about
            others.append(story.chains[(chain + 1) % CHAINS][start])
        questions.append(
            Question(
                row["task"],
                f"{start}+{hops}",
                row[wording].format(own[start]),
                own[start],
                own[end],
                tuple(others),
                hops,
            )
        )
    return questions


def _swapped(story: Story, chain: int, level: int, rng: random.Random) -> tuple[Story, str]:
    """The story with one premise's object exchanged with another chain's, and the new answer.

    The object is the name at `level` of `chain`. The words are the same, so the length is too.
    """
    other = rng.choice([c for c in range(CHAINS) if c != chain])
    link = grammar()["premises"][LINKS[level - 1]]
    mine, theirs = story.chains[chain], story.chains[other]
    swap = {
        link.format(mine[level - 1], mine[level]): link.format(mine[level - 1], theirs[level]),
        link.format(theirs[level - 1], theirs[level]): link.format(theirs[level - 1], mine[level]),
    }
    premises = tuple(swap.get(p, p) for p in story.premises)
    return Story(story.chains, premises), theirs[level]


def _draw_questions(
    rng: random.Random, fact: tuple[str, str, str], wording: str, start: int, hops: int
) -> tuple[Story, int, dict[str, Question]]:
    """A story, the chain asked about, and one question of each task on it."""
    while True:
        story = draw_story(rng)
        chain = rng.randrange(CHAINS)
        if is_held_out(story.chains[chain][start], story.chains[chain][start + hops]):
            break
    asked = {q.kind: q for q in story_questions(story, wording, chain)}
    return (
        story,
        chain,
        {
            "recall": recall_question(fact, wording, rng),
            "lookup": asked[f"{start}+1"],  # from the same name, so hops alone differ
            "reasoning": asked[f"{start}+{hops}"],
        },
    )


def _counterfactual(
    question: Question, story: Story, chain: int, frame: str, wording: str, rng: random.Random
) -> tuple[str, str]:
    """Prompt and answer of the item's minimally different twin."""
    if question.task == "recall":
        words = len(question.entity.split())
        alike = [
            f
            for f in facts()
            if f[1] == question.kind and f[2] != question.answer and len(f[0].split()) == words
        ]
        twin = recall_question(rng.choice(alike), wording, rng)
        return put(frame, story.premises, question=twin.text), twin.answer
    level = int(question.kind[0]) + question.hops
    swapped, answer = _swapped(story, chain, level, rng)
    return put(frame, swapped.premises, question=question.text), answer


def _facts_for(count: int, rng: random.Random) -> list[tuple[tuple[str, str, str], str]]:
    """`count` facts with their split; a country's facts all fall into one split."""
    if count < 1:
        raise MaterialsError(f"--items {count} leaves nothing to ask; expected 1 or more.")
    shuffled = [row["country"] for row in countries()]
    rng.shuffle(shuffled)
    half = set(shuffled[: len(shuffled) // 2])
    pools: dict[str, list[tuple[str, str, str]]] = {DISCOVERY: [], EVALUATION: []}
    for fact in facts():
        pools[DISCOVERY if fact[0] in half else EVALUATION].append(fact)
    for pool in pools.values():
        rng.shuffle(pool)
    if count > 2 * min(map(len, pools.values())):
        raise MaterialsError(
            f"--items {count} is more than geography has: {2 * min(map(len, pools.values()))} "
            "recall facts; ask for fewer, or bring your own with --prompts FILE."
        )
    return [
        (pools[split].pop(), split)
        for split in ([DISCOVERY, EVALUATION] * ((count + 1) // 2))[:count]
    ]


def _stories(items: int, seed: int, hops: int) -> list[tuple[int, str, dict[str, Item]]]:
    """(number, wording, bare items by task) of each story; the frame is put around them later."""
    if not 1 <= hops <= len(LINKS):
        raise MaterialsError(f"{hops} hops cannot be asked for; chains have 1 to {len(LINKS)}.")
    rng = random.Random(f"geography/{seed}/{hops}")
    frames = grammar()["frames"]["plain"]
    rows = []
    for number, (fact, split) in enumerate(_facts_for(items, rng)):
        # Wording and frame run through their four combinations in eight stories: splits alternate.
        wording = WORDINGS[number // 2 % 2]
        frame_name = sorted(frames)[number // 4 % 2]
        start = rng.randrange(len(LINKS) + 1 - hops)
        story, chain, questions = _draw_questions(rng, fact, wording, start, hops)
        pair = f"geo{number:03d}"
        row = {}
        for task, q in questions.items():
            prompt = put(frames[frame_name], story.premises, question=q.text)
            twin, twin_answer = _counterfactual(q, story, chain, frames[frame_name], wording, rng)
            row[task] = Item(
                id=f"{pair}-{task}",
                task=task,
                prompt=prompt,
                pair=pair,
                template=f"{frame_name}-{wording}",
                domain="geography",
                entities=(q.entity, q.answer),
                question=q.text,
                answer=q.answer,
                distractors=q.distractors,
                subject=subject_span(prompt, q.text, q.entity),
                counterfactual_prompt=twin,
                counterfactual_answer=twin_answer,
                premises=story.premises,
                hops=q.hops,
                split=split,
            )
        rows.append((number, wording, row))
    return rows


@cache
def geography(items: int = DEFAULT_ITEMS, seed: int = 0, hops: int = 2) -> PromptSet:
    """Recall, lookup and reasoning items, one question a prompt, same premises in all three."""
    rows = _stories(items, seed, hops)
    return PromptSet("geography", tuple(row[task] for _, _, row in rows for task in TASKS))


@cache
def geography_crossed(
    items: int = DEFAULT_ITEMS,
    seed: int = 0,
    hops: int = 2,
    tasks: tuple[str, str] = ("recall", "reasoning"),
) -> PromptSet:
    """The stories of `geography`, two of their questions crossed in one prompt.

    `items` pairs of four prompts. Templates: two ways to ask for a label,
    in each wording; the label follows the questions.
    """
    frames = grammar()["frames"]["crossed"]
    crossed: list[Item] = []
    for number, wording, row in _stories(items, seed, hops):
        name = sorted(frames)[number // 4 % 2]
        crossed += cross_pair(
            row[tasks[0]],
            row[tasks[1]],
            frame=frames[name],
            template=f"{name}-{wording}",
            pair=f"geo{number:03d}",
        )
    suffix = "" if tasks == ("recall", "reasoning") else f":{tasks[0]}-{tasks[1]}"
    return PromptSet(f"geography-crossed{suffix}", tuple(crossed), tasks, crossed=True)


@cache
def geography_published(items: int = 30, seed: int = 0) -> PromptSet:
    """The paper's 30 + 30 prompts, unchanged; `items` and `seed` do not matter to them.

    Source: Fartale et al. 2025, arXiv:2510.03366 (public notebooks).
    """
    del items, seed
    templates = published_templates()
    with (PROMPTS / "geography-published.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    made = []
    for number, row in enumerate(rows):
        for task, column in (("recall", "capital"), ("reasoning", "continent")):
            prompt = templates[task].format(**row)
            others = list(dict.fromkeys(r[column] for r in rows if r[column] != row[column]))
            made.append(
                Item(
                    id=f"pub{number:02d}-{task}",
                    task=task,
                    prompt=prompt,
                    pair=f"pub{number:02d}",
                    template=task,
                    domain="geography",
                    entities=(row["country"], row[column]),
                    question=prompt,
                    answer=row[column],
                    distractors=tuple(others[:DISTRACTORS]),
                    subject=subject_span(prompt, prompt, row["country"]),
                    hops=0 if task == "recall" else 1,
                    split=DISCOVERY if number % 2 == 0 else EVALUATION,
                )
            )
    return PromptSet("geography-published", tuple(made))


SETS: dict[str, Callable[..., PromptSet]] = {
    "geography": geography,
    "geography-crossed": geography_crossed,
    "geography-published": geography_published,
}


def crossed_controls(items: int = DEFAULT_ITEMS, seed: int = 0) -> Sequence[PromptSet]:
    """The two crossings that tell reasoning from reading the context, on the same stories."""
    return (
        geography_crossed(items, seed, tasks=("lookup", "reasoning")),
        geography_crossed(items, seed, tasks=("recall", "lookup")),
    )
