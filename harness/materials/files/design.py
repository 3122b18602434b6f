"""What alone separates the classes of a file by its design: answers, question types, source, steps.

Measures of the prompts (`confounds`) do not show these: a set of prompts of equal length and words
may still ask one kind of question in one class and another kind in the other.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from harness.materials.items import Item, PromptSet, stands_in

WORD = re.compile(r"\w+")
SHARED = 0.9  # of a class's prompts hold a word that belongs to its wording
WORDING = 0.5  # of a prompt's words, at the median, that make it a filled-in wording
LEAST = 3  # prompts of a class from which its wording can be told
SHOWN = 3  # names in a sentence
RELATIONS = 8  # question types in both classes, from which one can speak of a process


def separating(prompts: PromptSet) -> tuple[str, ...]:
    """One sentence for each thing that tells every item of one class from those of the other.

    Question types first, because they decide what can be claimed at all.
    """
    classes = {task: [i for i in prompts.items if i.task == task] for task in prompts.tasks}
    sentences = [
        _question_types(classes, prompts.crossed),
        _source_and_steps(classes),
        *_in_the_prompt(classes),
        _vocabularies(classes),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _question_types(classes: dict[str, list[Item]], crossed: bool) -> str:
    types = {task: _types(items, crossed) for task, items in classes.items()}
    if not all(types.values()):
        return ""
    first, second = (set(names) for names in types.values())
    said = "; ".join(f"{task}: {_some(sorted(names))}" for task, names in types.items())
    if len(first) == len(second) == 1:
        return (
            f"each class asks one type of question ({said}): no claim about processes can be made; "
            f"let both classes ask the same types, {RELATIONS} or more (column relation)"
        )
    if first.isdisjoint(second):
        return (
            f"the classes ask no type of question in common ({said}): a difference may be one of "
            "questions, so no claim about processes can be made (column relation)"
        )
    return ""


def _types(items: Sequence[Item], crossed: bool) -> set[str]:
    """Names of the question types; empty where neither columns nor wording tell them."""
    # The template of a crossed prompt is the frame around both questions.
    named = {item.relation or ("" if crossed else item.template) for item in items}
    if "" not in named:
        return named
    wording = _one_wording([item.question or item.prompt for item in items])
    return {wording} if wording else set()


def _one_wording(questions: Sequence[str]) -> str:
    """The words that all the questions have in common, if they are most of each; else ""."""
    words = [dict.fromkeys(WORD.findall(question.lower())) for question in questions]
    if len(words) < LEAST:
        return ""
    counts = Counter(word for row in words for word in row)
    common = {word for word, n in counts.items() if n >= SHARED * len(words)}
    shares = sorted(len(common & row.keys()) / max(len(row), 1) for row in words)
    if shares[len(shares) // 2] <= WORDING:
        return ""
    row = max(words, key=lambda row: len(common & row.keys()))
    return repr(" ".join(word if word in common else "..." for word in row))


def _source_and_steps(classes: dict[str, list[Item]]) -> str:
    """What differs between the classes of source and steps, where every item has both."""
    cells = [{(i.source, i.steps) for i in items} for items in classes.values()]
    if any(not source or not steps for cell in cells for source, steps in cell):
        return ""
    apart = [
        name
        for name, at in (("source", 0), ("steps", 1))
        if {c[at] for c in cells[0]}.isdisjoint(c[at] for c in cells[1])
    ]
    if len(apart) < 2:
        return ""
    return "source and steps differ at once between the classes: neither can be told from the other"


def _in_the_prompt(classes: dict[str, list[Item]]) -> Iterable[str]:
    """Whether answers, or distractors, stand in the prompts of one class only."""
    having: dict[str, Callable[[Item], tuple[str, ...]]] = {
        "answer": lambda item: (item.answer,) if item.answer else (),
        "distractors": lambda item: item.distractors,
    }
    for name, texts_of in having.items():
        hits = {}
        for task, items in classes.items():
            asked = [(i, texts_of(i)) for i in items if texts_of(i)]
            found = sum(any(stands_in(text, i.prompt) for text in texts) for i, texts in asked)
            hits[task] = found, len(asked)
        if not all(n for _, n in hits.values()):
            continue
        (fewer, (low, n)), (more, (high, of)) = sorted(
            hits.items(), key=lambda row: row[1][0] / row[1][1]
        )
        if low == 0 < high:
            verb = "stands" if name == "answer" else "stand"
            yield (
                f"the {name} {verb} in the prompt for {more} only ({high:,} of {of:,}; {fewer}: "
                f"0 of {n:,})"
            )


def _vocabularies(classes: dict[str, list[Item]]) -> str:
    """Whether no answer of one class is an answer of the other."""
    answers = [{i.answer.lower() for i in items if i.answer} for items in classes.values()]
    if not all(answers) or not answers[0].isdisjoint(answers[1]):
        return ""
    counted = " and ".join(
        f"{len(words):,} of {task} ({_some(sorted(words))})"
        for task, words in zip(classes, answers, strict=True)
    )
    return f"the answers share nothing between the classes: {counted}"


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
