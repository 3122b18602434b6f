"""Progress on the terminal behind pytest's capture, or in the log of a CI job."""

import os
from contextlib import suppress
from pathlib import PurePath
from typing import IO, Any

import pytest

from harness.plugin.predictions import model_names
from harness.plugin.settings import Settings, selected_models, settings_key
from harness.study.progress import Progress

progress_key = pytest.StashKey[Progress]()


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

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Name the model where another begins, and what is judged now."""
        if not self.progress.total:  # the first test
            session = self.config.pluginmanager.get_plugin("session")
            self.progress.total = session.testscollected if session else 0
            self.progress.start()
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
        """Count tests that are over."""
        if report.when == "teardown":
            self.progress.done += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the terminal to the summary."""
        self.progress.stop()
        if self.progress.stream is not None:
            self.progress.stream.close()


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
