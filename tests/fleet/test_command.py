"""`python -m harness fleet`: what cannot be run is a sentence."""

import sys

import pytest

from harness.commands import main


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    def run(text, *more):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "fleet.toml").write_text(text)
        assert main(["fleet", "fleet.toml", *more]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    return run


def test_without_ray_it_says_what_to_install(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install -c constraints.txt -e '.[fleet]'" in refused(
        "[[entry]]\nmodel = 'mini-qwen'"
    )


def test_a_file_of_which_nothing_can_be_run_says_what_is_wrong_with_each(refused):
    said = refused("[[entry]]\nmodel = 3\n[[entry]]\nname = 'b'\nmodels = []")
    assert "entry 1: it names no model" in said
    assert "b: it names no model" in said


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["fleet", str(tmp_path / "none.toml")]) == 2
    assert "none.toml is not a fleet: No such file" in capsys.readouterr().err


def test_a_store_that_cannot_be_opened_is_named_before_anything_runs(refused):
    pytest.importorskip("fsspec", reason="the extra `fleet` is not installed")
    said = refused("store = 'foo://x'\n[[entry]]\nmodel = 'mini-qwen'")
    assert "store foo://x cannot be opened" in said


def test_a_folder_that_cannot_be_written_is_named(refused, tmp_path):
    (tmp_path / "taken").write_text("")
    said = refused("[[entry]]\nmodel = 'mini-qwen'", "--out", "taken/here")
    assert "cannot be written" in said
