"""Progress on the terminal behind pytest's capture, or in the log of a CI job."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import IO, Any

import pytest

from harness.models.recipes import on_disk
from harness.plugin.budget import sentences, within
from harness.plugin.collector import VERDICT
from harness.plugin.forecasting import (
    CHOSEN,
    SPEED,
    STORED,
    Forecasts,
    chosen_in,
    own_prompts,
    sets_of,
    speed_in,
    stored_in,
)
from harness.plugin.predictions import model_names, stored_among
from harness.plugin.settings import Settings, selected_models, settings_key
from harness.study.progress import Progress
from harness.study.speed import Speed, speed_before

progress_key = pytest.StashKey[Progress]()
showing_key = pytest.StashKey["Showing"]()


class Showing:
    """On the controller: says which model and claim are at work, and how many are done."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reporter = config.pluginmanager.get_plugin("terminalreporter")
        # Workers measure in other processes, where dots may come at any time: lines, no bars.
        self.together = bool(getattr(config.option, "numprocesses", None))
        stream = _behind_capture(self.reporter)
        bars = stream is not None and stream.isatty() and not self.together
        self.progress = config.stash[progress_key] = Progress(stream, bars=bars)
        self.names = model_names(config)
        self.model = ""
        self.node = ""
        self.since: dict[str, float] = {}  # of the tests that run
        self.loading: set[str] = set()  # tests in which a model was loaded
        self.forecasts = forecasts_of(config)
        self.progress.left = self._left
        config.stash[showing_key] = self

    def _left(self) -> float | None:
        now = time.monotonic()
        return self.forecasts.left({node: now - since for node, since in self.since.copy().items()})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Workers collect; all of them the same tests."""
        self.forecasts.nodes = ids

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know the run's predictions, and plan it within --budget."""
        if self.together or self.config.option.collectonly:
            return
        self.forecasts.nodes = [item.nodeid for item in session.items]
        self.forecasts.end_at_once(stored_among(session.items))
        settings = self.config.stash[settings_key]
        if settings.budget is not None and session.items:
            self._plan_within(settings, settings.budget)

    def _plan_within(self, settings: Settings, budget: float) -> None:
        for spec in selected_models(settings):
            model = on_disk(spec, settings.cache_dir)
            self.speed(spec.name, speed_before(model, settings.load, own=sets_of(settings)))
        plan, seconds = within(budget, settings.plan, self.forecasts)
        self.config.stash[settings_key] = replace(settings, plan=plan)
        self.forecasts.replan(plan)
        for line in sentences(budget, settings.plan, plan, seconds):
            self.progress.say(line)

    def speed(self, name: str, speed: Speed, node: str = "") -> None:
        """Say what the run will take, once a test has loaded a model, whose speed is known."""
        first = not self.forecasts.speeds
        node = node or self.node
        self.loading.add(node)
        if node in self.since:
            self.since[node] = time.monotonic()  # loading and the probe are over, not what it asks
        self.forecasts.measured(name, speed)
        if first:
            self.progress.say(self.forecasts.sentence(name))

    def chosen(self, name: str, gates: Mapping[str, bool], length: float) -> None:
        """Say what is left of the run, once a model's setting of the cells is chosen."""
        self.forecasts.chosen(name, gates, length)
        if said := self.forecasts.after_choice(name):
            self.progress.say(said)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the model where another begins, and what is judged now."""
        if not self.progress.total:  # the first test
            session = self.config.pluginmanager.get_plugin("session")
            self.progress.total = session.testscollected if session else 0
            self.progress.start()
        self.node, self.since[nodeid] = nodeid, time.monotonic()
        file, _, parameters = nodeid.partition("[")
        claim = PurePath(file.partition("::")[0]).stem.removeprefix("test_").split("_")[0]
        name = next((n for n in self.names if parameters.startswith((f"{n}-", f"{n}]"))), "")
        role = role_of(name, self.config.stash[settings_key]) if name else ""
        self.progress.now = f"{name} ({role}), {claim}" if name else claim
        if name and name != self.model:
            self.model = name
            if self.reporter and not self.together and self.reporter.verbosity >= 0:
                self.reporter.write_line(f"{name}, {role}:")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count tests that are over, and their time."""
        for name, text in report.user_properties if report.when == "call" else ():
            self._told(report.nodeid, name, str(text))
        node = report.nodeid
        if report.when == "teardown":
            now = time.monotonic()
            seconds = now - self.since.pop(node, now)
            self.forecasts.end(node, None if node in self.loading else seconds)
            self.progress.done += 1

    def _told(self, node: str, name: str, text: str) -> None:
        """Take what a report brings for the forecast."""
        if name == SPEED:
            self.speed(*speed_in(text), node)
        elif name == CHOSEN:
            self.chosen(*chosen_in(text))
        elif name == STORED:
            self.forecasts.end_at_once(stored_in(text))
        elif name == VERDICT:
            self.forecasts.verdict(text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the terminal to the summary."""
        self.progress.stop()
        if self.progress.stream is not None:
            self.progress.stream.close()


def forecasts_of(config: pytest.Config) -> Forecasts:
    """Of the models of a run, before any speed is known."""
    settings = config.stash[settings_key]
    specs = [*selected_models(settings), *(m.spec for m in settings.reference_models)]
    workers = getattr(config.option, "numprocesses", None) or 1
    own = partial(own_prompts, settings)
    return Forecasts({s.name: s for s in specs}, settings.plan, workers=workers, own=own)


def role_of(name: str, settings: Settings) -> str:
    """`model 1 of 2`, or `control 2 of 2`."""
    for role, names in (
        ("model", [spec.name for spec in selected_models(settings)]),
        ("control", [model.name for model in settings.reference_models]),
    ):
        if name in names:
            return f"{role} {names.index(name) + 1} of {len(names)}"
    return ""


def _behind_capture(reporter: pytest.TerminalReporter | None) -> IO[str] | None:
    """What the reporter writes to, opened once more: capture takes the reporter's own away."""
    stream: Any = getattr(getattr(reporter, "_tw", None), "_file", None)
    with suppress(OSError, ValueError, AttributeError):  # a stream of a test, without a number
        return os.fdopen(os.dup(stream.fileno()), "w", encoding="utf-8", errors="replace")
    return None
