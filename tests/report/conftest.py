"""Reports on made records, and the browser's page to read them in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report.rendering import render
from tests.support import browser
from tests.support.sample_records import NASTY, components, sample


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two models and five claims."""
    return render(sample(), components(), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="session")
def nasty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with names that would run as scripts."""
    models = (NASTY, "mini-llama")
    table = components(models).replace({"metric": {"resid_norm": NASTY}})
    folder = tmp_path_factory.mktemp("nasty")
    return render(sample(models), table, folder / "report.html", title=NASTY)


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    """A page of the browser. Of a module, not of all: its event loop is in the way of others."""
    with browser.launched() as page:
        yield page
