"""The command line of a run: options, their environment twins, and what they mean as objects."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.compare.matching import parse_models
from harness.compare.past import FOLDER, LAST, check_name
from harness.materials.files import columns as prompt_columns
from harness.materials.files import reading as prompt_files
from harness.materials.sets import DEFAULT_ITEMS, SETS
from harness.models import specs
from harness.models.specs import LoadOptions, ModelSpec
from harness.store.store import user_cache
from harness.study.plan import Plan, share, whole_number
from harness.study.reference_models import ReferenceModel, shipped

ENVIRONMENT = "HARNESS_"
DEFAULT_MODELS = ("mini-qwen", "mini-llama")

settings_key = pytest.StashKey["Settings"]()


@dataclass(frozen=True, slots=True)
class Against:
    """What a run is compared with, and what it is kept as.

    Attributes:
        name: A baseline's name or number, LAST, or a path; None compares with nothing.
        folder: Where numbered baselines lie.
        save: The name under which this run is kept; None keeps it not.
        shared: Whether a different number of items is allowed, on the units both runs have.
        models: Model of this run to model of the baseline, where the names differ.
    """

    name: str | None
    folder: Path
    save: str | None
    shared: bool
    models: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, as objects."""

    models: tuple[ModelSpec, ...]
    prompts: tuple[str, ...]
    prompt_columns: Mapping[str, str]
    crossed: bool
    criterion: str
    gate: str
    plan: Plan
    load: LoadOptions
    cache: str
    cache_dir: Path
    report: Path
    report_md: Path | None
    against: Against
    reference_models: tuple[ReferenceModel, ...]


def _batch_size(text: str) -> int | None:
    return None if text == "auto" else whole_number(1)(text)


# name, kind, default, help. Every one has an environment twin: --batch-size is HARNESS_BATCH_SIZE.
OPTIONS: tuple[tuple[str, Any, Any, str], ...] = (
    (
        "--model",
        "append",
        None,
        "alias, folder or hub id, with @revision; repeatable (default: both embedded models)",
    ),
    ("--prompts", "append", None, f"{', '.join(SETS)}, or a .jsonl/.csv/.parquet file; repeatable"),
    (
        "--prompt-columns",
        "append",
        None,
        "OURS=THEIRS[,...]: which column of a prompt file is which of ours, such as "
        "task=kind,options=choices; repeatable (`python -m harness prompts check` shows it)",
    ),
    (
        "--crossed",
        "flag",
        False,
        "cross the two classes of a prompt file for the controlled criterion",
    ),
    ("--items", whole_number(1), DEFAULT_ITEMS, "facts a task; a small domain gives all it has"),
    ("--seed", whole_number(0), 0, "of materials, permutations and resamples"),
    (
        "--shuffle-labels",
        share,
        0.0,
        "share of pairs whose task labels are exchanged by a coin: measures the suite, not the "
        "model (1 leaves nothing to find)",
    ),
    (
        "--competence-gate",
        share,
        None,
        "accuracy below which claims are inconclusive, in place of each claim's own; 0 lets a "
        "model pass that only guesses (h0 keeps its own)",
    ),
    ("--criterion", ("published", "controlled", "both"), "both", "whose rules to apply"),
    ("--permutations", whole_number(1), 1000, "of each permutation test"),
    ("--resamples", whole_number(100), 1000, "of each bootstrap"),
    ("--twins", whole_number(0), 3, "untrained twins"),
    ("--device", str, "auto", "cpu, cuda, cuda:1, mps"),
    ("--device-map", str, None, "passed to accelerate, e.g. auto"),
    (
        "--dtype",
        ("auto", "float32", "bfloat16", "float16"),
        "auto",
        "of the weights; auto is the model's own",
    ),
    ("--batch-size", _batch_size, "auto", "prompts at a time; auto halves when memory runs out"),
    ("--chat-template", "flag", False, "wrap prompts in the tokenizer's chat template"),
    ("--trust-remote-code", "flag", False, "run code that a model repository brings along"),
    ("--cache-dir", str, None, "measurements are kept here (default: the user's cache folder)"),
    (
        "--cache",
        ("use", "refresh", "off"),
        "use",
        "read and write measurements, measure anew, or neither",
    ),
    ("--report", str, "reports/report.html", "where the report goes; its data lie beside it"),
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
        "what fails the run: refuted claims; claims that the baseline supports and this run does "
        "not, effects that fell and what is refuted and not in it; or errors alone",
    ),
    (
        "--no-controls",
        "flag",
        False,
        "leave out the reference models, whose circuits and verdicts are known",
    ),
    (
        "--save-baseline",
        str,
        None,
        "keep this run as a baseline of that name, numbered, to compare later ones with",
    ),
    (
        "--baseline",
        str,
        None,
        f"compare with an earlier run: a baseline's name or number, {LAST}, or the path of a "
        "verdicts.json or of the folder it lies in",
    ),
    (
        "--baseline-model",
        "append",
        None,
        "OURS=THEIRS: which model of the baseline a model is compared with, where names differ "
        "and either run has several; repeatable",
    ),
    (
        "--baseline-on",
        ("same", "shared"),
        "same",
        "refuse a baseline made with another number of items, or compare effects on the units "
        "that both have",
    ),
    ("--baseline-dir", str, None, f"where baselines are kept (default: {FOLDER} in the rootdir)"),
)


def add_options(parser: pytest.Parser) -> None:
    """Register the options, each with its environment twin."""
    group = parser.getgroup(
        "hypotheses",
        "claims about what happens inside transformers (--batch-size is also HARNESS_BATCH_SIZE in "
        "the environment, and so on)",
    )
    for name, kind, default, text in OPTIONS:
        dest, shape = _dest(name), name.split("-")[-1].upper()
        given = os.environ.get(variable(name))
        if kind == "flag":
            on = given is not None and given.lower() not in ("", "0", "false", "no")
            group.addoption(name, action="store_true", dest=dest, default=on, help=text)
        elif kind == "append":
            group.addoption(name, action="append", metavar=shape, dest=dest, help=text)
        else:
            shown = text if default is None else f"{text} (default: {default})"
            if isinstance(kind, tuple):
                shown = f"{shown} [{'|'.join(kind)}]"
            group.addoption(name, metavar=shape, dest=dest, default=given or default, help=shown)


def _dest(name: str) -> str:
    return "hypotheses_" + name.removeprefix("--").replace("-", "_")


def variable(name: str) -> str:
    """The environment twin of an option: --batch-size is HARNESS_BATCH_SIZE."""
    return ENVIRONMENT + name.removeprefix("--").replace("-", "_").upper()


def _option(config: pytest.Config, name: str) -> Any:
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


def settings_of(config: pytest.Config) -> Settings:
    """The command line as objects.

    Raises:
        pytest.UsageError: If a value is none that its option takes.
        ModelError: If no such model is known.
        MaterialsError: If a prompt file cannot be read.
    """
    prompts = _option(config, "--prompts")
    card = _option(config, "--report-md")
    columns = prompt_columns.parse_columns(_option(config, "--prompt-columns"))
    for name in prompts:
        if name not in SETS:
            prompt_files.check(name, tuple(SETS))
            # A bad line is found now, not after the model was loaded.
            prompt_files.read_prompts(name, columns=columns)
    named = _option(config, "--model")
    return Settings(
        # The embedded defaults are resolved when a claim asks: other tests need no model.
        models=tuple(specs.resolve(name) for name in dict.fromkeys(named)),
        prompts=tuple(dict.fromkeys(prompts)),
        prompt_columns=columns,
        crossed=_option(config, "--crossed"),
        criterion=_option(config, "--criterion"),
        gate=_option(config, "--gate"),
        plan=Plan(
            seed=_option(config, "--seed"),
            items=_option(config, "--items"),
            permutations=_option(config, "--permutations"),
            resamples=_option(config, "--resamples"),
            twins=_option(config, "--twins"),
            shuffle_labels=_option(config, "--shuffle-labels"),
            competence_gate=_option(config, "--competence-gate"),
        ),
        load=LoadOptions(
            device=_option(config, "--device"),
            device_map=_option(config, "--device-map"),
            dtype=_option(config, "--dtype"),
            batch_size=_option(config, "--batch-size"),
            trust_remote_code=_option(config, "--trust-remote-code"),
            chat_template=_option(config, "--chat-template"),
        ),
        cache=_option(config, "--cache"),
        cache_dir=Path(_option(config, "--cache-dir") or user_cache()),
        report=Path(_option(config, "--report")).resolve(),
        report_md=Path(card).resolve() if card else None,
        against=_against(config),
        reference_models=() if _option(config, "--no-controls") else _reference_models(named),
    )


def _reference_models(named: Sequence[str]) -> tuple[ReferenceModel, ...]:
    """The reference models of a run: all but those that are under study themselves."""
    return tuple(model for model in shipped() if model.name not in named)


def _against(config: pytest.Config) -> Against:
    told = _option(config, "--baseline-model")
    against = Against(
        name=_option(config, "--baseline"),
        folder=Path(_option(config, "--baseline-dir") or config.rootpath / FOLDER).resolve(),
        save=_option(config, "--save-baseline"),
        shared=_option(config, "--baseline-on") == "shared",
        models=parse_models(told),
    )
    if against.save is not None:
        check_name(against.save)
    if _option(config, "--gate") == "regressions" and against.name is None:
        raise pytest.UsageError(
            "--gate regressions compares with an earlier run: name it with --baseline NAME "
            "(one that --save-baseline NAME wrote), or a path to its verdicts.json."
        )
    return against


def selected_models(settings: Settings) -> tuple[ModelSpec, ...]:
    """The models asked for, or the embedded ones."""
    return settings.models or tuple(specs.resolve(name) for name in DEFAULT_MODELS)
