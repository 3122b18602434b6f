"""A task is whole or absent."""

import json
import shutil
import sys

import pytest

from harness.fleet import work
from harness.fleet.work import KilledError, Task, attempts, carry_out, ended
from harness.plugin.forecasting import UNWATCHED, measure
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME, read_verdicts, write_verdicts
from tests.support.made_runs import verdict

RUN = """
import sys, pathlib
report = next(a for a in sys.argv if a.startswith("--report=")).partition("=")[2]
folder = pathlib.Path(report).parent
{body}
"""


@pytest.fixture
def task(tmp_path):
    return Task("mini", "claims", tmp_path / "tasks" / "mini-claims-0", ("--items=3",))


@pytest.fixture
def pytest_that(monkeypatch, tmp_path):
    """A program in the place of pytest."""

    def put(body):
        script = tmp_path / "run.py"
        script.write_text(RUN.format(body=body), encoding="utf-8")
        monkeypatch.setattr(
            work,
            "command",
            lambda _, folder: [sys.executable, str(script), f"--report={folder}/report.html"],
        )

    return put


def kept(tmp_path, *verdicts):
    path = tmp_path / "made" / JSON_NAME
    write_verdicts(path, verdicts)
    return f"import shutil; shutil.copy({str(path)!r}, folder)"


def test_a_task_that_is_whole_is_not_run_again(task, pytest_that, tmp_path):
    pytest_that(kept(tmp_path, verdict()))
    made = carry_out(task)
    assert not made.fault
    assert read_verdicts(task.folder) == [verdict()]
    assert not attempts(task)
    pytest_that("raise SystemExit(3)")
    assert carry_out(task) == made


def test_verdicts_without_the_last_file_are_no_task(task, pytest_that, tmp_path):
    pytest_that(kept(tmp_path, verdict()))
    carry_out(task)
    (task.folder / work.DONE).unlink()
    assert ended(task) is None


def test_a_run_that_is_killed_leaves_nothing_and_is_tried_again(task, pytest_that, tmp_path):
    pytest_that(f"{kept(tmp_path, verdict())}; import os; os.kill(os.getpid(), 9)")
    with pytest.raises(KilledError, match="signal 9"):
        carry_out(task)
    assert ended(task) is None
    assert not attempts(task)


def test_what_a_killed_attempt_left_is_taken_away(task, pytest_that, tmp_path):
    left = task.folder.with_name(f".{task.folder.name}.dead")
    left.mkdir(parents=True)
    assert attempts(task) == [left]
    pytest_that(kept(tmp_path, verdict()))
    carry_out(task)
    assert not left.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('ERROR: --items x: expected a number'); sys.exit(4)", "--items x: expected a numb"),
        ("sys.exit(5)", "its options select no prediction"),
        ("sys.exit(3)", "pytest ended with 3"),
    ],
)
def test_a_run_without_verdicts_says_why_in_a_sentence(task, pytest_that, body, said):
    pytest_that(body)
    assert said in carry_out(task).fault
    assert task.folder.with_suffix(".log").exists()
    assert ended(task) is None


def test_a_run_that_measured_nothing_is_a_fault(task, pytest_that, tmp_path):
    broken = verdict(outcome=Outcome.NOT_MEASURED, reason="the weights are cut off.")
    pytest_that(kept(tmp_path, broken))
    assert carry_out(task).fault == "the weights are cut off."


def test_the_command_is_what_a_user_would_type(task, tmp_path):
    words = work.command(task, tmp_path)
    assert words[1:3] == ["-m", "pytest"]
    assert words[-2:] == ["--items=3", f"--report={tmp_path / 'report.html'}"]


def test_a_damaged_record_is_a_task_that_is_not_there(task, pytest_that, tmp_path):
    pytest_that(kept(tmp_path, verdict()))
    carry_out(task)
    for content in ("", "[]", json.dumps({"seconds": "x"})):
        (task.folder / work.DONE).write_text(content)
        assert ended(task) is None
    shutil.rmtree(task.folder)


def test_a_run_that_nobody_waits_for_is_not_timed(task, pytest_that, tmp_path, monkeypatch):
    pytest_that(f"{kept(tmp_path, verdict())}; import os; assert os.environ[{UNWATCHED!r}]")
    assert not carry_out(task).fault
    monkeypatch.setenv(UNWATCHED, "1")
    measure(None, "mini", None)  # asks neither for the run nor for the model
