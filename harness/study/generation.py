"""Answers as generated text: greedy, of bounded length, parsed or counted as wrong.

An answer that cannot be parsed counts as wrong, and the share of parsed answers is reported with
every accuracy.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from harness.activations.extracted import Stored
from harness.materials.items import Item, PromptSet
from harness.study.subject import Subject

if TYPE_CHECKING:
    from harness.adapter import Model
    from harness.interventions.edits import EditSet

GENERATION_VERSION = 1  # raise it when generating or parsing changes its meaning
STATED = re.compile(r"\banswer(?:\s+is|\s*:)", re.IGNORECASE)
# Where a model, after its answer, goes on with a question that it makes up.
NEXT = re.compile(r"\n\s*\n|\n\s*(?:Q|Question)\b|\bQuestion\s*\d*\s*:", re.IGNORECASE)
_EITHER = r"\s*(?:,\s*)?(?:/|or\b)\s*"  # between two answers, which is one too many
BEFORE = " \t\r\n*_\"'`“‘:-"  # what may stand before an answer


@dataclass(frozen=True, slots=True)
class Generated(Stored):
    """Parsed answers of greedy generation.

    Attributes:
        parsed: 1 if the text names one candidate answer, else 0; nan without an answer.
        right: 1 if that is the right one, else 0; nan without an answer.
    """

    parsed: Float[np.ndarray, " prompt"]
    right: Float[np.ndarray, " prompt"]


def letters(prompt: str, candidates: Sequence[str]) -> dict[str, int]:
    """The letter that the prompt gives to each candidate; empty unless every one has its own."""
    by_letter: dict[str, int] = {}
    for place, candidate in enumerate(candidates):
        # Up to the end of the line or the next letter, so that "New York" is not "New York City".
        shown = re.findall(
            rf"(?:^|[\s(])([A-Z])[).:]\s*{re.escape(candidate)}[.,;]?\s*(?:\n|$|\(?[A-Z][).:])",
            prompt,
        )
        if len(set(shown)) != 1:
            return {}
        by_letter[shown[0]] = place
    return by_letter if len(by_letter) == len(candidates) else {}


def parse_answer(text: str, candidates: Sequence[str], lettered: Mapping[str, int]) -> int | None:
    """The index of the candidate that a text answers with; None if it is not clear.

    In this order: what the text begins with; what follows "answer is" or "answer:"; the one
    candidate that is mentioned, if no other is. Case does not matter. Text after a blank line
    or a new question is not read.

    Args:
        text: What was written after the prompt.
        candidates: The possible answers.
        lettered: See `letters`; without any, letters are not answers.
    """
    if all(len(c) == 1 and c.isalpha() for c in candidates):  # the answers are letters themselves
        lettered = {letter.upper(): place for place, letter in enumerate(candidates)}
        candidates = ()
    head = NEXT.split(text.lstrip(BEFORE), maxsplit=1)[0]
    stated = STATED.search(head)
    for start in (0, stated.end() if stated else 0):
        first = begins(head[start:].lstrip(BEFORE), candidates, lettered)
        if first is not None:
            return first
    named = {place for place, c in enumerate(candidates) if _search(rf"(?<!\w){_word(c)}", head)}
    named |= {lettered[m] for m in re.findall(r"\(([A-Z])\)", head) if m in lettered}
    return named.pop() if len(named) == 1 else None


def begins(text: str, candidates: Sequence[str], lettered: Mapping[str, int]) -> int | None:
    """The index of the one candidate, or of its letter, that a text begins with."""
    whole = [place for place, c in enumerate(candidates) if _matches(c, text)]
    if whole:  # of "New York" and "New York City" the longer
        place = max(whole, key=lambda place: len(candidates[place]))
        either = re.match(_EITHER, text[len(candidates[place]) :], re.IGNORECASE)
        rest = text[len(candidates[place]) + either.end() :] if either else ""
        return None if any(_matches(c, rest) for c in candidates) else place
    # A bare letter must end its line: "A town" begins with an article.
    letter = re.match(r"\(([A-Z])\)|([A-Z])(?:[).:](?=\s|$)|,|\s*(?:\n|$))", text)
    return lettered.get(letter[1] or letter[2]) if letter else None


def _word(candidate: str) -> str:
    return rf"{re.escape(candidate)}(?!\w)"


def _matches(candidate: str, text: str) -> bool:
    return re.match(_word(candidate), text, re.IGNORECASE) is not None


def _search(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def marked(items: Sequence[Item], texts: Sequence[str]) -> Generated:
    """The answers parsed from the texts written after each item."""
    parsed, right = np.full((2, len(items)), np.nan, np.float32)
    for row, (item, text) in enumerate(zip(items, texts, strict=True)):
        if item.answer:
            candidates = (item.answer, *item.distractors)
            place = parse_answer(text, candidates, letters(item.prompt, candidates))
            parsed[row], right[row] = place is not None, place == 0
    return Generated(parsed, right)


def generated(
    subject: Subject,
    prompts: PromptSet,
    most: int,
    edits: "Callable[[], EditSet]" = tuple,
    edited: str = "",
) -> Generated:
    """Answers that a model generates after each prompt, parsed; from the store or measured.

    Args:
        subject: The model.
        prompts: The prompts.
        most: Tokens it may write.
        edits: Makes the edits under which it generates.
        edited: The identity of these edits, part of the address.
    """
    what: dict[str, Any] = {"kind": "generated", "version": GENERATION_VERSION, "most": most}

    def measure(model: "Model", items: tuple[Item, ...]) -> Mapping[str, np.ndarray]:
        return marked(items, model.generate(items, most, edits())).arrays()

    return Generated.from_arrays(subject.fetch({**what, "edits": edited}, prompts, measure))


def has_options(prompts: PromptSet) -> bool:
    """Whether prompts show their options by letter: multiple choice."""
    return any(letters(i.prompt, (i.answer, *i.distractors)) for i in prompts.items if i.answer)
