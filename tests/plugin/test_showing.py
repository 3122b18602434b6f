"""How far a run is: on a terminal behind pytest's capture, and where there is none."""

import io
import os
import re
import select
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import get_args

import pytest

from harness.models.specs import resolve
from harness.plugin.forecasting import SPEED, Forecasts, as_property
from harness.plugin.showing import Showing
from harness.study.cost import Kind
from harness.study.plan import Plan
from harness.study.progress import Progress, clock
from harness.study.speed import MATERIALS, Speed
from tests.support import forks
from tests.support.inner_runs import alone

pty = pytest.importorskip("pty")

SLOW = '''
"""Claim."""
import time

import pytest
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding

PAUSE = 0.6  # for a bar, which comes after a second

@pytest.mark.criterion("controlled")
def test_slow(subject, verdict):
    """It takes its time."""
    with subject.progress.measuring("sweep on made", 8) as advance:
        for _ in range(4):
            time.sleep(PAUSE)
            advance(2)
    verdict(Finding((Evidence("count", Effect("count", 1), threshold=1, relation=">="),)))
'''
COMMAND = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--no-controls")


@pytest.fixture
def slow(pytester, monkeypatch):
    folder = alone(pytester, monkeypatch)
    folder.makepyfile(test_h9_slow=SLOW)
    return folder


def on_a_terminal(*options):
    """What a command writes on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(
        [*COMMAND, *options], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        written, end = b"", time.monotonic() + 120
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:  # the terminal's other side is closed
                    break
            elif process.poll() is not None:
                break
        process.kill()
    os.close(ours)
    return written.decode()


@pytest.mark.usefixtures("slow")
def test_a_terminal_gets_a_bar_with_the_time_left_under_the_default_capture():
    shown = on_a_terminal("--model=mini-qwen")
    bars = re.findall(r"0 of 1, mini-qwen \(model 1 of 1\), h9: sweep on made: +(\d+)%.*<", shown)
    assert bars, shown
    assert [int(share) for share in bars] == sorted(map(int, bars))
    assert "mini-qwen, model 1 of 1:" in shown
    assert "1 passed" in shown


@pytest.mark.usefixtures("slow")
def test_the_number_of_collected_tests_is_the_number_listed():
    # Of the reference models nothing is known about this claim: it is not judged on them.
    command = [c for c in COMMAND if c != "--no-controls"]
    done = subprocess.run(
        [*command, "--model=mini-llama", "--co", "-q"], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[0] == "test_h9_slow.py::test_slow[mini-llama]"
    assert "\n1 test collected" in done.stdout


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_without_a_terminal_a_line_says_how_far_the_run_is(slow, workers):
    slow.makepyfile(test_h9_slow=SLOW.replace("PAUSE = 0.6", "PAUSE = 0.3"))
    with (slow.path / "conftest.py").open("a") as file:
        file.write("\nfrom harness.study import progress\nprogress.EVERY = 0.1\n")
    said = forks.run(slow, *COMMAND[3:], "--model=mini-qwen", *workers).stdout.str()
    line = r"0 of 1 predictions in \d+:\d\d; now mini-qwen \(model 1 of 1\), h9"
    measured = r", sweep on made: 6 of 8 prompts, \d+:\d\d left"
    assert re.search(line if workers else line + measured, said), said
    assert "\x1b[K" not in said


@pytest.mark.parametrize(("columns", "named"), [("80", False), ("160", True)])
def test_the_time_left_is_seen_on_a_narrow_terminal_too(monkeypatch, columns, named):
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    progress = Progress(stream, bars=True)
    progress.total, progress.now = 12, "mini-qwen (model 1 of 1), h9"
    with progress.measuring("activations on cells@chains4-shots4-shuffled", 800) as advance:
        progress._measurement.started -= 60
        advance(600)
        progress._draw()
        progress._clear()
    bar = stream.getvalue().splitlines()[1].replace("\x1b[K", "")
    assert "600/800 [01:00<00:20" in bar
    assert len(bar) < int(columns)
    assert ("mini-qwen" in bar) is named


def test_what_is_measured_of_a_piece_shows_until_the_piece_is_kept():
    progress = Progress()
    with progress.measuring("sweep", 96) as advance:
        progress._measurement.started -= 60
        assert progress.line().endswith("sweep: 0 of 96 prompts")
        progress.begin(0.5)  # which tells no pace: a minute of beginning for half a prompt
        assert progress.line().endswith("sweep: 0 of 96 prompts")
        progress.begin(7.5)
        assert progress.line().endswith("sweep: 8 of 96 prompts, 11:00 left")
        advance(32)
        assert progress.line().endswith("sweep: 32 of 96 prompts, 2:00 left")
    progress.begin(8.0)  # nothing is under way


@pytest.mark.parametrize(("forecast", "shown"), [(0.0, "2:00"), (600.0, "10:00")])
def test_of_a_run_no_less_is_left_than_of_what_is_being_measured(forecast, shown):
    progress = Progress()
    progress.left = lambda: forecast
    with progress.measuring("sweep", 96) as advance:
        progress._measurement.started -= 60
        advance(32)
        assert f"predictions in 0:00, {shown} left" in progress.line()


def test_what_cannot_be_shown_stops_nothing():
    class Gone:
        def write(self, _text):
            raise BrokenPipeError

    progress = Progress(Gone(), bars=True)
    with progress.measuring("sweep", 2) as advance:
        progress._measurement.started -= 5
        progress._draw()
        advance(2)
    progress.stop()


def test_a_test_that_loads_a_model_on_a_worker_tells_no_pace_and_what_runs_is_counted_down():
    names = ("every_site_reaches_the_logits", "the_model_answers", "some_layers_serve_retrieval")
    loads, answers, runs = nodes = [f"x.py::test_{name}[mini-qwen]" for name in names]
    showing = object.__new__(Showing)
    showing.node, showing.loading, showing.progress = runs, set(), Progress()
    showing.since = dict.fromkeys(nodes, time.monotonic() - 20)
    showing.forecasts = Forecasts({"mini-qwen": resolve("mini-qwen")}, Plan(), nodes)
    slow = Speed(dict.fromkeys(get_args(Kind), 1000.0), dict.fromkeys(MATERIALS, 40.0))
    speed = SPEED, as_property("mini-qwen", slow)
    for node, told in ((loads, [speed]), (answers, [])):
        for when in ("call", "teardown"):
            report = SimpleNamespace(nodeid=node, when=when, user_properties=told)
            showing.pytest_runtest_logreport(report)
    assert showing.forecasts._over == {loads: None, answers: pytest.approx(20, abs=2)}
    whole = showing.forecasts.left()
    assert whole > 40
    assert showing._left() == pytest.approx(whole - 20, abs=2)


def test_times_are_read_at_a_glance():
    assert [clock(s) for s in (5, 751, 7500)] == ["0:05", "12:31", "2:05:00"]
