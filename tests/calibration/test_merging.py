"""The published record keeps what was measured at other times, and says when that was."""

from types import SimpleNamespace

import pytest

from harness.calibration import published
from harness.calibration.jobs import Job
from harness.calibration.merging import with_earlier
from harness.calibration.page import write_page
from harness.calibration.record import calibration, read_calibration, write_calibration
from harness.calibration.running import RunOutcome
from harness.calibration.settings import CalibrationSettings
from harness.commands import calibrate
from harness.files import write_text
from tests.support.made_runs import ran, verdict

MARKED = (published.START, published.END, *published.KNOWN_MARKS, *published.AGAIN_MARKS)
RECOVERY = {
    **{"items": 60, "instrument": "0" * 64, "process": "retrieval", "part": "recovery"},
    **{"kind": "head", "source": "causal", "auroc": 0.9, "interval": [0.8, 1.0]},
    **{"positives": 8, "negatives": 40},
}


def known(tmp_path, seeds, outcome, *, part="controls", processes=()):
    """A record of planted-qwen at these seeds, measured at a commit of its own."""
    folder = tmp_path / f"{part} {outcome}"
    runs = []
    for seed in seeds:
        job = Job(part, "shipped", "planted-qwen", seed=seed, items=60)
        said = verdict("h3", "some_neurons_serve_retrieval", outcome=outcome)
        runs.append(ran(folder, job, said, verdict("h2", outcome=outcome)))
    settings = CalibrationSettings(parts=(part,), seeds=len(seeds))
    entries = [{**RECOVERY, "model": model} for model in processes]
    record = calibration(settings, RunOutcome(tuple(runs), (), len(runs), False), entries)
    record["provenance"]["commit"] = f"{part} {outcome}"
    return record


def commits(record):
    """Commit by part and model, of what was measured earlier."""
    return {
        (e["part"], e["model"]): call["provenance"]["commit"]
        for call in record["earlier"]
        for e in call["of"]
    }


def test_a_model_that_became_a_control_stands_in_the_record_once(tmp_path):
    before = known(tmp_path, [0], "refuted", part="organisms")
    both = with_earlier(known(tmp_path, [0, 1], "supported"), before)
    assert [(e["part"], e["supported"], e["refuted"]) for e in both["known"]] == [
        ("controls", 2, 0)
    ]
    assert {run["part"] for run in both["runs"]} == {"controls"}
    assert both["earlier"] == []


def test_a_part_measured_again_replaces_what_stood_there_and_the_rest_stays(tmp_path):
    before = known(tmp_path, [0, 1, 2], "refuted", processes=["mini-qwen", "shared-qwen"])
    now = known(tmp_path, [0, 1], "supported", processes=["mini-qwen"])
    both = with_earlier(now, before)
    (entry,) = both["known"]  # two draws, not five: those before are of other code
    assert (entry["supported"], entry["refuted"]) == (2, 0)
    assert [run["seed"] for run in both["runs"]] == [0, 1]
    assert sorted(e["model"] for e in both["processes"]) == ["mini-qwen", "shared-qwen"]
    assert commits(both) == {("processes", "shared-qwen"): "controls refuted"}
    assert both["settings"] == now["settings"]
    assert both["seconds"] == 2.0 * 2


def test_what_is_kept_says_when_it_was_measured_however_often_more_is_added(tmp_path):
    first = known(tmp_path, [0], "refuted", processes=["shared-qwen"])
    second = known(tmp_path, [0], "supported", part="power")
    third = known(tmp_path, [0, 1], "supported")
    record = with_earlier(third, with_earlier(second, first))
    assert commits(record) == {
        ("power", "planted-qwen"): "power supported",
        ("processes", "shared-qwen"): "controls refuted",
    }
    assert {run["part"] for run in record["runs"]} == {"controls", "power"}
    written = write_calibration(tmp_path / "calibration.json", record)
    assert read_calibration(written) == record  # also: it keeps to the schema
    assert with_earlier(record, record) == record
    page = write_page(record, tmp_path / "page.html").read_text()
    assert "processes of shared-qwen" in page
    assert "power supported" in page


def test_a_record_is_whole_only_if_all_of_it_is(tmp_path):
    before = {**known(tmp_path, [0], "refuted", part="power"), "whole": False}
    assert not with_earlier(known(tmp_path, [0], "supported"), before)["whole"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Docs and a record of their own."""
    docs = {name: tmp_path / f"{name}.md" for name in ("PAGE", "README")}
    for name, path in docs.items():
        write_text(path, "\n".join(MARKED))
        monkeypatch.setattr(published, name, path)
    monkeypatch.setattr(published, "RECORD", tmp_path / "published.json")
    return SimpleNamespace(record=published.RECORD, page=docs["PAGE"])


def test_publishing_a_part_keeps_the_others_in_the_record_and_in_the_docs(tmp_path, place):
    calibrate._publish(known(tmp_path, [0], "refuted", part="power", processes=["shared-qwen"]))
    calibrate._publish(known(tmp_path, [0, 1], "supported"))
    record = read_calibration(place.record)
    assert {run["part"] for run in record["runs"]} == {"controls", "power"}
    text = place.page.read_text()
    assert published.between_marks(text, *published.KNOWN_MARKS) == published.known_table(record)
    assert "| `planted-qwen` | supported | 2 | 2 | 0 | 0 | – |" in text


def test_processes_alone_are_published_too(tmp_path, place):
    record = known(tmp_path, [], "supported", processes=["mini-llama"])
    calibrate._publish(record)
    assert read_calibration(place.record) == record
