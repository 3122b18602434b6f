"""The named sets of the cells, each drawn from its name, a number of items and a seed.

| name | what is asked |
|---|---|
| `cells` | all four cells |
| `cells:recall-lookup` | a contrast of two cells, the treated one first |
| `cells:recall/capital-currency` | two relations in one cell: no difference of process |
| `conflict`, `neutral`, `known` | recall and lookup about known entities |

`cells-crossed:...`, `conflict-crossed` and so on put both questions in one prompt and ask for one
by its label. What follows an @ is the difficulty.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from harness.materials.cells import (
    CELLS,
    LATENT_STEPS,
    SOURCE,
    Question,
    Story,
    Supply,
    draw_block,
    fits,
    has_latent,
    in_one,
)
from harness.materials.difficulty import Difficulty, parse_difficulty
from harness.materials.domains import frames
from harness.materials.items import (
    DISCOVERY,
    EVALUATION,
    Item,
    MaterialsError,
    PromptSet,
    cross,
    put,
    subject_span,
)
from harness.materials.known_stories import (
    CONFLICT,
    KINDS,
    KNOWN,
    NEUTRAL,
    draw_known_block,
    tells_of_others,
)
from harness.materials.relations import FOLDER, Relation, load_relations
from harness.materials.surface import refuse_if_told_apart

CONTRASTS = (
    ("recall", "lookup"),
    ("lookup", "reasoning"),
    ("latent", "reasoning"),
    ("recall", "latent"),
    ("recall", "reasoning"),
)
OF_PROCESSES = (("recall", "lookup"), ("lookup", "reasoning"))  # retrieval, composing
SAME_WORDS = (("recall", "lookup"), ("latent", "reasoning"))  # contrasts of source alone
NAMES = (
    "cells",
    *(f"cells{form}:{a}-{b}" for form in ("", "-crossed") for a, b in CONTRASTS),
    *(f"{kind}{form}" for kind in (CONFLICT, NEUTRAL, KNOWN) for form in ("", "-crossed")),
)
MOST_CHAINS_ASKED = 4
RELATIONS_IN_A_CELL = "cells:CELL/RELATION-RELATION"  # and cells-crossed:...


@dataclass(frozen=True, slots=True)
class CellSet:
    """What a name asks for.

    Attributes:
        kind: `cells`, `conflict`, `neutral` or `known`.
        tasks: The two cells or relations that are contrasted; none for all cells.
        cell: The cell that two relations are contrasted in; empty for a contrast of cells.
        crossed: Whether both questions stand in one prompt.
        difficulty: If the name states it.
    """

    kind: str
    tasks: tuple[str, str] | None
    cell: str = ""
    crossed: bool = False
    difficulty: Difficulty | None = None

    def named(self, difficulty: Difficulty) -> str:
        """The whole name, from which the set can be drawn again."""
        contrast = f":{self.cell}/" if self.cell else ":"
        which = f"{contrast}{'-'.join(self.tasks)}" if self.tasks and self.kind == "cells" else ""
        return f"{self.kind}{'-crossed' if self.crossed else ''}{which}@{difficulty}"


def parse(name: str) -> CellSet | None:
    """What a name asks for; None if it is not of these sets.

    Raises:
        MaterialsError: If it begins like one and is none.
    """
    what, at, setting = name.partition("@")
    head, _, contrast = what.partition(":")
    kind, _, form = head.partition("-")
    if (
        kind not in ("cells", CONFLICT, NEUTRAL, KNOWN)
        or form not in ("", "crossed")
        or "." in name
    ):
        return None
    crossed, difficulty = form == "crossed", parse_difficulty(setting) if at else None
    if kind != "cells" and not contrast:
        return CellSet(kind, KINDS, crossed=crossed, difficulty=difficulty)
    if what == "cells":
        return CellSet(kind, None, difficulty=difficulty)
    cell, within, pair = contrast.rpartition("/")
    tasks = tuple(pair.split("-"))
    known = cell in CELLS if within else tasks in CONTRASTS
    if kind != "cells" or not known or len(set(tasks)) != 2:
        raise MaterialsError(
            f"{name!r} is no set: expected one of {', '.join(NAMES)} or {RELATIONS_IN_A_CELL}."
        )
    return CellSet(kind, (tasks[0], tasks[1]), cell, crossed, difficulty)


def whole_cells(name: str) -> tuple[CellSet, Difficulty] | None:
    """What the whole name of a set of cells asks for, and how hard; None of any other name."""
    part = ", " in name  # as in "..., discovery items"
    wanted = parse(name) if "@" in name and not part else None
    if wanted is None or wanted.kind != "cells" or wanted.difficulty is None:
        return None
    return wanted, wanted.difficulty


def crossed_name(name: str) -> str | None:
    """The name of the crossed set of a contrast's stories; None if there is none."""
    wanted = None if "@" not in name else parse(name)
    if wanted is None or wanted.tasks is None or wanted.difficulty is None:
        return None
    return replace(wanted, crossed=True).named(wanted.difficulty)


def relations_asked(items: int) -> int:
    """In how many relations the cells ask so many questions of a task.

    The stories have the most chains that a run chooses, which asks in fewest.
    """
    return min(len(load_relations()), math.ceil(items / (2 * MOST_CHAINS_ASKED)))


def draw_cells(
    name: str,
    items: int = 200,
    seed: int = 0,
    difficulty: Difficulty | None = None,
    folder: Path = FOLDER,
) -> PromptSet:
    """A set by its name: `items` questions of each task, rounded up to whole blocks of each half.

    Args:
        name: One of `NAMES`, or two relations in a cell; after an @, the difficulty.
        items: Questions of a task.
        seed: Of everything that is drawn.
        difficulty: Where the name states none.
        folder: Where the relations are.

    Raises:
        MaterialsError: If there is no such set, or the relations do not give it.
    """
    wanted = parse(name)
    if wanted is None:
        raise MaterialsError(f"{name!r} is no set of cells; expected one of {', '.join(NAMES)}.")
    if items < 1:
        raise MaterialsError(f"--items {items} leaves nothing to ask; expected 1 or more.")
    chosen = wanted.difficulty or difficulty or Difficulty()
    return _drawn(wanted, items, seed, chosen, folder)


@cache
def _drawn(
    wanted: CellSet, items: int, seed: int, difficulty: Difficulty, folder: Path
) -> PromptSet:
    if wanted.tasks == ("latent", "reasoning") and difficulty.steps != LATENT_STEPS:
        raise MaterialsError(
            f"{wanted.named(difficulty)}: latent questions have {LATENT_STEPS} steps; take "
            f"--steps {LATENT_STEPS}, so that the source alone differs."
        )
    stories = stories_of(wanted, items, seed, difficulty, folder)
    make = _crossed_items if wanted.crossed else _single_items
    made = [item for story in stories for item in make(story, wanted.tasks)]
    name = wanted.named(difficulty)
    tasks = wanted.tasks or ("recall", "reasoning")
    prompts = PromptSet(name, tuple(made), tasks, wanted.crossed)
    if wanted.kind == "cells" and not wanted.crossed and tasks in SAME_WORDS and wanted.tasks:
        refuse_if_told_apart(prompts)
    return prompts


def stories_of(
    wanted: CellSet, items: int, seed: int, difficulty: Difficulty, folder: Path = FOLDER
) -> Iterator[Story]:
    """The stories of a set, block by block: halves alternate, then relations."""
    relations = load_relations(folder, difficulty.names)
    blocks = 2 * math.ceil(items / (2 * difficulty.chains))
    usable = [
        r
        for r in relations
        if fits(r, difficulty)
        and (
            "latent" not in (*(wanted.tasks or ()), wanted.cell) or has_latent(r, difficulty.chains)
        )
        and (wanted.kind in ("cells", KNOWN) or r.neutral)
        and (wanted.kind != KNOWN or tells_of_others(r, difficulty.chains))
    ]
    if wanted.cell:
        draw = partial(_block_of_two, wanted, _of_names(wanted.tasks, usable), seed, difficulty)
    else:
        draw = partial(_block_of_one, wanted, usable, seed, difficulty)
    if not usable:
        raise MaterialsError(
            f"no relation gives {wanted.named(difficulty)}: take fewer --chains or --steps, or add "
            "facts or links to prompts/relations."
        )
    supplies: dict[tuple[str, str], Supply] = {}
    for number in range(blocks):
        yield from draw(number, supplies)


def _of_names(names: tuple[str, str] | None, usable: Sequence[Relation]) -> list[Relation]:
    by_name = {relation.name: relation for relation in usable}
    for name in names or ():
        if name not in by_name:
            raise MaterialsError(
                f"there is no relation {name!r} for this cell and difficulty; expected two of "
                f"{', '.join(by_name)}."
            )
    return [by_name[name] for name in names or ()]


def _block_of_one(
    wanted: CellSet,
    usable: Sequence[Relation],
    seed: int,
    difficulty: Difficulty,
    number: int,
    supplies: dict[tuple[str, str], Supply],
) -> list[Story]:
    relation = usable[number // 2 % len(usable)]
    supply = _supply(supplies, relation, number, difficulty)
    rng = random.Random(f"{wanted.kind}/{relation.name}/{seed}/{number}/{difficulty}")
    block = f"{relation.name}{number:03d}"
    if wanted.kind == "cells":
        return draw_block(supply, block, difficulty, rng)
    return draw_known_block(supply, block, difficulty, rng, wanted.kind)


def _block_of_two(
    wanted: CellSet,
    relations: Sequence[Relation],
    seed: int,
    difficulty: Difficulty,
    number: int,
    supplies: dict[tuple[str, str], Supply],
) -> list[Story]:
    """Stories of two relations; which is told first alternates."""
    rng = random.Random(f"{wanted.named(difficulty)}/{seed}/{number}")
    block = f"{relations[0].name}-{relations[1].name}{number:03d}"
    drawn: list[list[Story]] = []
    avoid: set[str] = set()
    for relation in relations:
        supply = _supply(supplies, relation, number, difficulty)
        drawn.append(draw_block(supply, block, difficulty, rng, avoid))
        for story in drawn[-1]:
            for question in (*story.questions.values(), *story.demonstrations):
                avoid |= {question.name, *question.options}
    told = drawn if number // 2 % 2 == 0 else drawn[::-1]
    return [in_one(one, two, wanted.cell) for one, two in zip(told[0], told[1], strict=True)]


def _supply(
    supplies: dict[tuple[str, str], Supply],
    relation: Relation,
    number: int,
    difficulty: Difficulty,
) -> Supply:
    split = (DISCOVERY, EVALUATION)[number % 2]
    key = (relation.name, split)
    if key not in supplies:
        supplies[key] = Supply(relation, split, difficulty.chains)
    return supplies[key]


def _single_items(story: Story, tasks: tuple[str, str] | None) -> list[Item]:
    frame = frames("cells")["single"]
    turns = _turns(
        story, [(put(frame, (), question=q.text), q.answer) for q in story.demonstrations]
    )
    return [
        _item(story, task, question, turns)
        for task, question in story.questions.items()
        if tasks is None or task in tasks
    ]


def _crossed_items(story: Story, tasks: tuple[str, str] | None) -> list[Item]:
    """Four prompts, with solved questions beside the next one each, so that labels are shown."""
    frame = frames("cells")["crossed"]
    solved = []
    for number, question in enumerate(story.demonstrations):
        other = story.demonstrations[(number + 1) % len(story.demonstrations)]
        label = 1 + (number + story.number) % 2
        first, second = (question, other) if label == 1 else (other, question)
        put_two = put(frame, (), first=first.text, second=second.text, label=str(label))
        solved.append((put_two, question.answer))
    turns = _turns(story, solved)
    assert tasks is not None
    treated, control = (_item(story, task, story.questions[task], turns) for task in tasks)
    pair = f"{story.block}-{story.number}"
    four = cross(treated, control, frame=frame, template=story.relation, pair=pair)
    return [replace(item, pair=story.block) for item in four]


def _turns(story: Story, solved: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Solved questions with the story before the first one."""
    told = " ".join(story.premises)
    return tuple((f"{told}\n{m}" if n == 0 else m, answer) for n, (m, answer) in enumerate(solved))


def item_id(story: Story, task: str) -> str:
    """The id of the item that asks a story's question of a task by itself."""
    return f"{story.block}-{story.number}-{task}"


def _item(story: Story, task: str, question: Question, turns: tuple[tuple[str, str], ...]) -> Item:
    shared = "\n".join(f"{message} {answer}" for message, answer in turns)
    shared = shared or " ".join(story.premises)
    other, frame = story.counterfactuals[task], frames("cells")["single"]
    prompt = put(frame, (shared,), question=question.text)
    return Item(
        id=item_id(story, task),
        task=task,
        prompt=prompt,
        pair=story.block,
        template=story.relation,
        domain=story.relation,
        entities=(question.name, question.answer),
        question=question.text,
        answer=question.answer,
        distractors=tuple(a for a in question.options if a != question.answer),
        subject=subject_span(prompt, question.text, question.name),
        counterfactual_prompt=put(frame, (shared,), question=other.text) if other else "",
        counterfactual_answer=other.answer if other else "",
        premises=(shared,),
        hops=question.steps if SOURCE[question.cell] == "context" else 0,
        split=story.split,
        relation=question.relation,
        source=SOURCE[question.cell],
        steps=question.steps,
        turns=turns,
    )
