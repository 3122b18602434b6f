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
from harness.commands import main
from tests.support import tiny_models
from tests.support.inner_runs import IMPORTED, KNOWN_SPEED, within_this_process

CIRCUIT = {
    "tasks": {"recall": {"heads": [[0, 1]]}, "reasoning": {"heads": [[1, 2]]}},
    "expected": {"h2/some_heads_serve_retrieval": "inconclusive"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")
    (folder / "circuit.json").write_text(json.dumps(CIRCUIT))
    return str(folder)


@pytest.fixture(scope="module")
def arguments(model, tmp_path_factory):
    base = tmp_path_factory.mktemp("calibrate")
    numbers = {"seeds": 1, "items": 12, "permutations": 99, "resamples": 100, "twins": 1}
    return [
        *("calibrate", "--quick", "--part", "null", "--part", "power"),
        *("--null", "untrained", "--claim", "h2"),
        *(f"--{name}={value}" for name, value in numbers.items()),
        *("--power-items", "12", "--shares", "0", "--cores", "1"),
        *(f"--untrained={model}", f"--power={model}"),
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


def test_every_kind_of_run_is_made_and_counted(made):
    record, said, output = made
    assert record["whole"]
    assert "3 of 3 runs" in said
    kinds = [(run["part"], run["kind"], run["gate"]) for run in record["runs"]]
    assert sorted(map(str, kinds)) == sorted(
        map(
            str,
            [
                ("null", "untrained", None),
                ("null", "untrained", 0.0),
                ("power", "planted", None),
            ],
        )
    )
    assert output.with_suffix(".html").stat().st_size > 1000


def test_the_gate_stops_untrained_networks_and_opens_when_told(made):
    record, *_ = made
    rates = {
        (e["null"], e["gate"]): e for e in record["error_rates"] if e["criterion"] == "controlled"
    }
    assert rates["untrained", "as used"]["inconclusive"] == 1
    assert "accuracy" not in json.dumps(record["failed"])
    assert all(e["supported"] == 0 for e in rates.values())


def test_recovery_is_not_measured_on_a_model_that_does_not_answer(made):
    record, *_ = made
    assert record["recovery"] == []
    (expected,) = record["expected"]
    assert expected["rate"]["n"] == 1


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
    assert "h99" in capsys.readouterr().err
