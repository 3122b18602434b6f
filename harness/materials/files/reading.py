"""Reading prompt files (JSON lines, CSV or parquet) and checking them line by line.

All faults are reported together, each with its line, so that a file can be corrected at once.
"""

import difflib
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.foreign import border, why
from harness.materials.files.columns import LABELS, Names, lettered_columns, with_options
from harness.materials.files.design import separating
from harness.materials.files.parsing import READERS, SHOWN, Faults, rows_of, short
from harness.materials.files.rows import SPLITS, item_of
from harness.materials.items import (
    DISCOVERY,
    EVALUATION,
    SECOND_SET,
    Item,
    MaterialsError,
    PromptSet,
)
from harness.materials.sets import SETS

DEFAULT_TASKS = ("recall", "reasoning")
EXPECTED, REMEDY = "a file of prompts that can be used", "mend it, or give another file"
ALIKE = 0.85  # similarity of a label to one of ours, which it then misspells
NAMED = 200  # characters of a path in a message


def check(path: Path | str, names: Sequence[str] = ()) -> Path:
    """The path, if it names a readable file of a known kind; its content is not read.

    Args:
        path: The file.
        names: Names of sets, which the message suggests.

    Raises:
        MaterialsError: If not; for a missing file, with similar names in its folder.
    """
    try:
        return _checked(Path(path), names)
    except (OSError, RuntimeError) as error:  # a name too long, a folder that is locked, no home
        reason = getattr(error, "strerror", None) or error
        raise MaterialsError(
            f"prompt file {short(str(path), NAMED)} cannot be read: {reason}."
        ) from None


def _checked(path: Path, names: Sequence[str]) -> Path:
    path = path.expanduser()
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
            "(.jsonl holds one JSON object a line: jq -c '.[]' FILE.json > FILE.jsonl)."
        )
    return path


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that was read: its items and its faults.

    Attributes:
        lines: The line of each item.
        names: How its columns were understood.
        again: Lines that repeat a prompt and task, with the line of the first occurrence.
        trimmed: Lines whose prompt ends in white space, which is left out.
    """

    path: Path
    items: tuple[Item, ...]
    lines: tuple[int, ...]
    faults: Faults
    names: Names
    again: tuple[tuple[int, int], ...]
    trimmed: tuple[int, ...] = ()

    def prompt_set(
        self, name: str = "", tasks: tuple[str, str] | None = None, seed: int = 0
    ) -> PromptSet:
        """The items as a set, split in halves; see `read_prompts`.

        Raises:
            MaterialsError: If there are not two classes, or not two halves.
        """
        with border(self.path, EXPECTED, REMEDY, MaterialsError):
            return self._prompt_set(name, tasks, seed)

    def _prompt_set(self, name: str, tasks: tuple[str, str] | None, seed: int) -> PromptSet:
        if not self.items:
            raise MaterialsError(f"{self.path} holds no items: expected one prompt a line.")
        first = [item for item in self.items if item.split != SECOND_SET]
        if not first:
            raise MaterialsError(
                f"{self.path} puts every item into split {SECOND_SET!r}: expected others too, "
                "in which a process is found first."
            )
        classes = Counter(item.task for item in first)
        chosen = _contrast(self.path, classes, tasks, self.names.used.get("task", "task"))
        items = _with_splits(self.path, first, seed)
        second = tuple(item for item in self.items if item.split == SECOND_SET)
        # Else chemistry.jsonl is taken for our set chemistry, whose controls are drawn by name.
        called = self.path.name if self.path.stem in SETS else self.path.stem
        prompts = PromptSet(name or called, items, chosen, second=second)
        return replace(prompts, notes=separating(prompts))


def read(
    path: Path | str, columns: Mapping[str, str] | None = None, *, limit: int | None = SHOWN
) -> Reading:
    """The rows of a file as items; faults are listed, not raised.

    Args:
        path: The file.
        columns: Our column names to the file's; see `columns.parse_columns`.
        limit: Number of faults that are kept; None keeps all.

    Raises:
        MaterialsError: If the file does not exist or cannot be opened.
    """
    with border(path, EXPECTED, REMEDY, MaterialsError):
        return _read(check(path), columns, limit)


def _read(path: Path, columns: Mapping[str, str] | None, limit: int | None) -> Reading:
    kind = path.suffix.lower()
    faults = Faults(path, "row" if kind == ".parquet" else "line", limit)
    names = Names(columns or {})
    items: list[Item] = []
    lines: list[int] = []
    trimmed: list[int] = []
    seen = _Seen()

    def accept(line: int, header: Sequence[str]) -> bool:
        return names.accept(line, list(_joined(dict.fromkeys(header, ""), names)), faults)

    try:
        for line, read_row in rows_of(path, faults, accept):
            row = _joined(read_row, names)
            item = _item_or_fault(line, row, names, faults)
            if item is not None:
                named = row.get(names.used.get("id", "")) not in (None, "")
                seen.check(line, item, named, faults)
                items.append(item)
                lines.append(line)
                raw = row.get(names.used.get("prompt", ""))
                if isinstance(raw, str) and raw[-1:].isspace():
                    trimmed.append(line)
    except OSError as error:
        raise MaterialsError(f"{path} cannot be read: {error.strerror or error}.") from None
    if kind == ".jsonl":  # the others have a header
        names.complete(faults)
    _one_split_a_pair(items, lines, faults)
    _misspelt_labels(items, lines, faults)
    return Reading(
        path,
        _with_topics(items),
        tuple(lines),
        faults,
        names,
        tuple(seen.again),
        tuple(trimmed),
    )


def _joined(row: Mapping[str, Any], names: Names) -> Mapping[str, Any]:
    """The row, with the options of columns A, B, C, ... in one list."""
    lettered = lettered_columns(tuple(row), names.given)
    return with_options(row, lettered) if lettered else row


def _item_or_fault(line: int, row: Mapping[str, Any], names: Names, faults: Faults) -> Item | None:
    """`item_of`; what it cannot cope with is a fault of the row too."""
    try:
        return item_of(line, row, names, faults)
    except Exception as error:  # the border for values: nobody's file ends in a traceback
        faults.add(line, f"cannot be used ({why(error)})")
        return None


def read_prompts(
    path: Path | str,
    *,
    name: str = "",
    tasks: tuple[str, str] | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
) -> PromptSet:
    """The prompts of a .jsonl, .csv or .parquet file.

    Columns: `prompt` (or `question`, which is then asked as `Q: ... A:`) and `task` are needed;
    `answer` and `distractors`, or `options` with `answer_index` or `answer`, `premises` (JSON
    lists, or separated by `|`), `score`, `subject`, `domain`, `pair`, `template`, `question`,
    `split`, `id` are optional. Obvious synonyms are understood (`columns.OTHER_NAMES`);
    `columns` gives any other names. A `subject` that stands in the prompt is the entity asked
    about; one that does not, there or anywhere in the file, and any beside options, is the item's
    domain unless `domain` says otherwise. Without `pair` an item is a pair of its
    own; without `split` half the pairs of each kind are for discovery (`split_pairs`), and those of
    split `second` are asked in the second set alone (`PromptSet.second`); without
    `id` an item is named by a hash of its content, so neither depends on the order of lines.
    White space around a value is dropped (before a prompt it is kept).

    Args:
        path: The file.
        name: Of the set; by default the file's name without its ending.
        tasks: The contrast, treated first; by default recall and reasoning if the file has both,
            else its two classes in sorted order.
        seed: Of the split.
        columns: Our column names to the file's.

    Raises:
        MaterialsError: If the file cannot be used; names every bad line, up to ten.
    """
    reading = read(path, columns)
    told = [f"--prompt-columns {ours}={theirs}" for ours, theirs in (columns or {}).items()]
    command = ["python", "-m", "harness", "prompts", "check", str(path), *" ".join(told).split()]
    reading.faults.complain(f"all of them: {shlex.join([*command, '--all'])}")
    return reading.prompt_set(name, tasks, seed)


@dataclass(slots=True)
class _Seen:
    """Ids and prompts of earlier lines."""

    ids: dict[str, int] = field(default_factory=dict)
    prompts: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    again: list[tuple[int, int]] = field(default_factory=list)

    def check(self, line: int, item: Item, named: bool, faults: Faults) -> None:
        """Note a repeated id, and a prompt that an earlier line has under another task."""
        first = self.ids.setdefault(item.id, line)
        if first != line and named:
            faults.add(line, f"id {item.id!r} is that of line {first} too; ids must differ")
        elif first != line:
            faults.add(
                line,
                f"the prompt and task of line {first} again; take one away, or name both in an id "
                "column if the repetition is meant",
            )
        text = " ".join(item.prompt.split()).encode()
        above, task = self.prompts.setdefault(
            hashlib.blake2b(text, digest_size=16).digest(), (line, item.task)
        )
        if task != item.task:
            faults.add(
                line,
                f"the prompt of line {above} again, which is {task!r} there and {item.task!r} "
                "here: a model cannot tell them apart; keep one label",
            )
        elif above != line:
            self.again.append((line, above))


def _with_topics(items: Sequence[Item]) -> tuple[Item, ...]:
    """Use a subject that is a topic elsewhere in the file as the item's domain too.

    "history" occurs in some questions about history, but is never the entity asked about.
    """
    topics = {item.domain for item in items if item.domain and item.subject is None}
    return tuple(
        replace(item, domain=item.entities[0], entities=(), subject=None)
        if item.subject and not item.domain and item.entities[0] in topics
        else item
        for item in items
    )


def _contrast(
    path: Path, classes: Counter[str], tasks: tuple[str, str] | None, column: str = "task"
) -> tuple[str, str]:
    found = _cut(", ".join(f"{task!r} ({n})" for task, n in sorted(classes.items())))
    if tasks is not None:
        absent = [task for task in tasks if task not in classes]
        if absent or len(set(tasks)) != 2:
            raise MaterialsError(f"{path} cannot contrast {' and '.join(tasks)}: it has {found}.")
        return tasks
    if all(task in classes for task in DEFAULT_TASKS):
        return DEFAULT_TASKS
    if len(classes) == 1:
        raise MaterialsError(
            f"{path} has one class only, {found}: a comparison needs two values in its column "
            f"{column!r} (another is named by --prompt-columns task=COLUMN)."
        )
    if len(classes) > 2:
        raise MaterialsError(
            f"{path} has {len(classes)} classes in its column {column!r}, {found}: a comparison "
            f"needs two; name the two to compare {' and '.join(DEFAULT_TASKS)}, or leave only two "
            "classes in the file."
        )
    first, second = sorted(classes)
    return first, second


def _cut(text: str, width: int = 300) -> str:
    return text if len(text) <= width else f"{text[:width]}..."


def _one_split_a_pair(items: Iterable[Item], lines: Iterable[int], faults: Faults) -> None:
    """Note pairs that are in both splits: a pair is the unit of analysis."""
    splits: dict[str, str] = {}
    for item, line in zip(items, lines, strict=True):
        if item.split and splits.setdefault(item.pair, item.split) != item.split:
            faults.add(
                line,
                f"pair {item.pair!r} is in split {splits[item.pair]!r} above and in "
                f"{item.split!r} here; a pair belongs to one split",
            )


def _misspelt_labels(items: Sequence[Item], lines: Sequence[int], faults: Faults) -> None:
    """Note labels that look like one of ours, in a file that has both of ours."""
    counts = Counter(item.task for item in items)
    if not all(task in counts for task in DEFAULT_TASKS):
        return
    for label, number in counts.items():
        near = difflib.get_close_matches(label.lower(), LABELS, n=1, cutoff=ALIKE)
        if near and label not in DEFAULT_TASKS:
            first = next(n for n, i in zip(lines, items, strict=True) if i.task == label)
            more = f" (and {number - 1:,} more)" if number > 1 else ""
            faults.add(first, f"label {label!r}{more}; did you mean {near[0]!r}?")


def _with_splits(path: Path, items: Sequence[Item], seed: int) -> tuple[Item, ...]:
    """Items with the splits of the file, or drawn splits for pairs without one."""
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
