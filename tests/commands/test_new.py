"""`new claim`: what it refuses to write; plugin/test_installed.py runs what it writes."""

import pytest

from harness.commands import main
from harness.commands.new import CLAIM


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


def test_a_second_claim_of_the_same_id_is_refused(tmp_path, capsys):
    for name in ("mine_reasoning", "other"):
        assert main(["new", "claim", name, "--folder", str(tmp_path)]) == 0
    for name, there in (("mine_recall", "test_mine_reasoning.py"), ("other_one", "test_other.py")):
        assert main(["new", "claim", name, "--folder", str(tmp_path)]) == 2
        assert there in capsys.readouterr().err


def test_a_file_that_exists_is_kept(tmp_path, capsys):
    (tmp_path / "test_mine.py").write_text("kept")
    assert main(["new", "claim", "mine", "--folder", str(tmp_path)]) == 2
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "test_mine.py").read_text() == "kept"
