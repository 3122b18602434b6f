"""What is seen of a fleet at work."""

import io

from harness.files import write_text
from harness.fleet.entries import FleetEntry, Point
from harness.fleet.rows import Row
from harness.fleet.table import Table, lines_of
from harness.fleet.work import DONE, Ended, Task
from harness.verdicts.records import JSON_NAME, append_jsonl, write_verdicts
from tests.support.made_runs import verdict


def row(name, **more):
    return Row(FleetEntry(name), Point(name, name), **more)


def done(folder, name, *verdicts):
    task = Task(name, "claims", folder / name, ())
    write_verdicts(task.folder / JSON_NAME, verdicts)
    write_text(task.folder / DONE, '{"seconds": 60}')
    return row(name, ended={"claims": Ended(task, 60.0)})


def test_the_table_has_a_row_a_model_and_a_column_a_claim(tmp_path):
    made = done(tmp_path, "mini", verdict("h2"), verdict("h10", outcome="supported"))
    lines = lines_of([made, row("other", fault="it is not there.")])
    assert lines[0].split() == ["model", "h10", "h2"]
    assert lines[1].split() == ["mini", "done", "1+", "1-"]
    assert lines[2].split() == ["other", "failed", ".", "."]


def test_verdicts_are_seen_while_they_fall(tmp_path):
    task = Task("mini", "claims", tmp_path / "mini", ())
    running = row("mini", now=task)
    assert running.state == "waits"
    (tmp_path / ".mini.abc").mkdir()
    append_jsonl(tmp_path / ".mini.abc", verdict("h1", outcome="inconclusive"))
    assert running.state == "claims..."
    assert running.cells() == {"h1": "1?"}


def test_a_terminal_gets_the_table_again_in_its_place(tmp_path):
    stream = io.StringIO()
    table = Table(stream, 2, live=True)
    rows = [done(tmp_path, "mini", verdict("h2")), row("other")]
    table.draw(rows)
    first = stream.getvalue()
    table._drawn = 0.0
    table.draw(rows)
    assert stream.getvalue() == f"{first}\x1b[4A\x1b[J{first}"
    assert first.count("\n") == 4


def test_what_is_left_is_known_once_a_task_of_each_kind_has_ended(tmp_path):
    table, made = Table(io.StringIO(), 2, live=False), done(tmp_path, "mini", verdict("h2"))
    rows = [made, row("other"), row("third")]
    table.done(made, rows, made.ended["claims"])
    assert table.left(rows) == ""
    table.seconds["competence"].append(20.0)
    assert table.left(rows) == "; 1:20 left"  # two models of 80 seconds, on two processors
