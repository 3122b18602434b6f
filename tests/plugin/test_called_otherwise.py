"""However pytest is called, a prediction gets the same verdict."""

import json

import pytest

from tests.plugin.test_plugin import BOTH, THREE
from tests.support.inner_runs import alone

ODD = "é [a] b"  # a space, brackets and a letter beyond ASCII
TURNED = """
def pytest_collection_modifyitems(items):
    items.reverse()  # as plugins that shuffle do
"""


@pytest.fixture
def study(pytester, monkeypatch):
    folder = alone(pytester, monkeypatch)
    for name in ("claims", ODD, "turned"):
        (folder.path / name).mkdir(exist_ok=True)
        (folder.path / name / "test_h9_x.py").write_text(THREE)
    (folder.path / "turned" / "conftest.py").write_text(TURNED)
    return folder


def judged(study, *arguments):
    """Outcome and reason of every prediction on both models."""
    study.runpytest(*arguments, *BOTH, "--gate=none", "-p", "no:cacheprovider")
    (path,) = study.path.rglob("verdicts.json")
    found = json.loads(path.read_text())["verdicts"]
    path.unlink()
    return {(r["model"]["name"], r["prediction_id"]): (r["outcome"], r["reason"]) for r in found}


@pytest.mark.parametrize("called", [("turned",), ("claims", "-x")])
def test_options_and_order_change_no_verdict(study, called):
    plain = judged(study, "claims")
    assert len(plain) == 6
    assert judged(study, *called) == plain


def test_a_folder_of_any_name_changes_no_verdict(study, monkeypatch):
    """Pytest takes no folder with brackets as an argument, but a file within it."""
    plain = judged(study, "claims")
    monkeypatch.chdir(study.path / ODD)
    assert judged(study, f"--rootdir={study.path}", "test_h9_x.py", "--report=é [1]/") == plain


def test_another_working_directory_changes_no_verdict(study, monkeypatch):
    plain = judged(study, "claims")
    monkeypatch.chdir(study.mkdir("elsewhere"))
    assert judged(study, f"--rootdir={study.path}", str(study.path / "claims")) == plain


def test_listing_predictions_judges_none(study):
    result = study.runpytest("claims", "--co", "-q", *BOTH)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["claims/test_h9_x.py::test_holds?mini-qwen?"])
    assert not list(study.path.rglob("verdicts.json*"))
