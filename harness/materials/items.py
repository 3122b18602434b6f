"""Items, prompt sets, and the crossing of two questions in one prompt.

An *item* is one prompt with everything that is known about it. A *pair* is the unit of
analysis: its items share facts and premises, stay in one fold, and have their task labels
exchanged together. The named sets are drawn in `sets`; `files` reads prompt files.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain
from typing import Any, Self

from harness.foreign import ForeignError

DISCOVERY, EVALUATION = "discovery", "evaluation"
SECOND_SET = "second"  # split of a file's prompts that are asked in its second set alone
OF_CELLS = ("relation", "source", "steps", "turns")  # fields that other items leave empty


class MaterialsError(ForeignError):
    """Materials that cannot be used; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Item:
    """One prompt. Without slots, so that its text for hashes is made once, whatever set it is in.

    Attributes:
        id: Unique within its set.
        task: The label that is compared: recall, lookup, reasoning, or a user's own.
        prompt: The text the model reads, without a trailing space.
        pair: The unit of analysis; see the module's docstring.
        question: The question alone, which crossing combines with another one.
        answer: Expected continuation, without its leading space; empty if unscored.
        distractors: Wrong answers of the same type.
        subject: Character span in `prompt` of the entity asked about, or None.
        counterfactual_prompt: Minimally different prompt with as many words, whose right answer is
            `counterfactual_answer`; empty if there is none.
        hops: Premises needed for the answer; 0 for recall.
        order: Crossed prompts: 1 if the first-named task's question stands first, else 2.
        label: Crossed prompts: the number of the question that is asked; 0 otherwise.
        split: `discovery` (for choices) or `evaluation` (for judging).
        score: Graded label where the materials carry one.
        relation: The question type of a cell; empty elsewhere.
        source: Where the answer of a cell comes from, `weights` or `context`; empty elsewhere.
        steps: Steps to the answer of a cell; 0 elsewhere.
        turns: Solved questions before the one that is asked, as (message, answer); the first
            message holds the story too. The prompt begins with them, a line feed after each answer.
    """

    id: str
    task: str
    prompt: str
    pair: str
    template: str = ""
    domain: str = ""
    entities: tuple[str, ...] = ()
    question: str = ""
    answer: str = ""
    distractors: tuple[str, ...] = ()
    subject: tuple[int, int] | None = None
    counterfactual_prompt: str = ""
    counterfactual_answer: str = ""
    premises: tuple[str, ...] = ()
    hops: int = 0
    order: int = 0
    label: int = 0
    split: str = DISCOVERY
    score: float | None = None
    relation: str = ""
    source: str = ""
    steps: int = 0
    turns: tuple[tuple[str, str], ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """The prompt as a chat: user and assistant in turn, the last message a user's."""
        before = "".join(f"{message} {answer}\n" for message, answer in self.turns)
        if not self.prompt.startswith(before):  # another text was put in its place
            return (self.prompt,)
        return (*chain.from_iterable(self.turns), self.prompt.removeprefix(before))

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON. Not by `asdict`: its deep copies take a second for each set.

        What only cells have is left out of other items, whose hashes are on record.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: v for k, v in values.items() if v or k not in OF_CELLS}

    @cached_property
    def hashed(self) -> bytes:
        """Every field as it counts in the hash of a set."""
        return json.dumps(self.to_json(), ensure_ascii=False).encode()


@dataclass(frozen=True)
class PromptSet:
    """A named, ordered collection of items. Without slots, so that its hash is computed once.

    Attributes:
        tasks: The contrast, treated first: (recall, reasoning) by default.
        crossed: True if every pair holds two orders by two labels (see `cross`).
        notes: Sentences that stand on every verdict on the set; they do not change its hash.
        second: What is asked again of a process that was found on the items, of somebody's own
            file; named sets draw theirs.
    """

    name: str
    items: tuple[Item, ...]
    tasks: tuple[str, str] = ("recall", "reasoning")
    crossed: bool = False
    notes: tuple[str, ...] = ()
    second: tuple[Item, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every field of every item."""
        digest = hashlib.sha256(f"{self.name}\n{self.tasks}\n[".encode())
        for number, item in enumerate((*self.items, *self.second)):  # one by one: may be many
            digest.update((b", " if number else b"") + item.hashed)
        digest.update(b"]")
        return digest.hexdigest()

    @property
    def grade(self) -> str:
        """What a contrast is worth as evidence: A where tasks are balanced by crossing, else B."""
        return "A" if self.crossed else "B"

    @property
    def template_hash(self) -> str:
        """SHA-256 over the template names, in order."""
        return hashlib.sha256("\n".join(i.template for i in self.items).encode()).hexdigest()

    @property
    def pairs(self) -> tuple[str, ...]:
        """Pair names in order of first appearance."""
        return tuple(dict.fromkeys(item.pair for item in self.items))

    def count(self) -> dict[str, int]:
        """Items of each task."""
        tasks = dict.fromkeys(item.task for item in self.items)
        return {task: sum(item.task == task for item in self.items) for task in tasks}

    def where(self, keep: Callable[[Item], bool], name: str | None = None) -> Self:
        """The subset of items for which `keep` is true."""
        items = tuple(item for item in self.items if keep(item))
        return replace(self, items=items, name=name or self.name)


def together(sets: Sequence[PromptSet]) -> tuple[PromptSet, list[list[int]]]:
    """Sets as one, pair by pair, so that prompts of one story are neighbours.

    Returns:
        The set, and where in it the items of each are.
    """
    named = [(item.pair, which, item) for which, each in enumerate(sets) for item in each.items]
    first = {pair: place for place, (pair, _, _) in reversed([*enumerate(named)])}
    ordered = sorted(named, key=lambda entry: first[entry[0]])
    rows = [[at for at, entry in enumerate(ordered) if entry[1] == n] for n in range(len(sets))]
    items = tuple(item for _, _, item in ordered)
    return replace(sets[0], name=" and ".join(s.name for s in sets), items=items), rows


def stands_in(text: str, prompt: str) -> bool:
    """Whether the text stands in the prompt as whole words, in any case."""
    text, prompt = text.lower(), prompt.lower()
    return text in prompt and bool(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", prompt))


def subject_span(prompt: str, question: str, entity: str) -> tuple[int, int] | None:
    """Character span of `entity` inside `question` inside `prompt`; None if it is not there."""
    start = prompt.rfind(question)
    inside = question.find(entity)
    if start < 0 or inside < 0:
        return None
    return start + inside, start + inside + len(entity)


def put(frame: str, premises: Sequence[str], **fields: str) -> str:
    """Fill a frame; without premises, the space after them is left out too."""
    return frame.format(premises=" ".join(premises), **fields).strip()


def cross(treated: Item, control: Item, *, frame: str, template: str, pair: str) -> list[Item]:
    """Four prompts that hold both questions and ask for one of them by its label.

    Two orders (which question stands first) by two labels (which one is asked for). The
    task asked is the exclusive-or of order and label, so over the four prompts tokens, positions
    and lengths are balanced between the tasks under any tokenizer.

    Raises:
        MaterialsError: If the two items do not share their premises.
    """
    if treated.premises != control.premises:
        raise MaterialsError(
            f"items {treated.id!r} and {control.id!r} cannot be crossed: their premises differ; "
            "cross items that were made from one story, or items without premises."
        )
    items = []
    for order in (1, 2):
        first, second = (treated, control) if order == 1 else (control, treated)
        for label in (1, 2):
            asked = first if label == 1 else second
            questions = {"first": first.question, "second": second.question, "label": str(label)}
            prompt = put(frame, treated.premises, **questions)
            items.append(
                replace(
                    asked,
                    id=f"{pair}-{order}{label}",
                    prompt=prompt,
                    pair=pair,
                    template=template,
                    subject=subject_span(prompt, asked.question, asked.entities[0])
                    if asked.entities
                    else None,
                    counterfactual_prompt="",
                    counterfactual_answer="",
                    order=order,
                    label=label,
                )
            )
    return items


def paired(items: Iterable[Item], tasks: tuple[str, str]) -> dict[str, dict[str, list[int]]]:
    """Positions in `items` by pair and task, for pairs that have both tasks."""
    table: dict[str, dict[str, list[int]]] = {}
    for position, item in enumerate(items):
        if item.task in tasks:
            table.setdefault(item.pair, {}).setdefault(item.task, []).append(position)
    return {pair: row for pair, row in table.items() if len(row) == len(tasks)}
