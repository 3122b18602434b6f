"""What tests of several folders share."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest

# Workers and the runs inside tests are processes: what one has compiled, the others only read.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# One thread a process, before anything imports torch. Several workers of several threads wait for
# one another with all cores busy: the tests of training took five times as much of the processor.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Garbage is looked for every 20,000 new objects, not every 700: it was a twentieth of all time.
gc.set_threshold(20_000)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load a tiny random model of an architecture, once a module."""
    from harness.adapter import Model
    from harness.models.specs import LoadOptions, resolve
    from tests.support import tiny_models  # torch: seconds, which the process that deals out saves

    loaded = {}

    def load_once(kind):
        if kind not in loaded:
            folder = tiny_models.save(tmp_path_factory.mktemp(kind), kind)
            loaded[kind] = Model.load(resolve(str(folder)), LoadOptions(device="cpu"))
        return loaded[kind]

    return load_once


@pytest.fixture(scope="module")
def tab():
    """A page of the browser. Of a module, not of all: its event loop is in the way of others."""
    from tests.support import browser

    with browser.launched() as page:
        yield page


@pytest.fixture
def forked_workers(monkeypatch):
    """Runs of pytest inside the test fork their workers, which have all imports then."""
    from tests.support import forks

    forks.fork_workers(monkeypatch)


# Files that take longest, longest first. Begun last, one of them would keep one worker busy while
# the others have nothing left to do.
LONGEST = (
    *("tests/report/test_in_browser.py", "tests/plugin/test_installed.py"),
    *("tests/training/test_written.py", "tests/plugin/test_plugin.py"),
    *("tests/adapter/test_encoders.py", "tests/plugin/test_end_to_end.py"),
    *("tests/plugin/test_regression_gate.py", "tests/adapter/test_sweep.py"),
    *("tests/adapter/test_prefix_sharing.py", "tests/training/test_cells.py"),
    *("tests/fleet/test_cluster.py", "tests/report/test_report.py", "tests/test_border.py"),
    "tests/report/test_drawn.py",
    *("tests/training/test_training.py", "tests/findings/processes/test_processes.py"),
    *("tests/commands/test_prompts.py", "tests/materials/test_cells.py"),
    *("tests/adapter/test_attribution.py", "tests/adapter/test_architectures.py"),
    *("tests/plugin/test_own_claims.py", "tests/training/test_both_ways.py"),
    *("tests/training/test_releases.py", "tests/adapter/test_tensor_parallel.py"),
    *("tests/report/test_plot_figures.py", "tests/calibration/test_calibrate.py"),
)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file on one worker: what they share is made once, not on each."""
    named = [config.invocation_params.dir / each.partition("::")[0] for each in config.args]
    ours = all(path.resolve().is_relative_to(Path(__file__).parent) for path in named)
    if not ours or config.getoption("dist") != "load":  # hypotheses too, or asked for otherwise
        return None
    from xdist.scheduler import LoadFileScheduling  # only under xdist

    config.option.loadscopereorder = False  # by the number of tests, which says little here
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give workers the longest files first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid.partition("::")[0]))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was imported out of all later collections of garbage: with torch, most of it.

    Nor are logs caught, which no test reads: in each phase of a test pytest goes through the
    hundreds of loggers that libraries have. What they write to the terminal is captured as before.
    """
    gc.collect()
    gc.freeze()
    plugins = session.config.pluginmanager
    if plugins.has_plugin("logging-plugin"):
        plugins.unregister(name="logging-plugin")


def _turn(file: str) -> int:
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)
