"""Reports on made records."""

from pathlib import Path

import pytest

from harness.report.rendering import render
from tests.support.browser import without_figures
from tests.support.sample_records import NASTY, components, sample


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two models and five claims."""
    return render(sample(), components(), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="session")
def plain_file(report_file: Path) -> Path:
    """The same, for what is not about its figures."""
    return without_figures(report_file)


@pytest.fixture(scope="session")
def nasty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with names that would run as scripts."""
    models = (NASTY, "mini-llama")
    table = components(models).replace({"metric": {"resid_norm": NASTY}})
    folder = tmp_path_factory.mktemp("nasty")
    return render(sample(models), table, folder / "report.html", title=NASTY)
