"""Making items of the rows of a prompt file; faults are noted with their line numbers."""

import ast
import contextlib
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.foreign import printable
from harness.materials.files.columns import (
    CELL,
    LABELS,
    LISTS,
    TEXTS,
    Names,
    has_published_score,
    named_instead,
)
from harness.materials.files.parsing import Faults, Wrong, short
from harness.materials.items import DISCOVERY, EVALUATION, SECOND_SET, Item

SPLITS = (DISCOVERY, EVALUATION)
STATED = (*SPLITS, SECOND_SET)  # as a file may state them
SOURCES = ("weights", "context")
SEPARATOR = "|"
FRAME = "Q: {}\nA:"  # around a question, as in the public code on labelled sets
DIGITS = 18  # of a place among options; Python refuses to read some thousands
PUBLISHED_LIMIT = 0.5  # of its graded score: above is reasoning


@dataclass(slots=True)
class _Row:
    """One row while it is read."""

    line: int
    row: Mapping[str, Any]
    layout: Mapping[str, str]
    faults: Faults
    wrong: set[str] = field(default_factory=set)

    def raw(self, column: str) -> Any:
        """The text in a column; None if it is empty."""
        found = self.row.get(self.layout[column]) if column in self.layout else None
        return None if found == "" or (isinstance(found, float) and math.isnan(found)) else found

    def value(self, column: str, convert: Callable[[str, Any], Any]) -> Any:
        """The converted value; what a missing one converts to if it is wrong, which is noted."""
        found = self.row.get(self.layout[column]) if column in self.layout else None
        try:
            return convert(column, found)
        except Wrong as wrong:
            self.wrong.add(column)
            self.complain(str(wrong))
            return convert(column, None)

    def complain(self, text: str) -> None:
        """Note a fault."""
        self.faults.add(self.line, text)


def item_of(line: int, row: Mapping[str, Any], names: Names, faults: Faults) -> Item | None:
    """The item of a row; None if the row has a fault, which is noted."""
    before = faults.count
    at = _Row(line, row, names.layout(line, tuple(row), faults), faults)
    here = at.layout
    texts = {column: at.value(column, _text) if column in here else "" for column in TEXTS}
    lists = {column: at.value(column, _list) if column in here else () for column in LISTS}
    score = at.value("score", _score)
    steps = at.value("steps", _steps)
    prompt = at.value("prompt", _prompt)
    if prompt is None and texts["question"]:
        prompt = FRAME.format(texts["question"])
    task = _task(at, score, names)
    options = at.value("options", _options)
    if options:
        texts["answer"], distractors = _choice(at, options, names)
        if lists["distractors"]:
            at.complain("options and distractors: expected one of the two")
    else:
        texts["answer"], distractors = at.value("answer", _text), lists["distractors"]
        if at.raw("answer_index") is not None and "options" not in at.wrong:
            at.complain("answer_index without options; give them, or the answer's text")
    _check(at, prompt, task, texts, distractors)
    if faults.count > before:
        return None
    assert prompt is not None
    item = _item(prompt, task, texts, distractors, lists["premises"], score, bool(options))
    if not any(column in at.layout for column in CELL):
        return item
    source = texts["source"].lower()
    if source and source not in SOURCES:  # "source" is also what others call an origin
        names.other_sources[texts["source"]] = None
        source = ""
    return replace(item, relation=texts["relation"], source=source, steps=steps)


def _task(at: _Row, score: float | None, names: Names) -> str:
    """The task of the label, or of the published score where there is no label."""
    if "task" not in at.layout and score is not None and has_published_score(at.layout):
        above = score > PUBLISHED_LIMIT
        label = f"{at.layout['score']} {'>' if above else '<='} {PUBLISHED_LIMIT}"
        return names.labels.setdefault(label, "reasoning" if above else "recall")
    task: str = printable(at.value("task", _text))  # it is shown everywhere
    return names.labels.setdefault(task, LABELS.get(task.lower(), task)) if task else ""


def _check(
    at: _Row,
    prompt: str | None,
    task: str,
    texts: Mapping[str, str],
    distractors: tuple[str, ...],
) -> None:
    """Note missing and contradictory values."""
    if not prompt and "prompt" not in at.wrong:
        missing = prompt is None
        at.complain(
            "no prompt, expected the text" + named_instead("prompt")
            if missing
            else "the prompt is empty"
        )
    if not task and "task" not in at.wrong:
        missing = at.row.get(at.layout.get("task", "")) is None
        at.complain(
            "no task, expected a label" + named_instead("task") if missing else "the task is empty"
        )
    if distractors and not texts["answer"] and "answer" not in at.wrong:
        at.complain("distractors without an answer; give the answer or leave both out")
    if texts["answer"] and texts["answer"] in distractors:
        at.complain(f"the answer {texts['answer']!r} is among its distractors")
    if texts["split"] not in ("", *STATED):
        at.complain(
            f"split is {texts['split']!r}: expected {' or '.join(STATED)} (a column that means "
            "something else is left out by --prompt-columns split=)"
        )


def _item(
    prompt: str,
    task: str,
    texts: Mapping[str, str],
    distractors: tuple[str, ...],
    premises: tuple[str, ...],
    score: float | None,
    chosen: bool,
) -> Item:
    """The item; what multiple choice calls a subject is a topic, and goes to the domain."""
    named = texts["subject"]
    at = prompt.rfind(named) if named and not chosen else -1
    content = [prompt, task, texts["pair"], texts["template"]]
    if chosen:  # "Which of these is true?" is asked more than once
        content.append(texts["answer"])
    name = texts["id"] or hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    return Item(
        id=name,
        task=task,
        prompt=prompt,
        pair=texts["pair"] or name,
        template=texts["template"],
        domain=texts["domain"] or (named if at < 0 else ""),
        entities=(named,) if at >= 0 else (),
        question=texts["question"],
        answer=texts["answer"],
        distractors=distractors,
        subject=(at, at + len(named)) if at >= 0 else None,
        premises=premises,
        hops=0,
        split=texts["split"],
        score=score,
    )


def _choice(at: _Row, options: tuple[str, ...], names: Names) -> tuple[str, tuple[str, ...]]:
    """The right option and the others; empty if the right one is unclear."""
    answer, index = at.raw("answer"), at.raw("answer_index")
    try:
        if index is not None:
            place = _place("answer_index", index, len(options))
            if answer is not None and place not in _meant(answer, options):
                raise Wrong(
                    f"answer is {short(answer)} and answer_index {short(index)} means "
                    f"{short(options[place])}: expected the same option"
                )
        elif answer is not None:
            place = _only(answer, options, text_only="answer" in names.given)
        else:
            raise Wrong("options without an answer; give answer or answer_index")
        if options.count(options[place]) > 1:
            raise Wrong(f"the right option {short(options[place])} is there twice")
    except Wrong as wrong:
        at.complain(str(wrong))
        return "", ()
    others = (option for n, option in enumerate(options) if n != place)
    return options[place], tuple(dict.fromkeys(others))


def _only(answer: Any, options: tuple[str, ...], text_only: bool) -> int:
    """The one option that the answer can mean."""
    meant = [p for p in _meant(answer, options) if not text_only or options[p] == str(answer)]
    if not meant:
        n = len(options)
        other = "" if text_only else f", a letter A to {_letter(n - 1)}, or 0 to {n - 1}"
        raise Wrong(f"answer is {short(answer)}: expected the text of one of {n} options{other}")
    if len(meant) > 1:
        raise Wrong(
            f"answer {short(answer)} is the text of one option and the place of another; say which "
            "with --prompt-columns answer_index=COLUMN or answer=COLUMN"
        )
    return meant[0]


def _meant(answer: Any, options: tuple[str, ...]) -> list[int]:
    """Indices of the options that the answer can mean: by text, letter or index."""
    text = str(answer).strip() if not isinstance(answer, bool) else ""
    places = [options.index(text)] if text in options else []
    with contextlib.suppress(Wrong):
        places.append(_place("answer", answer, len(options)))
    return list(dict.fromkeys(places))


def _place(column: str, value: Any, count: int) -> int:
    """An index from a number, counted from 0, or from a letter, A being 0."""
    place = -1
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        place = value
    elif isinstance(value, str):
        text = value.strip().strip("().").upper()
        if text.isdecimal() and len(text) <= DIGITS:
            place = int(text)
        elif len(text) == 1 and "A" <= text <= "Z":
            place = ord(text) - ord("A")
    if not 0 <= place < count:
        raise Wrong(
            f"{column} is {short(value)}: expected 0 to {count - 1} (counted from 0) or a letter "
            f"A to {_letter(count - 1)} for {count} options"
        )
    return place


def _letter(place: int) -> str:
    return chr(ord("A") + min(place, 25))


def _prompt(column: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Wrong(f"{column} is {short(value)}: expected text")
    _text(column, value)
    return value.rstrip()


def _text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):  # "answer": 4, "pair": 17
        return str(value)
    if not isinstance(value, str):
        raise Wrong(f"{column} is {short(value)}: expected text in quotes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Wrong(f"{column} holds half a surrogate pair: {short(ascii(value))}") from None
    return value.strip()


def _list(column: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = _text(column, value)
        if not value.startswith("["):
            return tuple(part for p in value.split(SEPARATOR) if (part := p.strip()))
        value = _parsed(column, value)
    if not isinstance(value, list):
        raise Wrong(f"{column} is {short(value)}: expected a list of texts")
    texts = tuple(_text(f"an entry of {column}", entry) for entry in value)
    if not all(texts):
        raise Wrong(f"{column} holds an empty entry: {short(value)}")
    return texts


def _parsed(column: str, text: str) -> Any:
    """A JSON list, or options as Python writes a list into a table."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if column != "options":  # ['a' 'b'] would be one entry, which two options cannot be
            raise Wrong(f"{column} is not a JSON list: {short(text)}") from None
    try:
        with warnings.catch_warnings(action="ignore"):  # of backslashes
            return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise Wrong(f"{column} is not a JSON list: {short(text)}") from None


def _options(column: str, value: Any) -> tuple[str, ...]:
    options = _list(column, value)
    if len(options) == 1:
        raise Wrong(f"{column} is {short(value)}: expected a JSON list of two or more")
    return options


def _steps(column: str, value: Any) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Wrong(
            f"{column} is {short(value)}: expected a whole number, 1 or more (a column that means "
            f"something else is left out by --prompt-columns {column}=)"
        )
    return value


def _score(column: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"{column} is {short(value)}: expected a number") from None
    if not math.isfinite(number):
        raise Wrong(f"{column} is {short(value)}: expected a finite number")
    return number
