"""`new claim`: the file that it writes runs, and nothing is overwritten."""

import json

import pytest

from harness.commands import main
from harness.commands.new import CLAIM
from tests.support.inner_runs import alone


def test_the_claim_runs_as_it_was_written(pytester, monkeypatch):
    inner = alone(pytester, monkeypatch)
    assert main(["new", "claim", "mine_reasoning"]) == 0
    options = ("--model=mini-qwen", "--items=12", "--no-controls", "--cache=off")
    inner.runpytest("test_mine_reasoning.py", *options).assert_outcomes(passed=1)
    (record,) = json.loads((inner.path / "reports" / "verdicts.json").read_text())["verdicts"]
    assert (record["claim_id"], record["outcome"]) == ("mine", "supported")


def test_the_claim_fits_a_screen():
    assert len([line for line in CLAIM.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("name", ["Mine", "my-claim", "", "9", "a b", "../x"])
def test_a_name_that_is_no_module_is_refused(name, tmp_path, capsys):
    assert main(["new", "claim", name, "--folder", str(tmp_path)]) == 2
    assert "is no name for a claim" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_id_of_a_shipped_claim_is_refused(tmp_path, capsys):
    assert main(["new", "claim", "h5_mine", "--folder", str(tmp_path)]) == 2
    assert "test_h5_recall_drop.py" in capsys.readouterr().err


def test_a_file_that_exists_is_kept(tmp_path, capsys):
    (tmp_path / "test_mine.py").write_text("kept")
    assert main(["new", "claim", "mine", "--folder", str(tmp_path)]) == 2
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "test_mine.py").read_text() == "kept"
