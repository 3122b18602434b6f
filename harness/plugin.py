"""Pytest glue, hooks only: options, parametrisation, scheduling, verdicts on their way to disk."""

import inspect
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import models
from harness.materials import DEFAULT_ITEMS, SETS
from harness.models import LoadOptions, ModelError, ModelSpec
from harness.prompt_files import columns as prompt_columns
from harness.prompt_files import reading as prompt_files
from harness.prompts import MaterialsError
from harness.run import Run, not_measured
from harness.study import Plan

ENVIRONMENT = "HARNESS_"
DEFAULT_MODELS = ("mini-qwen", "mini-llama")
DEFAULT_PROMPTS = {"published": ("geography-published",), "controlled": ("geography-crossed",)}
PLAIN_PROMPTS = ("geography",)
VERDICT, PREDICTION, CACHE_NOTE = "verdict", "prediction", "cache"  # names of user properties

run_key = pytest.StashKey[Run]()
settings_key = pytest.StashKey["Settings"]()


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


def _count(least: int) -> Any:
    def parse(text: str) -> int:
        number = int(text) if text.lstrip("-").isdigit() else least - 1
        if number < least:
            raise ValueError(f"{text!r}: expected a whole number of at least {least}")
        return number

    return parse


def _batch_size(text: str) -> int | None:
    return None if text == "auto" else _count(1)(text)


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
    ("--items", _count(1), DEFAULT_ITEMS, "facts a task; a small domain gives all it has"),
    ("--seed", _count(0), 0, "of materials, permutations and resamples"),
    ("--criterion", ("published", "controlled", "both"), "both", "whose rules to apply"),
    ("--permutations", _count(1), 1000, "of each permutation test"),
    ("--resamples", _count(100), 1000, "of each bootstrap"),
    ("--twins", _count(0), 3, "untrained twins"),
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
    ("--gate", ("claims", "none"), "claims", "what fails the run: refuted claims, or nothing"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; each can also be set in the environment."""
    group = parser.getgroup("hypotheses", "claims about what happens inside transformers")
    for name, kind, default, text in OPTIONS:
        dest = _dest(name)
        given = os.environ.get(_variable(name))
        if kind == "flag":
            on = given is not None and given.lower() not in ("", "0", "false", "no")
            group.addoption(name, action="store_true", dest=dest, default=on, help=text)
        elif kind == "append":
            group.addoption(name, action="append", dest=dest, default=None, help=text)
        else:
            shown = text if default is None else f"{text} (default: {default})"
            if isinstance(kind, tuple):
                shown = f"{shown} [{'|'.join(kind)}]"
            group.addoption(name, dest=dest, default=given or default, help=shown)


def _dest(name: str) -> str:
    return "hypotheses_" + name.removeprefix("--").replace("-", "_")


def _variable(name: str) -> str:
    return ENVIRONMENT + name.removeprefix("--").replace("-", "_").upper()


def _option(config: pytest.Config, name: str) -> Any:
    """The option's value, checked; a usage error names option, value and what was expected."""
    kind = next(k for n, k, _, _ in OPTIONS if n == name)
    value = config.getoption(_dest(name))
    if kind == "append":
        given = os.environ.get(_variable(name), "")
        return tuple(value or (part for part in given.split(",") if part))
    if isinstance(kind, tuple) and value not in kind:
        raise pytest.UsageError(f"{name} {value!r}: expected one of {', '.join(kind)}")
    if callable(kind) and kind is not str and isinstance(value, str):
        try:
            return kind(value)
        except ValueError as error:
            raise pytest.UsageError(f"{name} {error}") from None
    return value


def pytest_configure(config: pytest.Config) -> None:
    """Turn names into objects once, and refuse what cannot work before anything is loaded."""
    try:
        config.stash[settings_key] = _settings(config)
    except (ModelError, MaterialsError) as error:
        raise pytest.UsageError(str(error)) from None
    run = Run(Path(_option(config, "--report")).resolve())
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        run.run_id = workerinput["run_id"]
    config.stash[run_key] = run


def _settings(config: pytest.Config) -> Settings:
    prompts = _option(config, "--prompts")
    columns = prompt_columns.parse_columns(_option(config, "--prompt-columns"))
    for name in prompts:
        if name not in SETS:
            prompt_files.check(name, tuple(SETS))
            # A bad line is found now, not after the model was loaded.
            prompt_files.read_prompts(name, columns=columns)
    named = _option(config, "--model")
    return Settings(
        # The embedded defaults are resolved when a claim asks: other tests need no model.
        models=tuple(models.resolve(name) for name in dict.fromkeys(named)),
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
        cache_dir=Path(_option(config, "--cache-dir") or _user_cache()),
    )


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "recall-or-reasoning"


def selected_models(settings: Settings) -> tuple[ModelSpec, ...]:
    """The models asked for, or the embedded ones."""
    return settings.models or tuple(models.resolve(name) for name in DEFAULT_MODELS)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is studied, and which settings come from the environment."""
    settings = config.stash[settings_key]
    lines = []
    if settings.models or settings.prompts:
        named = ", ".join(m.name for m in settings.models) or ", ".join(DEFAULT_MODELS)
        lines.append(f"models: {named}; cache: {settings.cache_dir} ({settings.cache})")
    set_here = {
        _variable(n): os.environ[_variable(n)] for n, *_ in OPTIONS if _variable(n) in os.environ
    }
    if set_here:
        lines.append("set: " + " ".join(f"{k}={v}" for k, v in set_here.items()))
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every prediction once per model, and per set of materials of its criterion."""
    settings = metafunc.config.stash[settings_key]
    if "model_name" in metafunc.fixturenames:
        names = [spec.name for spec in selected_models(settings)]
        metafunc.parametrize("model_name", names, scope="session")
    if "prompts_name" in metafunc.fixturenames:
        default = DEFAULT_PROMPTS[_criterion(metafunc.definition)]
        sets = settings.prompts or (PLAIN_PROMPTS if is_plain(metafunc.definition) else default)
        metafunc.parametrize("prompts_name", sets, scope="session")


def is_plain(node: pytest.Item | Any) -> bool:
    """Whether a prediction asks one question a prompt: `criterion(name, plain=True)`."""
    marker = node.get_closest_marker("criterion")
    return bool(marker and marker.kwargs.get("plain"))


def _criterion(node: pytest.Item | Any) -> str:
    marker = node.get_closest_marker("criterion")
    if marker is None or marker.args not in (("published",), ("controlled",)):
        raise pytest.UsageError(
            f"{node.nodeid} names no criterion: mark it with "
            "@pytest.mark.criterion('published') or ('controlled')."
        )
    return str(marker.args[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the wanted criterion; take one model after the other, so that each is loaded once."""
    settings = config.stash[settings_key]
    if settings.criterion != "both":
        unwanted = [i for i in items if _is_prediction(i) and _criterion(i) != settings.criterion]
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
    order = [spec.name for spec in settings.models] or list(DEFAULT_MODELS)
    for item in filter(_is_prediction, items):
        # A warning of torch on somebody's machine is shown; it does not end a measurement.
        item.add_marker(pytest.mark.filterwarnings("default"))
    items.sort(key=lambda item: order.index(_model(item)) if _model(item) in order else -1)


def _is_prediction(item: pytest.Item) -> bool:
    return "verdict" in getattr(item, "fixturenames", ())


def _model(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("model_name", "")) if callspec else ""


def identity(item: pytest.Item) -> dict[str, str]:
    """What a prediction is called in its record: known before anything is measured."""
    assert isinstance(item, pytest.Function)
    params = item.callspec.params if hasattr(item, "callspec") else {}
    claim_id = item.path.stem.removeprefix("test_")
    # A prediction parametrised further (by kind of component, say) is several predictions.
    others = [str(v) for k, v in params.items() if k not in ("model_name", "prompts_name")]
    return {
        "claim_id": claim_id.split("_")[0],
        "claim": first_line(item.module, item.path.name),
        "prediction_id": "-".join([item.originalname.removeprefix("test_"), *others]),
        "prediction": ": ".join([*others, first_line(item.function, item.originalname)]),
        "criterion": _criterion(item),
        "model": str(params.get("model_name", "")),
        "materials": str(params.get("prompts_name", "")),
    }


def first_line(documented: object, name: str) -> str:
    """The sentence that the report prints."""
    doc = inspect.getdoc(documented)
    if not doc:
        raise pytest.UsageError(
            f"{name} has no docstring; its first line is printed in the report."
        )
    return doc.splitlines()[0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the prediction before it can fail, so that a failure is a row and not a gap."""
    if _is_prediction(item):
        item.user_properties.append((PREDICTION, json.dumps(identity(item))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    """Bad input is one sentence, not a traceback."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance((ModelError, MaterialsError)):
        report.longrepr = f"{item.nodeid}: {call.excinfo.value}"
    return report


class Collector:
    """On the controller: write verdicts as they fall, and the report at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.run = config.stash[run_key]
        self.written: Path | None = None
        self.cache_notes: dict[str, None] = {}
        self.failure = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict out of a finished test, local or from a worker."""
        properties = dict(report.user_properties)
        self.cache_notes |= {
            str(v): None for name, v in report.user_properties if name == CACHE_NOTE
        }
        if PREDICTION not in properties:
            return
        if report.when == "call" and VERDICT in properties:
            self.run.add(json.loads(str(properties[VERDICT])))
        elif (report.when == "call" and not report.passed) or (
            report.when == "setup" and not report.passed
        ):
            self.run.add(
                not_measured(
                    json.loads(str(properties[PREDICTION])), _reason(report), self.run.run_id
                )
            )

    def pytest_sessionfinish(self) -> None:
        """Write what there is, also after Ctrl-C."""
        try:
            self.written = self.run.finish()
        except Exception as error:  # the verdicts are on disk; say why the report is not
            self.failure = f"{type(error).__name__}: {error}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line a verdict, and where the report is."""
        if not self.run.verdicts:
            return
        terminalreporter.section("verdicts")
        for line in summary_lines(self.run.verdicts):
            terminalreporter.write_line(line)
        for note in self.cache_notes:
            terminalreporter.write_line(f"cache: {note}", yellow=True)
        if self.written is not None:
            terminalreporter.write_line(f"\nreport: {self.written}")
        if self.failure:
            terminalreporter.write_line(
                f"\nthe report could not be written ({self.failure}); "
                f"the verdicts are in {self.run.folder}",
                red=True,
            )


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
        return str(report.longrepr[2])
    lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or lines or ["no reason given"])[0]


def summary_lines(verdicts: Sequence[dict[str, Any]]) -> list[str]:
    """The table of the terminal: a line a verdict, grouped by model."""
    lines = []
    for record in sorted(
        verdicts, key=lambda v: (v["model"]["name"], v["claim_id"], v["criterion"])
    ):
        shown = next((e for e in record["evidence"] if e["decisive"]), None)
        value = shown["effect"]["value"] if shown else None
        number = "" if value is None else f"{value:.3g}" if isinstance(value, float) else f"{value}"
        bar = (
            f" (needed {shown['relation']} {shown['threshold']:.3g})"
            if shown and shown["threshold"] is not None
            else ""
        )
        lines.append(
            f"{record['outcome']:<13}{record['model']['name']:<12} {record['claim_id']:<3} "
            f"{record['criterion']:<11}{record['prediction']}  {number}{bar}"
        )
    return lines


def pytest_sessionstart(session: pytest.Session) -> None:
    """Collect on the controller only; xdist workers merely send reports."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Collector(session.config), "verdict-collector")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let every worker write under the controller's run."""
    node.workerinput["run_id"] = node.config.stash[run_key].run_id


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep all tests of a model on one worker, whatever --dist says: it is loaded once."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only under xdist

    names = sorted(
        (s.name for s in config.stash[settings_key].models), key=len, reverse=True
    ) or list(DEFAULT_MODELS)

    class OneModelPerWorker(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            _, _, parameters = nodeid.partition("[")
            for name in names:
                if parameters.startswith((f"{name}-", f"{name}]")):
                    return name
            return str(super()._split_scope(nodeid))

    return OneModelPerWorker(config, log)
