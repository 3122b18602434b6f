"""Benchmarks in rounds with their peers, and the table that is made of a run of them."""

import json

import pytest

from benchmarks import page, ratios
from tests.support import forks

INNER = """
import time
from benchmarks.interleaved import beside

def waiting(seconds):
    def wait():
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
    return wait

def test_slow(benchmark):
    benchmark.group = "waiting"
    found = beside(benchmark, waiting(0.02), {"fast": waiting(0.01)}, rounds=3)
    assert not found or 1 < found["fast"] < 4
"""


@pytest.fixture(autouse=True)
def found_from_anywhere(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(page.PAGE.parent.parent))
    # On a worker benchmarks are disabled, and a run inside this one would take itself for one.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def test_a_benchmark_is_timed_in_turn_with_its_peers(pytester):
    pytester.makepyfile(INNER)
    pytester.makeconftest("from benchmarks.conftest import *")
    written = pytester.path / "x.json"
    run = forks.run(pytester, "-q", f"--benchmark-json={written}")
    run.assert_outcomes(passed=1)
    record = ratios.kept([json.loads(written.read_text(encoding="utf-8"))])
    (found,) = record["benchmarks"]
    assert found["group"] == "waiting"
    assert found["rounds"] == 3
    assert found["median"] >= 0.02
    assert 1 < found["extra_info"]["times_fast"] < 4
    assert "times fast" in ratios.rendered(record)
    assert "node" not in json.dumps(record)  # the machine's name is nobody's business


def test_each_runs_once_where_benchmarks_are_disabled(pytester):
    pytester.makepyfile(
        """
        from benchmarks.interleaved import beside

        def test_one(benchmark):
            calls = []
            peers = {"peer": lambda: calls.append("peer")}
            assert beside(benchmark, lambda: calls.append("own"), peers) == {}
            assert calls == ["peer", "own"]
        """
    )
    forks.run(pytester, "-q", "--benchmark-disable").assert_outcomes(passed=1)


def test_a_section_is_put_between_its_marks_and_nothing_else_moves(tmp_path, monkeypatch):
    text = f"before\n<!-- a -->\n{page.END}\nbetween\n<!-- b -->\nold\n{page.END}\nafter\n"
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", path)
    page.put_between("<!-- b -->", "new")
    assert path.read_text(encoding="utf-8") == text.replace("old", "new")
    assert page.between("<!-- b -->") == "new"
    with pytest.raises(ValueError, match="has no place for the section"):
        page.put_between("<!-- c -->", "new")


def test_the_page_is_made_from_the_record():
    record = json.loads(ratios.RESULTS.read_text(encoding="utf-8"))
    assert page.between(ratios.START) == ratios.rendered(record)


def test_a_group_that_was_not_run_again_stays_as_it_was():
    before = {"benchmarks": [{"group": "a", "median": 1}, {"group": "b", "median": 1}]}
    again = {"when": "now", "benchmarks": [{"group": "b", "median": 2}]}
    found = ratios.with_other_groups(again, before)
    assert found["when"] == "now"
    assert [(e["group"], e["median"]) for e in found["benchmarks"]] == [("a", 1), ("b", 2)]
