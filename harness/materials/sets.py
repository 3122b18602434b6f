"""The named prompt sets, drawn from the data in `prompts/` with a seed.

The training data of the embedded models are drawn from here too, so that words and templates
agree; `stories.is_held_out` keeps the sets out of training.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache, partial

from harness.materials import cell_sets
from harness.materials.cell_sets import draw_cells
from harness.materials.domains import (
    DOMAINS,
    WORDINGS,
    Domain,
    Fact,
    frames,
    load_domain,
    published_templates,
    table_rows,
)
from harness.materials.items import (
    DISCOVERY,
    EVALUATION,
    Item,
    MaterialsError,
    PromptSet,
    put,
    stands_in,
    subject_span,
)
from harness.materials.items import cross as cross_pair
from harness.materials.stories import (
    CHAINS,
    DISTRACTORS,
    Question,
    Story,
    draw_story,
    is_held_out,
    recall_question,
    recall_twin,
    story_questions,
    story_twin,
)

DEFAULT_ITEMS = 200  # facts of each task, for verdicts
FEW_ANSWERS = 4  # that all items of a task share: yes, no, unknown, or letters
TASKS = ("recall", "lookup", "reasoning")
CROSSED = "-crossed"


def _draw_questions(
    rng: random.Random, domain: Domain, fact: Fact, wording: str, start: int, hops: int
) -> tuple[Story, int, dict[str, Question]]:
    """A story, the chain asked about, and one question of each task on it."""
    while True:
        story = draw_story(rng, domain)
        chain = rng.randrange(CHAINS)
        if is_held_out(story.chains[chain][start], story.chains[chain][start + hops]):
            break
    asked = {q.kind: q for q in story_questions(domain, story, wording, chain)}
    return (
        story,
        chain,
        {
            "recall": recall_question(domain, fact, wording, rng),
            "lookup": asked[f"{start}+1"],  # from the same name, so that only the hops differ
            "reasoning": asked[f"{start}+{hops}"],
        },
    )


def _counterfactual(
    domain: Domain,
    question: Question,
    story: Story,
    chain: int,
    frame: str,
    wording: str,
    rng: random.Random,
) -> tuple[str, str]:
    """Prompt and answer of the item's minimally different twin."""
    if question.task == "recall":
        twin = recall_twin(domain, question, wording, rng)
        return put(frame, story.premises, question=twin.text), twin.answer
    level = int(question.kind[0]) + question.hops
    swapped, answer = story_twin(domain, story, chain, level, rng)
    return put(frame, swapped.premises, question=question.text), answer


def _facts_for(domain: Domain, count: int, rng: random.Random) -> list[tuple[Fact, str]]:
    """`count` facts with their split; all facts of a row (a country) fall into one split.

    A domain with fewer facts than the default gives all it has, if no more is asked for.
    """
    if count < 1:
        raise MaterialsError(f"--items {count} leaves nothing to ask; expected 1 or more.")
    shuffled = list(domain.rows)
    rng.shuffle(shuffled)
    half = set(shuffled[: len(shuffled) // 2])
    pools: dict[str, list[Fact]] = {DISCOVERY: [], EVALUATION: []}
    for fact in domain.facts:
        pools[DISCOVERY if fact.row in half else EVALUATION].append(fact)
    for pool in pools.values():
        rng.shuffle(pool)
    most = 2 * min(map(len, pools.values()))
    if count > max(most, DEFAULT_ITEMS):
        raise MaterialsError(
            f"--items {count} is more than {domain.name} has: {most} "
            "recall facts; ask for fewer, or bring your own with --prompts FILE."
        )
    count = min(count, most)
    return [
        (pools[split].pop(), split)
        for split in ([DISCOVERY, EVALUATION] * ((count + 1) // 2))[:count]
    ]


def _stories(
    domain: Domain, items: int, seed: int, hops: int
) -> list[tuple[int, str, dict[str, Item]]]:
    """(number, wording, items by task without a frame) of each story."""
    if not 1 <= hops <= len(domain.links):
        raise MaterialsError(
            f"{hops} hops cannot be asked for; chains have 1 to {len(domain.links)}."
        )
    rng = random.Random(f"{domain.name}/{seed}/{hops}")
    plain = frames("plain")
    rows = []
    for number, (fact, split) in enumerate(_facts_for(domain, items, rng)):
        # Eight stories go through the four combinations of wording and frame; splits alternate.
        wording = WORDINGS[number // 2 % 2]
        frame_name = sorted(plain)[number // 4 % 2]
        frame = plain[frame_name]
        start = rng.randrange(domain.levels - hops)
        story, chain, questions = _draw_questions(rng, domain, fact, wording, start, hops)
        pair = _pair(domain, number)
        row = {}
        for task, q in questions.items():
            prompt = put(frame, story.premises, question=q.text)
            twin, twin_answer = _counterfactual(domain, q, story, chain, frame, wording, rng)
            row[task] = Item(
                id=f"{pair}-{task}",
                task=task,
                prompt=prompt,
                pair=pair,
                template=f"{frame_name}-{wording}",
                domain=domain.name,
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


def _pair(domain: Domain, number: int) -> str:
    return f"{domain.name[:3]}{number:03d}"


@cache
def draw_plain(domain: str, items: int = DEFAULT_ITEMS, seed: int = 0, hops: int = 2) -> PromptSet:
    """Recall, lookup and reasoning items, one question a prompt, same premises in all three."""
    rows = _stories(load_domain(domain), items, seed, hops)
    return PromptSet(domain, tuple(row[task] for _, _, row in rows for task in TASKS))


@cache
def draw_crossed(
    domain: str,
    items: int = DEFAULT_ITEMS,
    seed: int = 0,
    hops: int = 2,
    tasks: tuple[str, str] = ("recall", "reasoning"),
) -> PromptSet:
    """The stories of the plain set, two of their questions crossed in one prompt.

    `items` pairs of four prompts. Templates: two ways to ask for a label,
    in each wording; the label follows the questions.
    """
    crossed: list[Item] = []
    for number, wording, row in _stories(load_domain(domain), items, seed, hops):
        name = sorted(frames("crossed"))[number // 4 % 2]
        crossed += cross_pair(
            row[tasks[0]],
            row[tasks[1]],
            frame=frames("crossed")[name],
            template=f"{name}-{wording}",
            pair=_pair(load_domain(domain), number),
        )
    suffix = "" if tasks == ("recall", "reasoning") else f":{tasks[0]}-{tasks[1]}"
    return PromptSet(f"{domain}{CROSSED}{suffix}", tuple(crossed), tasks, crossed=True)


def geography(items: int = DEFAULT_ITEMS, seed: int = 0, hops: int = 2) -> PromptSet:
    """Recall, lookup and reasoning items, one question a prompt, same premises in all three."""
    return draw_plain("geography", items, seed, hops)


def geography_crossed(
    items: int = DEFAULT_ITEMS,
    seed: int = 0,
    hops: int = 2,
    tasks: tuple[str, str] = ("recall", "reasoning"),
) -> PromptSet:
    """The stories of `geography`, two of their questions crossed in one prompt."""
    return draw_crossed("geography", items, seed, hops, tasks)


@cache
def geography_published(items: int = 30, seed: int = 0) -> PromptSet:
    """The paper's 30 + 30 prompts, unchanged; `items` and `seed` have no effect.

    Source: Fartale et al. 2025, arXiv:2510.03366 (public notebooks).
    """
    del items, seed
    templates = published_templates()
    rows = table_rows("geography-published")
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
    **{
        f"{name}{suffix}": partial(draw, name)
        for name in DOMAINS
        if name != "geography"
        for suffix, draw in (("", draw_plain), (CROSSED, draw_crossed))
    },
    **{name: partial(draw_cells, name) for name in cell_sets.NAMES},
}


def drawing_of(name: str) -> Callable[..., PromptSet] | None:
    """What draws the set of this name, given items and seed; None if no set has it.

    Beside those of `SETS`: two relations in a cell, and cells with their difficulty in the name.

    Raises:
        MaterialsError: If the name begins like one of the cells' and is none.
    """
    return SETS.get(name) or (partial(draw_cells, name) if cell_sets.parse(name) else None)


def domain_of(prompts: PromptSet) -> str | None:
    """The domain whose plain or crossed set this is, going by its name; None for anything else.

    The set of a file keeps the file's ending in its name, see `files.reading`.
    """
    name, _, rest = prompts.name.partition(CROSSED)
    return name if name in DOMAINS and (not rest or rest.startswith(":")) else None


def no_process(prompts: PromptSet) -> str:
    """Why a difference between the tasks says nothing about processes; empty where it may.

    Two questions of one process differ in a model too. The tasks of a domain differ by how they
    are made; those of other sets must say so.
    """
    if domain_of(prompts) is not None:
        return ""
    first, second = prompts.tasks
    asked: dict[str, set[tuple[str, int]]] = {first: set(), second: set()}
    for item in prompts.items:
        if item.task in asked:
            asked[item.task].add((item.source, item.steps))
    if lacking := [task for task, cells in asked.items() if not cells]:
        return (
            f"{prompts.name} does not say that it asks for {' and '.join(lacking)} (columns source "
            "and steps): it says nothing about what they differ in"
        )
    if not all(source and steps for cells in asked.values() for source, steps in cells):
        return (
            f"{prompts.name} does not say where the answers of {first} and {second} come from, and "
            "in how many steps (columns source and steps): that they differ says nothing about "
            "processes"
        )
    if asked[first] == asked[second]:
        return (
            f"{first} and {second} of {prompts.name} are questions of one process (the same source "
            "and steps): that they differ says nothing about processes"
        )
    return next(filter(None, (_not_read(prompts, task) for task in prompts.tasks)), "")


def _not_read(prompts: PromptSet, task: str) -> str:
    """Why a task's answers do not come from the text, as the file says they do; else empty.

    A few answers that serve all of its items (yes and no) need not stand in the text.
    """
    items = [i for i in prompts.items if i.task == task and i.source == "context" and i.answer]
    missing = [item for item in items if not stands_in(item.answer, item.prompt)]
    if 2 * len(missing) <= len(items) or len({i.answer for i in items}) <= FEW_ANSWERS:
        return ""
    return (
        f"{prompts.name} says that the answers of {task} come from the text (source context), but "
        f"{len(missing):,} of {len(items):,} do not stand in their prompts, such as "
        f"{missing[0].answer!r} of {missing[0].id!r}: where they come from is not known"
    )


def crossed_controls(
    items: int = DEFAULT_ITEMS, seed: int = 0, domain: str = "geography"
) -> Sequence[PromptSet]:
    """Lookup x reasoning and recall x lookup, crossed on the same stories."""
    return (
        draw_crossed(domain, items, seed, tasks=("lookup", "reasoning")),
        draw_crossed(domain, items, seed, tasks=("recall", "lookup")),
    )
