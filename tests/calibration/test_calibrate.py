"""`python -m harness calibrate` for real, on a tiny model with a circuit, one claim, few facts."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.calibration import running
from harness.calibration.record import read_calibration
from harness.commands import calibrate, main
from tests.support import tiny_models
from tests.support.inner_runs import IMPORTED, KNOWN_SPEED, within_this_process

PLACE = "h2/some_heads_serve_retrieval"
CIRCUIT = {
    "role": "negative",
    "processes": {"retrieval": {"heads": [[0, 1]]}, "composing": {"heads": [[1, 2]]}},
    "expected": {PLACE: "not supported"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")
    (folder / "circuit.json").write_text(json.dumps(CIRCUIT))
    return str(folder)


@pytest.fixture(scope="module")
def arguments(model, tmp_path_factory):
    base = tmp_path_factory.mktemp("calibrate")
    numbers = {"organism-seeds": 1, "items": 12, "permutations": 99, "resamples": 100, "twins": 1}
    return [
        *("calibrate", "--quick", "--part", "processes", "--part", "power", "--claim", "h2"),
        *(f"--{name}={value}" for name, value in numbers.items()),
        *("--power-items", "12", "--cores", "1", f"--power={model}", f"--processes={model}"),
        *(f"--work={base / 'work'}", f"--output={base / 'out' / 'calibration.json'}"),
    ]


class Here:
    """A run of pytest in this process, which has torch already: what `Popen` is to the runner."""

    pid = 0

    def __init__(self, command, *, env, stdout, **_):
        with within_this_process() as patched, contextlib.redirect_stdout(stdout):
            for name, value in env.items():
                patched.setenv(name, value)
            assert command[:3] == [sys.executable, "-m", "pytest"]
            self.status = pytest.main([*command[3:], *IMPORTED, *KNOWN_SPEED])

    def wait(self):
        return self.status


@pytest.fixture(scope="module")
def made(arguments):
    """The record, and what was printed."""
    starting = SimpleNamespace(**{**vars(subprocess), "Popen": Here})
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(said):
        for name in [n for n in os.environ if n.startswith("HARNESS_")]:
            patched.delenv(name)
        patched.setattr(running, "subprocess", starting)
        status = main(arguments)
    assert status == 0, said.getvalue()
    output = Path(arguments[-1].partition("=")[2])
    return read_calibration(output), said.getvalue(), output


def test_what_is_stopped_after_the_runs_is_written_and_said(made, arguments, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate, "_processes", stopped)
    output, said = tmp_path / "calibration.json", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([*arguments[:-1], f"--output={output}"]) == 1
    assert "stopped: the same command continues from here" in said.getvalue()
    record = read_calibration(output)
    assert record["whole"] is False
    assert len(record["runs"]) == len(made[0]["runs"])


def test_what_is_asked_is_measured_and_counted(made):
    record, said, output = made
    assert record["whole"]
    assert "1 of 1 runs" in said
    assert [(run["part"], run["items"]) for run in record["runs"]] == [("power", 12)]
    claims = {e["claim"] for e in record["processes"] if "claim" in e}
    assert claims == {f"h{n}" for n in range(1, 9)}
    assert output.with_suffix(".html").stat().st_size > 1000


def test_nothing_is_counted_of_a_model_that_does_not_answer(made):
    record, *_ = made
    assert all(e["unmet"] and not e["shuffled"] for e in record["processes"] if "claim" in e)
    power = [e for e in record["power"] if e["criterion"] == "controlled"]
    assert [(e["claim_id"], e["prediction_id"]) for e in power] == [tuple(PLACE.split("/"))]
    assert [(e["inconclusive"], e["rate"]["count"]) for e in power] == [(1, 0)]


def test_a_second_time_nothing_is_run_and_the_same_is_said(made, arguments, capsys):
    record, _, output = made
    before = {p: p.stat().st_mtime_ns for p in output.parents[1].rglob("verdicts.json")}
    assert main(arguments) == 0
    assert {p: p.stat().st_mtime_ns for p in output.parents[1].rglob("verdicts.json")} == before
    again = read_calibration(output)
    assert {k: v for k, v in again.items() if k != "created"} == {
        k: v for k, v in record.items() if k != "created"
    }
    capsys.readouterr()


def test_the_page_is_drawn_again_from_the_record_alone(made, capsys):
    *_, output = made
    page = output.with_suffix(".html")
    first = page.read_text()
    page.unlink()
    assert main(["calibrate", "--page", str(output)]) == 0
    assert page.read_text() == first
    assert main(["calibrate", "--page", str(output.with_name("nothing.json"))]) == 2
    assert "nothing.json" in capsys.readouterr().err


def test_what_is_not_there_is_one_sentence(tmp_path, capsys):
    work = f"--work={tmp_path}"
    assert main(["calibrate", "--power", "no-model", work]) == 2
    assert "no-model" in capsys.readouterr().err
    assert main(["calibrate", "--claim", "h99", work, "--part", "consistency"]) == 2
    said = capsys.readouterr().err
    assert "'h99'" in said
    assert "expected one of h0, h1, h2" in said
