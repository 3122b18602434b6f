"""Pytest runs inside a test."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import harness.plugin.ending
import harness.plugin.predictions
import harness.report.rendering
import harness.verdicts.records

ROOT = Path(__file__).resolve().parents[2]

# What a run imports, pytester forgets: some of it cannot be imported twice, and the rest costs more
# than the run. So all of it is imported here, once.
IMPORTED_ONCE = (
    *(harness.plugin.ending, harness.plugin.predictions),
    *(harness.verdicts.records, harness.report.rendering),
)
pd.DataFrame({"a": [1]}).to_parquet(io.BytesIO())

# In this process the modules of the project are imported already, which is no fault of the run.
IMPORTED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
KNOWN_SPEED = ("-p", "tests.support.known_speed")


@contextlib.contextmanager
def within_this_process() -> Iterator[pytest.MonkeyPatch]:
    """What a run here finds: the checkout as its folder, and no options of ours."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(ROOT)
        for name in [n for n in os.environ if n.startswith("HARNESS_")]:
            patched.delenv(name)
        yield patched


def run_hypotheses(files, *options):
    """(Exit status, text) of the suite's own files in this process, which has torch already."""
    text = io.StringIO()
    named = [str(ROOT / "hypotheses" / name) for name in files]
    with within_this_process(), contextlib.redirect_stdout(text):
        quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *IMPORTED)
        status = pytest.main([*named, *quiet, *KNOWN_SPEED, *map(str, options)])
    return status, text.getvalue()


def alone(pytester, monkeypatch):
    """A folder with the plugin in it and nothing of ours around, for runs here or in processes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [n for n in os.environ if n.startswith("HARNESS_")]:
        monkeypatch.delenv(name)
    pytester.makeconftest('pytest_plugins = ("harness.plugin.hooks", "harness.plugin.fixtures")')
    # Other people's plugins, which take as long to import as all else.
    without = "-p no:hypothesispytest -p no:anyio -p no:benchmark -p no:jaxtyping"
    pytester.makeini(f"[pytest]\naddopts = --strict-markers --import-mode=importlib {without}\n")
    return pytester
