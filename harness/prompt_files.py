"""People's own prompts: read from JSON lines, CSV or parquet, checked line by line, and crossed.

Every fault is reported with its line, all of them together, so a file is mended in one round.
"""

import difflib
import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.prompt_rows import READERS, SPLITS, Faults, item_of
from harness.prompts import DISCOVERY, EVALUATION, Item, MaterialsError, PromptSet, cross

DEFAULT_TASKS = ("recall", "reasoning")
FRAMES = Path(__file__).resolve().parent.parent / "prompts" / "geography.toml"


def check(path: Path | str, names: Sequence[str] = ()) -> Path:
    """The path, if it names a readable file of a known kind; its content is not looked at.

    Args:
        path: The file.
        names: What else could have been meant, for the message: names of sets.

    Raises:
        MaterialsError: If not; a missing file is answered with the nearest names in its folder.
    """
    path = Path(path).expanduser()
    known = ", ".join(READERS)
    if path.is_dir():
        raise MaterialsError(f"{path} is a folder: expected a prompt file ({known}).")
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise MaterialsError(f"prompt file {path} is not there: there is no folder {folder}.")
        files = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in READERS)
        near = difflib.get_close_matches(path.name, [*files, *names], n=3, cutoff=0.5)
        kinds = f"expected {' or '.join([*names, f'a file ({known})'])}."
        hint = f"did you mean {' or '.join(near)}?" if near else kinds
        raise MaterialsError(f"prompt file {path} is not there: {hint}")
    if path.suffix.lower() not in READERS:
        raise MaterialsError(
            f"prompt file {path} ends in {path.suffix or 'nothing'!r}: expected one of {known} "
            "(.jsonl holds one JSON object a line)."
        )
    return path


def read_prompts(
    path: Path | str,
    *,
    name: str = "",
    tasks: tuple[str, str] | None = None,
    seed: int = 0,
) -> PromptSet:
    """The prompts of a .jsonl, .csv or .parquet file.

    Columns: `prompt` and `task` are needed; `answer`, `distractors` and `premises` (JSON lists, or
    separated by `|`), `score`, `subject`, `domain`, `pair`, `template`, `question`, `split`, `id`
    may be there. A `subject` that stands in the prompt is the entity asked about; one that does
    not is the item's domain unless `domain` says otherwise. Without `pair` an item is a pair of its
    own; without `split` half the pairs of each kind are for discovery (`split_pairs`); without
    `id` an item is named by a hash of its content, so neither depends on the order of lines.
    White space around a value is dropped (before a prompt it is kept).

    Args:
        path: The file.
        name: Of the set; by default the file's name without its ending.
        tasks: The contrast, treated first; by default recall and reasoning if the file has both,
            else its two classes in sorted order.
        seed: Of the split.

    Raises:
        MaterialsError: If the file cannot be used; names every bad line, up to ten.
    """
    path = check(path)
    faults = Faults(path, "row" if path.suffix.lower() == ".parquet" else "line")
    items: list[Item] = []
    ids: dict[str, int] = {}
    try:
        for line, row in READERS[path.suffix.lower()](path, faults):
            item = item_of(line, row, faults)
            if item is None:
                continue
            if item.id in ids:
                faults.add(line, _repeated(item, row, ids[item.id]))
            ids.setdefault(item.id, line)
            items.append(item)
    except OSError as error:
        raise MaterialsError(f"{path} cannot be read: {error.strerror or error}.") from None
    _one_split_a_pair(items, ids, faults)
    faults.complain()
    if not items:
        raise MaterialsError(f"{path} holds no items: expected one prompt a line.")
    chosen = _contrast(path, Counter(item.task for item in items), tasks)
    return PromptSet(name or path.stem, _with_splits(path, items, seed), chosen)


def _repeated(item: Item, row: Mapping[str, Any], first: int) -> str:
    if row.get("id"):
        return f"id {item.id!r} is that of line {first} too; ids must differ"
    return (
        f"the prompt and task of line {first} again; take one away, or name both in an id column "
        "if the repetition is meant"
    )


def _contrast(path: Path, classes: Counter[str], tasks: tuple[str, str] | None) -> tuple[str, str]:
    found = ", ".join(f"{task!r} ({n})" for task, n in sorted(classes.items()))
    if tasks is not None:
        absent = [task for task in tasks if task not in classes]
        if absent or len(set(tasks)) != 2:
            raise MaterialsError(f"{path} cannot contrast {' and '.join(tasks)}: it has {found}.")
        return tasks
    if all(task in classes for task in DEFAULT_TASKS):
        return DEFAULT_TASKS
    if len(classes) == 1:
        raise MaterialsError(
            f"{path} has one class only, {found}: a comparison needs two values in its task column."
        )
    if len(classes) > 2:
        raise MaterialsError(
            f"{path} has {len(classes)} classes, {_cut(found)}: a comparison needs two; name the "
            f"two to compare {' and '.join(DEFAULT_TASKS)} in the task column, or leave only two "
            "classes in the file."
        )
    first, second = sorted(classes)
    return first, second


def _cut(text: str, width: int = 300) -> str:
    return text if len(text) <= width else f"{text[:width]}..."


def _one_split_a_pair(items: Iterable[Item], lines: Mapping[str, int], faults: Faults) -> None:
    """A pair is the unit of analysis: it cannot be chosen on and judged on."""
    splits: dict[str, str] = {}
    for item in items:
        if item.split and splits.setdefault(item.pair, item.split) != item.split:
            faults.add(
                lines[item.id],
                f"pair {item.pair!r} is in split {splits[item.pair]!r} above and in "
                f"{item.split!r} here; a pair belongs to one split",
            )


def _with_splits(path: Path, items: Sequence[Item], seed: int) -> tuple[Item, ...]:
    """Items with the splits the file gives, and drawn ones for pairs it gives none."""
    given = {item.pair: item.split for item in items if item.split}
    drawn = split_pairs([item for item in items if item.pair not in given], seed)
    done = tuple(replace(item, split=given.get(item.pair) or drawn[item.pair]) for item in items)
    found = {item.split for item in done}
    if len(found) == 1 and given:
        raise MaterialsError(
            f"{path} puts every item into split {next(iter(found))!r}: components are chosen on "
            f"{DISCOVERY} items and judged on {EVALUATION} items; name both, or leave the column "
            "out and it is drawn."
        )
    return done


def split_pairs(items: Iterable[Item], seed: int = 0) -> dict[str, str]:
    """Discovery or evaluation for each pair, alternating along a seeded hash of its name.

    Alternates within pairs of the same tasks and template, so both halves hold all of them as
    evenly as can be; the order of items does not matter.
    """
    kinds: dict[str, set[tuple[str, str]]] = {}
    for item in items:
        kinds.setdefault(item.pair, set()).add((item.task, item.template))
    strata: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for pair, kind in kinds.items():
        strata.setdefault(tuple(sorted(kind)), []).append(pair)

    def rank(pair: str) -> str:
        return hashlib.sha256(f"{seed}\n{pair}".encode()).hexdigest()

    split = {}
    turn = 0
    for _, pairs in sorted(strata.items()):
        # Strata of odd size lean to either side in turn.
        for number, pair in enumerate(sorted(pairs, key=rank), turn):
            split[pair] = SPLITS[number % 2]
        turn = (turn + len(pairs)) % 2
    return split


def cross_set(prompts: PromptSet, name: str = "", *, seed: int = 0) -> PromptSet:
    """Each item of the first task in one prompt with an item of the second; see `prompts.cross`.

    Partners are the items of one pair where a pair has both tasks; what is left is matched in
    order. Where partners matched in order lie in different splits, all such pairs are split anew
    by name. The question is the item's `question`, or its prompt. Premises that both share stand
    before the questions; others go with their own question. Items of a third task are left out.

    Raises:
        MaterialsError: If one task has items without a partner.
    """
    together, alone = _partners(prompts)
    frames = tomllib.loads(FRAMES.read_text(encoding="utf-8"))["frames"]["crossed"]
    matched = [_ready(a, b, a.pair if n == 0 else f"{a.pair}/{n}") for n, a, b in together]
    in_order = [_ready(a, b, f"{a.id}+{b.id}") for a, b in alone]
    if any(a.split != b.split for a, b in in_order):
        split = split_pairs([item for two in in_order for item in two], seed)
        in_order = [
            (replace(a, split=split[a.pair]), replace(b, split=split[b.pair])) for a, b in in_order
        ]
    crossed: list[Item] = []
    made: Counter[str] = Counter()
    for a, b in matched + in_order:
        frame = sorted(frames)[made[a.split] % len(frames)]  # both frames in each split
        made[a.split] += 1
        template = f"{frame}-{a.template}" if a.template and a.template == b.template else frame
        crossed += cross(a, b, frame=frames[frame], template=template, pair=a.pair)
    return PromptSet(name or f"{prompts.name}-crossed", tuple(crossed), prompts.tasks, crossed=True)


def _partners(
    prompts: PromptSet,
) -> tuple[list[tuple[int, Item, Item]], list[tuple[Item, Item]]]:
    """(number within the pair, first, second) of one pair, and partners matched in order."""
    first, second = prompts.tasks
    pairs: dict[str, dict[str, list[Item]]] = {}
    for item in prompts.items:
        if item.task in prompts.tasks:
            pairs.setdefault(item.pair, {first: [], second: []})[item.task].append(item)
    together = [
        (n, a, b)
        for row in pairs.values()
        for n, (a, b) in enumerate(zip(row[first], row[second], strict=False))
    ]
    used = {item.id for _, a, b in together for item in (a, b)}
    left = {
        task: [i for i in prompts.items if i.task == task and i.id not in used]
        for task in prompts.tasks
    }
    if len(left[first]) != len(left[second]):
        more, fewer = sorted(prompts.tasks, key=lambda task: -len(left[task]))
        extra = len(left[more]) - len(left[fewer])
        named = ", ".join(repr(item.id) for item in left[more][-min(extra, 3) :])
        raise MaterialsError(
            f"{prompts.name} cannot be crossed: {len(left[first])} {first} and "
            f"{len(left[second])} {second} items without a pair of both; give every item a partner "
            f"in the pair column, or take {extra} {more} items away (the last: {named})."
        )
    return together, list(zip(left[first], left[second], strict=True))


def _ready(a: Item, b: Item, pair: str) -> tuple[Item, Item]:
    """Two items made ready to be crossed: one pair, one split, premises shared or none."""
    shared = a.premises == b.premises and bool(a.question) and bool(b.question)
    return _asking(a, pair, shared), _asking(b, pair, shared)


def _asking(item: Item, pair: str, shared: bool) -> Item:
    question = item.question or item.prompt
    if shared or not item.question:  # a whole prompt has its premises inside
        premises = item.premises if shared else ()
    else:
        question, premises = " ".join([*item.premises, item.question]), ()
    return replace(item, pair=pair, question=question.strip(), premises=premises)
