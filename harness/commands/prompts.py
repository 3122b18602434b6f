"""`python -m harness prompts`: describe a file of prompts and what is wrong with it."""

import argparse
import inspect
from collections.abc import Sequence
from pathlib import Path

from harness.commands import prompt_text
from harness.foreign import printable
from harness.materials.domains import DOMAINS, load_domain
from harness.materials.files.columns import OPTION, parse_columns
from harness.materials.files.confounds import confounds_of
from harness.materials.files.crossing import cross_set
from harness.materials.files.design import separating
from harness.materials.files.reading import Reading, check, read
from harness.materials.files.word_confound import words_auc
from harness.materials.items import MaterialsError, PromptSet
from harness.materials.sets import CROSSED, SETS, drawing_of
from harness.materials.surface import token_balance
from harness.models.specs import LoadOptions, ModelSpec, resolve

_SHOWN = 20  # faults, without --all
PURPOSES = {
    "cells": "the controlled criteria, by default",
    "cells-crossed:lookup-reasoning": "the measurement itself (h0), by default",
    "geography-published": "the published criteria, by default",
}
CHECK_HELP = f"""\
Reads a .jsonl, .csv or .parquet file as `pytest hypotheses/ --prompts FILE` would, and says
which column was taken for what, everything that is wrong, line by line, what alone tells the two
classes apart (the types of question, answers, length, words), and how many prompts there are of
what.

A file has a `prompt`, or a `question`, and a `task`, `label` or `type` in each row. Multiple choice
has `options` (or `choices`) and `answer_index` or `answer`: an index from 0, a letter, or the
text. {OPTION} gives the names of other columns. Exit status: 0 fine, 1 problems in the file,
2 the file cannot be read or the command is wrong."""
CHECK_EPILOG = f"""\
examples:
  python -m harness prompts check mine.jsonl
  python -m harness prompts check quiz.csv {OPTION} task=kind,question=text,options=answers
  python -m harness prompts check quiz.csv {OPTION} id= --all
                          leave a column of theirs unread; show every fault
  python -m harness prompts check mine.jsonl --crossed --tokenizer mini-qwen
  python -m harness prompts check geography-published
                          a named set is looked at in the same way"""
LIST_EPILOG = """\
example:
  python -m harness prompts list
  pytest hypotheses/ --prompts geography-published"""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `prompts check` and `prompts list`."""
    parser = subparsers.add_parser(
        "prompts",
        help="check a file of prompts, or list the named sets",
        epilog="Example: python -m harness prompts check mine.jsonl",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_check(actions)
    listing = actions.add_parser(
        "list",
        help="list the named sets",
        description="The prompt sets of the suite, with the number of prompts of each task.",
        epilog=LIST_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listing.set_defaults(run=run_list)


def _add_check(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    checking = actions.add_parser(
        "check",
        help="describe a file: content, faults, surface differences between its classes",
        description=CHECK_HELP,
        epilog=CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    checking.add_argument("file", metavar="FILE", help="the file, or the name of a set")
    checking.add_argument(
        OPTION,
        action="append",
        default=[],
        metavar="OURS=THEIRS[,...]",
        help="names of columns in the file that differ from ours, as for pytest; repeatable",
    )
    checking.add_argument(
        "--tokenizer",
        metavar="MODEL",
        help="count tokens too: an alias, a hub id, or a folder with tokenizer.json; no weights "
        "are loaded",
    )
    checking.add_argument(
        "--crossed",
        action="store_true",
        help="cross the two classes, as `pytest --crossed` does, and look at the crossed prompts",
    )
    checking.add_argument("--all", action="store_true", help=f"show all faults, not {_SHOWN}")
    checking.set_defaults(run=run_check)


def run_list(_options: argparse.Namespace) -> int:
    """Print the named sets; 0."""
    for name, draw in SETS.items():
        prompts = draw()
        counts = ", ".join(f"{n:,} {task}" for task, n in prompts.count().items())
        print(f"{name:<22}{len(prompts):,} prompts in {len(prompts.pairs):,} pairs: {counts}")
        doc = inspect.getdoc(getattr(draw, "func", draw)) or ""
        print(f"{'':<22}{doc.splitlines()[0]}")
        domain = name.removesuffix(CROSSED)
        if domain in DOMAINS:
            print(f"{'':<22}About {load_domain(domain).about}.")
        if name in PURPOSES:
            print(f"{'':<22}For {PURPOSES[name]}.")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Print what the file contains; 1 if something is wrong with it, else 0."""
    columns = parse_columns(options.prompt_columns)
    draw = drawing_of(options.file)
    if draw is not None and not Path(options.file).exists():
        return _look(draw(), options)
    check(options.file, tuple(SETS))
    reading = read(options.file, columns, limit=None if options.all else _SHOWN)
    _print(prompt_text.columns(reading))
    _print(prompt_text.faults(reading))
    if not reading.items and reading.faults.count:
        return 1
    try:
        prompts = reading.prompt_set()
    except MaterialsError as error:
        _print([f"problem: {error}"])
        return 1
    worst = _look(prompts, options, reading)
    return 1 if reading.faults.count else worst


def _look(prompts: PromptSet, options: argparse.Namespace, reading: Reading | None = None) -> int:
    """Print what decides, counts, lengths, confounds; 1 if the set cannot be crossed, else 0."""
    tokens = _tokens(prompts, options.tokenizer)
    cross = options.crossed and not prompts.crossed
    looked = None if cross else _looked_at(prompts, separating(prompts), tokens)
    _print(prompt_text.inconclusive(prompts))
    if looked is not None:
        _print(prompt_text.deciding(looked))
    _print(prompt_text.count_lines(prompts))
    if reading is not None:
        _print(prompt_text.repeated(reading, prompts))
        _print(prompt_text.trimmed(reading))
    _print(prompt_text.lengths(prompts, tokens, options.tokenizer))
    if looked is not None:
        _give_away(prompts, looked)
        return 0
    try:
        crossed = cross_set(prompts)
    except MaterialsError as error:
        _print([f"problem: {error}"])
        return 1
    words = [[hash(word) for word in item.prompt.split()] for item in crossed.items]
    _print(prompt_text.crossed(crossed, token_balance(crossed.items, words, crossed.tasks)))
    # What was found of a file's design still holds once its questions are crossed.
    looked = _looked_at(crossed, crossed.notes, _tokens(crossed, options.tokenizer))
    _print(prompt_text.deciding(looked))
    _give_away(crossed, looked)
    return 0


def _looked_at(
    prompts: PromptSet, design: tuple[str, ...], tokens: Sequence[int] | None
) -> prompt_text.Looked:
    return prompt_text.Looked(design, confounds_of(prompts, tokens), words_auc(prompts))


def _give_away(prompts: PromptSet, looked: prompt_text.Looked) -> None:
    _print(prompt_text.confounds(prompts, looked))
    _print([prompt_text.meaning(prompts, looked)])


def _tokens(prompts: PromptSet, name: str | None) -> list[int] | None:
    """Length of each prompt in tokens; None without a tokenizer."""
    if name is None:
        return None
    folder = Path(name).expanduser()
    alone = (folder / "tokenizer.json").is_file()  # a tokenizer needs no weights
    spec = ModelSpec(name, str(folder), is_local=True) if alone else resolve(name)
    from harness.adapter.encoding import Encoder  # noqa: PLC0415  (torch is slow to import)
    from harness.adapter.loading import load_tokenizer  # noqa: PLC0415

    encoder = Encoder(load_tokenizer(spec, LoadOptions()))
    return [len(ids) for ids in encoder.ids(prompts.items)]


def _print(lines: Sequence[str]) -> None:
    if lines:
        print(printable("\n".join([*lines, ""])))
