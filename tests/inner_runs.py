"""Pytest runs inside a test: a folder of its own with the plugin in it, nothing of ours around."""

import io
import os
from pathlib import Path

import pandas as pd

import harness.records
import harness.report.rendering

ROOT = Path(__file__).resolve().parent.parent

# What a run imports, pytester forgets: some of it cannot be imported twice, and the rest costs more
# than the run. So all of it is imported here, once.
IMPORTED_ONCE = (harness.records, harness.report.rendering)
pd.DataFrame({"a": [1]}).to_parquet(io.BytesIO())


def alone(pytester, monkeypatch):
    """The folder for such runs, in this process or in others."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    for name in [n for n in os.environ if n.startswith("HARNESS_")]:
        monkeypatch.delenv(name)
    pytester.makeconftest(
        'pytest_plugins = ("harness.plugin", "fixtures.studies", "fixtures.verdicts")'
    )
    # hypothesis' plugin imports all of hypothesis at the end of every run, asked for or not.
    pytester.makeini(
        "[pytest]\n"
        "markers = criterion(name): whose rule\n"
        "addopts = --import-mode=importlib -p no:hypothesispytest\n"
    )
    return pytester
