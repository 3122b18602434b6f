"""The output of `prompts check`, as lines of text."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.findings.processes.kinds import PROCESSES, RETRIEVAL
from harness.findings.processes.materials import design_gates
from harness.materials.cell_sets import whole_cells
from harness.materials.files.columns import OPTION
from harness.materials.files.confounds import CLEAR, Auc, Confound
from harness.materials.files.reading import Reading
from harness.materials.files.word_confound import WordsAuc
from harness.materials.items import DISCOVERY, EVALUATION, SECOND_SET, Item, PromptSet, paired
from harness.materials.sets import no_process
from harness.materials.surface import Balance

NO_SECOND_SET = (
    "claims about retrieval in h1 to h3 and h7 can be refuted here, but not supported: they ask "
    f"again in a second set, where every name is known; give such prompts the split {SECOND_SET!r}"
)
SEPARATES = 0.9  # an AUC that is enough alone
MOST = 3  # measures named in the last paragraph
_PLURALS = ("digits", "distractors", "the words")
_LABELS = 6  # labels shown
REPEATS = 5  # repeated prompts shown
_NAME = 44  # width of the first column of the table


def columns(reading: Reading) -> list[str]:
    """How columns and labels were understood, and which columns were not read."""
    names = reading.names
    renamed = [f"{theirs} is our {ours}" for ours, theirs in names.used.items() if ours != theirs]
    lines = [f"{reading.path}: {len(reading.items):,} prompts can be used"]
    if names.used:
        same = [ours for ours, theirs in names.used.items() if ours == theirs]
        lines.append(f"  columns   {', '.join([*same, *renamed])}")
    if names.unread:
        unread = [f"{c} (is it {near}?)" if near else c for c, near in names.unread.items()]
        lines.append(f"  not read  {', '.join(unread)} ({OPTION} ours=theirs if one is of use)")
    turned = [f"{raw!r} is {task}" for raw, task in names.labels.items() if raw != task]
    if turned:
        more = f", and {len(turned) - _LABELS} more" if len(turned) > _LABELS else ""
        lines.append(f"  labels    {', '.join(turned[:_LABELS])}{more}")
    if names.other_sources:
        few = ", ".join(repr(source) for source in list(names.other_sources)[:_LABELS])
        lines.append(f"  source    {few}: neither weights nor context, so it is left out")
    return lines


def faults(reading: Reading) -> list[str]:
    """The faults that are shown, and the number of further ones."""
    found = reading.faults
    if not found.count:
        return []
    rest = found.count - len(found.shown)
    lines = [f"{found.count:,} {'problem' if found.count == 1 else 'problems'}:"]
    lines += [f"  {text}" for text in found.shown]
    if rest > 0:
        lines.append(f"  ... and {rest:,} more (--all shows them)")
    return [*lines, "  pytest refuses the file until this is mended"]


def count_lines(prompts: PromptSet) -> list[str]:
    """Prompts by task and split; pairs, subjects, templates, and the fields of the items."""
    split = Counter((item.task, item.split) for item in prompts.items)
    total = len(prompts)
    lines = [f"  {'task':<16}{'prompts':>9}{'share':>8}{DISCOVERY:>12}{EVALUATION:>12}"]
    for task, n in prompts.count().items():
        halves = f"{split[task, DISCOVERY]:>12,}{split[task, EVALUATION]:>12,}"
        aside = "" if task in prompts.tasks else "   not compared"
        lines.append(f"  {task:<16}{n:>9,}{_number(n / total):>8}{halves}{aside}")
    if prompts.second:
        lines.append(f"  {'second set':<16}{len(prompts.second):>9,}")
    both = len(paired(prompts.items, prompts.tasks))
    first, second = prompts.tasks
    lines.append(f"  pairs       {both:,} hold both {first} and {second}{_unpaired(prompts, both)}")
    for word, names in (
        ("subjects", {item.domain for item in prompts.items} - {""}),
        ("templates", {item.template for item in prompts.items} - {""}),
    ):
        if len(names) > 1:
            lines.append(f"  {word:<12}{len(names):,}")
    carried: tuple[tuple[str, Callable[[Item], object]], ...] = (
        ("an answer", lambda item: item.answer),
        ("distractors", lambda item: item.distractors),
        ("a score", lambda item: item.score is not None),
        ("the place of an entity", lambda item: item.subject),
    )
    having = {what: sum(bool(of(item)) for item in prompts.items) for what, of in carried}
    lines.append("  prompts with " + ", ".join(f"{what} {n:,}" for what, n in having.items()))
    return lines


def _unpaired(prompts: PromptSet, both: int) -> str:
    if both or prompts.crossed:
        return ""
    return ": claims about processes compare within pairs (column pair, or --crossed)"


def inconclusive(prompts: PromptSet) -> list[str]:
    """Which controlled claims about the set cannot be decided, or not supported, and why."""
    reasons = []
    lacking = sum(not (item.answer and item.distractors) for item in prompts.items)
    if lacking:
        reasons.append(
            f"all: {lacking:,} of {len(prompts):,} prompts have no answer, or nothing to choose it "
            "from (column distractors, or options): whether a model does the tasks cannot be "
            "measured"
        )
    if reason := no_process(prompts):
        reasons.append(f"all: {reason}")
    unmet = {
        process.name: [g.reason for g in design_gates(prompts, process.cells) if not g.met]
        for process in PROCESSES.values()
    }
    reasons += [f"those about {name}: {why[0]}" for name, why in unmet.items() if why]
    head = "controlled claims will be inconclusive, whatever the model:"
    lines = [head, *(f"  {reason}" for reason in reasons)] if reasons else []
    if whole_cells(prompts.name) is None and not prompts.second and not unmet[RETRIEVAL.name]:
        lines.append(NO_SECOND_SET)
    return lines


def repeated(reading: Reading, prompts: PromptSet) -> list[str]:
    """Prompts that occur twice under one task, and how many in both halves of the split."""
    if not reading.again:
        return []
    split_of = {item.id: item.split for item in (*prompts.items, *prompts.second)}
    splits = dict(zip(reading.lines, (split_of[item.id] for item in reading.items), strict=True))
    across = sum(splits[line] != splits[above] for line, above in reading.again)
    unit = reading.faults.unit
    shown = ", ".join(f"{line} as {above}" for line, above in reading.again[:REPEATS])
    more = ", ..." if len(reading.again) > REPEATS else ""
    lines = [
        f"  repeated    {len(reading.again):,} prompts stand above already ({unit} {shown}{more})"
    ]
    if across:
        lines.append(
            f"              {across:,} of them on the other side of the split: what is chosen on "
            "them is judged on them"
        )
    return lines


def trimmed(reading: Reading) -> list[str]:
    """Prompts that end in white space, and what is done about it."""
    if not reading.trimmed:
        return []
    shown = ", ".join(map(str, reading.trimmed[:REPEATS]))
    more = ", ..." if len(reading.trimmed) > REPEATS else ""
    return [
        f"  white space {len(reading.trimmed):,} prompts end in a space or a new line "
        f"({reading.faults.unit} {shown}{more}):",
        "              they are measured without it, and the answer follows after one space",
    ]


def lengths(prompts: PromptSet, tokens: Sequence[int] | None, tokenizer: str | None) -> list[str]:
    """Median length by task, with the middle 90 %."""
    measures: dict[str, Sequence[int]] = {
        "characters": [len(item.prompt) for item in prompts.items],
        "words": [len(item.prompt.split()) for item in prompts.items],
    }
    if tokens is not None:
        measures[f"tokens, {Path(tokenizer or '').name}"] = tokens
    tasks = np.array([item.task for item in prompts.items])
    lines = [
        f"  {'median length (5 - 95 %)':<28}" + "".join(f"{task:>20}" for task in prompts.count())
    ]
    for name, values in measures.items():
        row = []
        for task in prompts.count():
            low, middle, high = np.percentile(np.asarray(values)[tasks == task], (5, 50, 95))
            row.append(f"{f'{middle:,.0f} ({low:,.0f} - {high:,.0f})':>20}")
        lines.append(f"  {name:<28}{''.join(row)}")
    return lines


def crossed(prompts: PromptSet, balance: Balance) -> list[str]:
    """The number of crossed prompts, and whether their words are balanced."""
    exact = (
        "words, their positions and lengths are exactly balanced between the tasks"
        if balance.exact
        else f"counts of one word differ by up to {balance.tokens}, of one length by up to "
        f"{balance.lengths}"
    )
    pairs = len(prompts.pairs)
    return [f"crossed: {len(prompts):,} prompts in {pairs:,} pairs; {exact}"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What tells the classes of a set apart: by its design, by each measure, by all words."""

    design: tuple[str, ...]
    measures: Sequence[Confound]
    words: WordsAuc | None


def deciding(looked: Looked) -> list[str]:
    """What alone separates the classes, the design first; empty if nothing does."""
    said = any("in the prompt for" in sentence for sentence in looked.design)
    alone = sorted(
        (
            row
            for row in looked.measures
            if row.auc.clear
            and row.auc.value >= SEPARATES
            and not (said and row.name.endswith("in the prompt"))
        ),
        key=lambda row: -row.auc.value,
    )
    lines = [f"  {sentence}" for sentence in looked.design]
    lines += [
        f"  {row.name}: AUC {_auc(row.auc)}" + (f", more in {row.greater}" if row.greater else "")
        for row in alone
    ]
    if looked.words is not None and looked.words.value >= SEPARATES:
        lines.append(f"  all words, to a classifier: AUC {_number(looked.words.value)}")
    return ["what alone separates the classes:", *lines] if lines else []


def confounds(prompts: PromptSet, looked: Looked) -> list[str]:
    """A table of surface differences between the classes, overall and within groups."""
    found, words = sorted(looked.measures, key=lambda row: -row.auc.value), looked.words
    groups = list(dict.fromkeys(by for row in found for by in row.within))
    first, second = prompts.tasks
    title = f"what tells {first} from {second}"
    head = f"  {title:<{_NAME}}{'AUC, 95 %':>19}" + "".join(
        f"{f'within {by}':>19}" for by in groups
    )
    lines = [head]
    for row in found:
        name = f"{row.name} (more: {row.greater})" if row.greater and row.auc.clear else row.name
        cells = [row.auc, *(row.within.get(by) for by in groups)]
        lines.append(f"  {name:<{_NAME}}" + "".join(f"{_auc(cell):>19}" for cell in cells))
    if words is None:
        return [*lines, "  all words: too few prompts, or pairs too uneven, for five folds"]
    values = [words.value, *(words.within.get(by) for by in groups)]
    row_of = "".join(f"{'-' if v is None else _number(v):>19}" for v in values)
    lines.append(f"  {'all words and how many, classifier':<{_NAME}}{row_of}")
    lines.append(
        f"  (held out, five folds; {words.words:,} most frequent words, {words.prompts:,} prompts)"
    )
    return lines


def meaning(prompts: PromptSet, looked: Looked) -> str:
    """One paragraph: what the table means for a difference measured in a model."""
    if deciding(looked):
        advice = "" if prompts.crossed else "; --crossed balances words and lengths exactly"
        return (
            "A difference between the classes on these prompts is evidence about the model only "
            f"where it goes beyond what alone separates them (above{advice})."
        )
    words = looked.words
    clear = [row for row in looked.measures if row.auc.clear]
    told = [(row.auc.value, *_alone(row)) for row in _strongest_length(clear)]
    if words is not None and words.value > CLEAR:
        told.append((words.value, "the words, to a classifier,", _number(words.value)))
    if not told:
        values = [row.auc.value for row in looked.measures] + ([words.value] if words else [])
        return (
            "Nothing looked at tells the classes apart: no AUC is clearly above chance, which is "
            f".5 (the largest is {_number(max(values))})."
        )
    first, *others = sorted(told, key=lambda part: -part[0])[:MOST]
    verb = "separate" if first[1].startswith(_PLURALS) else "separates"
    sentence = f"{first[1]} alone {verb} the classes with AUC {first[2]}"
    sentence += "".join(f", {what} with {number}" for _, what, number in others)
    advice = "" if prompts.crossed else " (--crossed balances words and lengths exactly)"
    return (
        f"{sentence[0].upper()}{sentence[1:]}: a difference between the classes on these prompts "
        f"is not evidence about the model unless it goes beyond that{advice}."
    )


def _strongest_length(rows: Sequence[Confound]) -> list[Confound]:
    """The rows, but of the lengths only the one that separates best."""
    lengths = [row for row in rows if row.name.startswith("length")]
    best = max(lengths, key=lambda row: row.auc.value, default=None)
    return [row for row in rows if row not in lengths or row is best]


def _alone(row: Confound) -> tuple[str, str]:
    """What separates the classes, and how well."""
    what = "length" if row.name.startswith("length") else row.name.removesuffix(" alone")
    within = row.within.get("subject")
    inside = f" ({_number(within.value)} within a subject)" if within else ""
    return what, f"{_auc(row.auc)}{inside}"


def _auc(found: Auc | None) -> str:
    if found is None:
        return "-"
    if found.interval is None:
        return _number(found.value) + (" (no overlap)" if found.value == 1 else "")
    low, high = found.interval
    return f"{_number(found.value)} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    """Two decimals without the leading zero, as in .83."""
    return f"{value:.2f}".removeprefix("0")
