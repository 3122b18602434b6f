"""The options of a run: names, environment variables, defaults, help; and their values."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from harness.materials.difficulty import SHUFFLED, TOLD
from harness.materials.relations import MADE_UP, MATCHED
from harness.study.plan import Plan, parse_share, parse_time, whole_number

ENVIRONMENT = "HARNESS_"
TAKEN = "--hypotheses"  # what our option begins with where another plugin has one of its name
DEFAULT_MODELS = ("mini-qwen", "mini-llama")


def _or_auto(least: int) -> Callable[[str], int | None]:
    return lambda text: None if text == "auto" else whole_number(least)(text)


def _one_of(one: str, other: str) -> Callable[[str], str | None]:
    def value(text: str) -> str | None:
        if text not in ("auto", one, other):
            raise ValueError(f"{text!r}: expected auto, {one} or {other}")
        return None if text == "auto" else text

    return value


# Name, kind, default, help. Each has an environment variable: --batch-size, HARNESS_BATCH_SIZE.
OPTIONS: tuple[tuple[str, Any, Any, str], ...] = (
    (
        "--model",
        "append",
        None,
        "alias, folder or hub id, with @revision; repeatable (default: mini-qwen and mini-llama)",
    ),
    (
        "--prompts",
        "append",
        None,
        "materials that ship (`python -m harness prompts list`), or a .jsonl/.csv/.parquet file; "
        "repeatable",
    ),
    (
        "--prompt-columns",
        "append",
        None,
        "OURS=THEIRS[,...]: names of columns in a prompt file that differ from ours, such as "
        "task=kind,options=choices; repeatable (`python -m harness prompts check` shows them)",
    ),
    (
        "--crossed",
        "flag",
        False,
        "cross the two classes of a prompt file for the controlled criterion",
    ),
    (
        "--items",
        whole_number(1),
        Plan().items,
        "facts of each task; a smaller domain gives all that it has",
    ),
    (
        "--budget",
        parse_time,
        None,
        "the time that the run may take, such as 20m or 1h30m: where it would take longer, fewer "
        "items are asked, then fewer relations; the report says what was left out",
    ),
    (
        "--shots",
        _or_auto(0),
        "auto",
        "solved questions before each question of the cells, a multiple of the chains; auto (also "
        "of --chains and --order): the hardest setting that the model answers on discovery items",
    ),
    ("--chains", _or_auto(2), "auto", "chains in a story of the cells: answers to choose from"),
    (
        "--order",
        _one_of(TOLD, SHUFFLED),
        "auto",
        "of a story's premises in the cells: told, shuffled or auto",
    ),
    ("--steps", whole_number(2), 2, "premises that a reasoning question of the cells needs"),
    (
        "--names",
        _one_of(MADE_UP, MATCHED),
        "auto",
        "invented names of the cells: made-up; matched (most tokenizers cut them into as many "
        "pieces as known names); auto: those whose number of pieces is nearer to known names'",
    ),
    ("--seed", whole_number(0), 0, "of materials, permutations and resamples"),
    (
        "--shuffle-labels",
        parse_share,
        0.0,
        "share of pairs whose task labels are exchanged at random: measures the error rates of the "
        "suite, not the model (at 1 there is no effect)",
    ),
    (
        "--competence-gate",
        parse_share,
        None,
        "accuracy below which claims are inconclusive; replaces the gate of each claim but h0's; 0 "
        "lets every model pass, even one that guesses",
    ),
    (
        "--criterion",
        ("published", "controlled", "both"),
        "both",
        "which predictions to run: rules of papers, or controlled ones",
    ),
    ("--permutations", whole_number(1), 1000, "of each permutation test"),
    ("--resamples", whole_number(100), 1000, "of each bootstrap"),
    ("--twins", whole_number(0), 3, "untrained twins that the model is compared with"),
    ("--device", str, "auto", "cpu, cuda, cuda:1, mps"),
    ("--device-map", str, None, "placement over several devices, passed to accelerate, e.g. auto"),
    (
        "--tensor-parallel",
        whole_number(2),
        None,
        "divide each model's weights over N processes, a GPU each: begin the command with torchrun "
        "--nproc-per-node N -m pytest",
    ),
    (
        "--dtype",
        ("auto", "float32", "bfloat16", "float16"),
        "auto",
        "of the weights; auto is the model's own",
    ),
    ("--batch-size", _or_auto(1), "auto", "prompts at a time; auto halves it when memory runs out"),
    (
        *("--chat-template", "flag", False),
        "wrap prompts in the tokenizer's chat template; where it asks for today's date, 2024-07-26",
    ),
    (
        "--template-arg",
        "append",
        None,
        "NAME=VALUE for the chat template, such as enable_thinking=false; repeatable",
    ),
    ("--trust-remote-code", "flag", False, "run the Python code that comes with a model"),
    ("--cache-dir", str, None, "where measurements are stored (default: the user's cache folder)"),
    (
        "--cache",
        ("use", "refresh", "off"),
        "use",
        "use: read and write stored measurements; refresh: measure again; off: store nothing",
    ),
    (
        "--report",
        str,
        "reports/report.html",
        "file of the report, or a folder for report.html; its data are written to the same folder",
    ),
    (
        "--report-md",
        str,
        None,
        "write the report's summary and table of claims to a Markdown file, for a model card",
    ),
    (
        "--gate",
        ("claims", "regressions", "none"),
        "claims",
        "what fails the run. claims: refuted claims; regressions: claims that the baseline "
        "supports and this run does not, smaller effects, and refuted claims that the baseline "
        "lacks; none: errors only",
    ),
    (
        "--allow-gone",
        "flag",
        False,
        "under --gate regressions, let predictions that the baseline supports be missing in this "
        "run, as with -k or another --prompts",
    ),
    (
        "--full",
        "flag",
        False,
        "measure controls also where the model itself does not meet the requirements",
    ),
    (
        "--no-controls",
        "flag",
        False,
        "leave out the reference models, whose circuits and verdicts are known",
    ),
    (
        *("--exploratory", "flag", False),
        "mark the verdicts exploratory, as those on the models that ship are: a constant, a prompt "
        "or the choice of a model was changed after seeing results on them",
    ),
    (
        "--save-baseline",
        str,
        None,
        "save this run as a numbered baseline of this name, to compare later runs with",
    ),
    (
        "--baseline",
        str,
        None,
        "compare with an earlier run: a baseline's name or number, LAST, or the path of a "
        "verdicts.json or of its folder",
    ),
    (
        "--baseline-model",
        "append",
        None,
        "OURS=THEIRS: the model of the baseline that a model is compared with, where names differ "
        "and a run has several models; repeatable",
    ),
    (
        "--baseline-on",
        ("same", "shared"),
        "same",
        "same: refuse a baseline with another number of items; shared: compare effects on the "
        "samples that both runs have",
    ),
    ("--baseline-dir", str, None, "where baselines are saved (default: .baselines in the rootdir)"),
)


def add_options(parser: pytest.Parser) -> None:
    """Register the options, each with its environment variable.

    Where a conftest file or another plugin has an option of the same name, ours is called
    `--hypotheses-NAME`: it must not keep somebody's tests from starting.
    """
    groups = (*parser._groups, parser._anonymous)
    taken = {name for group in groups for option in group.options for name in option.names()}
    group = parser.getgroup(
        "hypotheses",
        "claims about what happens inside transformers (--batch-size is also HARNESS_BATCH_SIZE in "
        "the environment, and so on)",
    )
    for name, kind, default, text in OPTIONS:
        dest, shape = _dest(name), name.split("-")[-1].upper()
        value = os.environ.get(variable(name))
        name = f"{TAKEN}{name[1:]}" if name in taken else name  # noqa: PLW2901
        if kind == "flag":
            on = value is not None and value.lower() not in ("", "0", "false", "no")
            group.addoption(name, action="store_true", dest=dest, default=on, help=text)
        elif kind == "append":
            group.addoption(name, action="append", metavar=shape, dest=dest, help=text)
        else:
            shown = text if default is None else f"{text} (default: {default})"
            if isinstance(kind, tuple):
                shown = f"{shown} [{'|'.join(kind)}]"
            group.addoption(name, metavar=shape, dest=dest, default=value or default, help=shown)


def _dest(name: str) -> str:
    return "hypotheses_" + name.removeprefix("--").replace("-", "_")


def variable(name: str) -> str:
    """The environment variable of an option: HARNESS_BATCH_SIZE for --batch-size."""
    return ENVIRONMENT + name.removeprefix("--").replace("-", "_").upper()


def variables_set() -> dict[str, str]:
    """The options that were given as environment variables."""
    names = [variable(name) for name, *_ in OPTIONS]
    return {name: os.environ[name] for name in names if name in os.environ}


def given(config: pytest.Config) -> bool:
    """Whether any of the options was given, on the command line or in the environment."""
    values = {name: config.getoption(_dest(name)) for name, *_ in OPTIONS}
    return bool(variables_set()) or any(values[name] != default for name, _, default, _ in OPTIONS)


def option_of(config: pytest.Config, name: str) -> Any:
    """The option's value, checked; a usage error names option, value and what was expected."""
    kind = next(k for n, k, _, _ in OPTIONS if n == name)
    value = config.getoption(_dest(name))
    if kind == "append":
        given = os.environ.get(variable(name), "")
        return tuple(value or (part for part in given.split(",") if part))
    if isinstance(kind, tuple) and value not in kind:
        raise pytest.UsageError(f"{name} {value!r}: expected one of {', '.join(kind)}")
    if callable(kind) and kind is not str and isinstance(value, str):
        try:
            return kind(value)
        except ValueError as error:
            raise pytest.UsageError(f"{name} {error}") from None
    return value
