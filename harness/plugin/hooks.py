"""Pytest hooks. They are called in every run, so they import what they need once it is needed.

A run in which no test asks for `verdict`, `study`, `subject` or `prompts` of this plugin is left
as it is. What the hooks do for predictions is in `harness.plugin.predictions`.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.plugin.options import DEFAULT_MODELS, add_options, given, option_of

MARKER = (
    "criterion(name, plain=False, part='', prompts=None, primary=False): whose rule a prediction "
    "applies, published or controlled, which part of the claim it is about, on which materials: a "
    "set where the command line names none, or a file beside the claim; and whether the claim "
    "stands on it"
)
FIXTURES = ("verdict", "study", "subject", "prompts")
PREDICTION = "prediction"  # name of a user property
NO_TESTS = ("node_modules", "venv", "build", "dist")  # folders that pytest passes over, and large

run_id_key = pytest.StashKey[str]()
prepared_key = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; each can also be set in the environment."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Under --tensor-parallel, run the tests in the first process alone."""
    count = option_of(config, "--tensor-parallel")
    if count is None:
        return None
    from harness.plugin.tensor_parallel import begin  # noqa: PLC0415

    return begin(config, count)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; with an option of ours, refuse what cannot work before anything runs."""
    config.addinivalue_line("markers", MARKER)
    workerinput = getattr(config, "workerinput", {})
    config.stash[run_id_key] = workerinput.get("run_id") or uuid.uuid4().hex[:12]
    if not workerinput and (given(config) or _may_predict(config)):
        from harness.plugin.stopping import stop_at_sigterm  # noqa: PLC0415

        stop_at_sigterm(config)
    if given(config):
        try:
            _prepare(config)
        except KeyboardInterrupt:
            pytest.exit("stopped before anything was measured", pytest.ExitCode.INTERRUPTED)


def _may_predict(config: pytest.Config) -> bool:
    """Whether a test file that pytest is given names `verdict`.

    Nothing says more until tests are collected, which takes seconds, and workers do it elsewhere.
    """
    start = config.invocation_params.dir
    return any(
        each.startswith("harness.hypotheses")
        or any(b"verdict" in _content(file) for file in _files(start / each.partition("::")[0]))
        for each in config.args
    )


def _files(given: Path) -> Iterator[Path]:
    """A file, or the test files of a folder and of those in it, but not of hidden ones."""
    if not given.is_dir():
        yield given
    for folder, folders, names in os.walk(given):
        folders[:] = [name for name in folders if name[0] not in "._" and name not in NO_TESTS]
        yield from (Path(folder, name) for name in names if re.fullmatch(r"test_.*\.py", name))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # pytest says that it cannot be read
        return b""


def _prepare(config: pytest.Config) -> None:
    """Turn the options into objects, once."""
    if not config.stash.get(prepared_key, False):
        from harness.plugin import predictions  # noqa: PLC0415

        predictions.prepare(config, config.stash[run_id_key])
        config.stash[prepared_key] = True


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is studied, and which settings come from the environment."""
    if not config.stash.get(prepared_key, False):
        return []
    from harness.plugin import predictions  # noqa: PLC0415

    return predictions.report_header(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every prediction once per model, and per set of materials of its criterion."""
    if any(asks_for(metafunc.definition, name) for name in FIXTURES):
        from harness.plugin import predictions  # noqa: PLC0415

        _prepare(metafunc.config)
        predictions.parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class) -> Any:
    """Leave out predictions on reference models that nothing is known of, before they count."""
    found = yield
    if not isinstance(found, list) or not collector.config.stash.get(prepared_key, False):
        return found
    from harness.plugin import predictions  # noqa: PLC0415

    with suppress(pytest.UsageError):  # raised again, for all of the run, in `select`
        return predictions.without_unknown(found)
    return found


def asks_for(node: Any, name: str) -> bool:
    """Whether a test asks for this plugin's fixture of that name, not for somebody else's."""
    if name not in getattr(node, "fixturenames", ()):
        return False
    found = node._fixtureinfo.name2fixturedefs.get(name)
    return bool(found) and found[-1].func.__module__ == "harness.plugin.fixtures"


def is_prediction(node: Any) -> bool:
    """Whether a test ends in a verdict."""
    return asks_for(node, "verdict")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k "h2 and controlled"` find the predictions of a criterion."""
    marker = item.get_closest_marker("criterion")
    if marker is not None and is_prediction(item):
        item.extra_keyword_matches.update(map(str, marker.args))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the wanted criterion; take one model after the other, so that each is loaded once."""
    if config.stash.get(prepared_key, False):
        from harness.plugin import predictions  # noqa: PLC0415

        predictions.select(config, items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let a worker's first report say which predictions end with a stored verdict."""
    config = session.config
    if hasattr(config, "workerinput") and config.stash.get(prepared_key, False):
        from harness.plugin.forecasting import STORED, told_key  # noqa: PLC0415
        from harness.plugin.predictions import stored_among  # noqa: PLC0415

        told = STORED, json.dumps(stored_among(session.items))
        config.stash.setdefault(told_key, []).append(told)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the prediction before it can fail, so that a failure is a row and not a gap."""
    if is_prediction(item):
        from harness.plugin import predictions  # noqa: PLC0415

        item.user_properties.append((PREDICTION, predictions.named(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """End a prediction on a reference model with its stored verdict, if there is one."""
    if not is_prediction(pyfuncitem):
        return None
    from harness.plugin import predictions  # noqa: PLC0415

    return predictions.end_with_stored(pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """A prediction that meets an unmet gate ends there, as inconclusive."""
    if not is_prediction(item):
        return (yield)
    from harness.verdicts.judge import Inconclusive  # noqa: PLC0415

    try:
        return (yield)
    except Inconclusive as stop:
        item.funcargs["verdict"](stop.finding)  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    """Bad input is one sentence, not a traceback; what is skipped is named by its test's line.

    A worker's report also says how fast a model is. Where a library made an error of its own of
    Ctrl-C, the run is stopped all the same.
    """
    if call.excinfo is not None and interrupted(call.excinfo.value):
        raise KeyboardInterrupt
    report = yield
    if report.skipped and is_prediction(item) and isinstance(report.longrepr, tuple):
        path, line, _ = item.location
        report.longrepr = (path, (line or 0) + 1, report.longrepr[2])
    if call.when == "call" and item.config.stash.get(prepared_key, False):
        from harness.plugin.forecasting import told_key  # noqa: PLC0415

        told = item.config.stash.setdefault(told_key, [])
        report.user_properties += told
        told.clear()
    if call.excinfo is not None and item.config.stash.get(prepared_key, False):
        from harness.foreign import ForeignError, printable  # noqa: PLC0415

        if call.excinfo.errisinstance(ForeignError):
            report.longrepr = printable(f"{item.nodeid}: {call.excinfo.value}")
    return report


def interrupted(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is behind an error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Collect on the controller only; xdist workers merely send reports."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    awaiting = Awaiting(config)
    config.pluginmanager.register(awaiting, "verdict-awaiting")
    if config.stash.get(prepared_key, False):
        awaiting.start()


class Awaiting:
    """On the controller: start the collector once the run has a prediction."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started = False

    def start(self) -> Any:
        """Register the collector, which gets all later reports itself; it is returned."""
        from harness.plugin.collector import Collector  # noqa: PLC0415
        from harness.plugin.showing import Showing  # noqa: PLC0415
        from harness.plugin.stopping import stop_at_sigterm  # noqa: PLC0415

        self.started = True
        _prepare(self.config)
        stop_at_sigterm(self.config)
        collector = Collector(self.config)
        self.config.pluginmanager.register(collector, "verdict-collector")
        self.config.pluginmanager.register(Showing(self.config), "verdict-showing")
        return collector

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Any:
        """Start with the first prediction, so that a signal finds the collector there.

        After the last one nothing is left to stop: the next signal would hit pytest on its way to
        the report.
        """
        from harness.plugin.stopping import let_finish  # noqa: PLC0415

        if not self.started and self.config.stash.get(prepared_key, False):
            self.start()
        try:
            return (yield)
        finally:
            if self.started:
                let_finish(self.config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hand the first report over; the collector was not there when it came."""
        if not self.started and PREDICTION in dict(report.user_properties):
            self.start().pytest_runtest_logreport(report)


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Leave out instructions without a line number: a signal can hit one, pytest fails on it."""
    excinfo.traceback = excinfo.traceback.filter(lambda e: e._rawentry.tb_lineno is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let every worker write under the controller's run, and compare with what it compares with."""
    config = node.config
    node.workerinput["run_id"] = config.stash[run_id_key]
    if config.stash.get(prepared_key, False):
        from harness.plugin import predictions  # noqa: PLC0415

        # A run that is saved meanwhile must not change what LAST means.
        node.workerinput["baseline"] = predictions.baseline_path(config)
        # Nor must a branch of the hub that moves meanwhile.
        node.workerinput["commits"] = predictions.commits(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep all tests of a model on one worker, so that it is loaded once.

    Tests without a model are handed out one by one. Another `--dist` than `load`, the default of
    `-n`, is left as it is where no option of this plugin is given.
    """
    prepared = config.stash.get(prepared_key, False)
    if not prepared and config.getoption("dist", "no") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only under xdist

    names = _model_names(config)

    class OneModelPerWorker(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid, names)

    return OneModelPerWorker(config, log)


def scope_of(nodeid: str, names: Sequence[str]) -> str:
    """The name of the model that a test runs on, of `names`; of a test without a model, its id."""
    # The path may have brackets too, so the parameters begin after the first one behind it.
    parameters = nodeid.partition("::")[2].partition("[")[2]
    for name in names:
        written = name.encode("unicode_escape").decode()  # as pytest writes it into an id
        if parameters.startswith((f"{written}-", f"{written}]")):
            return name
    return nodeid


def _model_names(config: pytest.Config) -> list[str]:
    """Names of the run's models, longest first."""
    if config.stash.get(prepared_key, False):
        from harness.plugin import predictions  # noqa: PLC0415

        return predictions.model_names(config)
    from harness.models.specs import aliases  # noqa: PLC0415

    return [*DEFAULT_MODELS, *aliases()["reference"]]
