"""Whatever a file of others holds, it is read or refused in the project's own words."""

import io
import random
import re
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.foreign_files import READERS, Trial

EXAMPLES, SECONDS = 25, 0.3  # at most, for each file; `python -m benchmarks.fuzz` tries thousands
HARNESS = Path(__file__).resolve().parent.parent / "harness"
PARSERS = r"\.(loads|read_parquet|read_table|ParquetFile|literal_eval|load_file)\("
# Who calls a parser: the border, what is read under it, and readers of the suite's own files.
MAY_PARSE = {
    "foreign.py",
    *("materials/files/parsing.py", "materials/files/rows.py"),  # each value is a fault of its row
    "store/shards.py",  # what fails there is measured again
    *("store/store.py", "adapter/special_tokens.py", "verdicts/plots.py"),  # made in this process
    *("plugin/collector.py", "plugin/run.py", "calibration/recovery.py"),  # made by this run
    "fleet/entries.py",  # under the border
    "fleet/together.py",  # made by this fleet
    "plugin/forecasting.py",  # what a worker of this run says
    *("calibration/record.py", "verdicts/records.py"),  # schemas
    *("commands/machine.py", "materials/domains.py", "materials/relations.py"),  # ship with it
    *("models/specs.py", "study/reference_models.py"),
}


class OddError(Exception):
    """An error that no reader can expect."""


@pytest.fixture(params=READERS)
def trial(request, tmp_path):
    return Trial(READERS[request.param], tmp_path / "files")


def names_it(refusal, trial):
    return trial.path.name in str(refusal) or str(trial.folder) in str(refusal)


SHAPES = (
    *(b"", b"\xff\x00\xfe{", b"[" * 100_000, b"[]", b"null", b"5", b"9" * 5000, b'"x"', b"{}"),
    b'{"a": "\\ud800"}\n',
)


def test_another_shape_is_read_or_refused_by_name(trial):
    for shape in SHAPES:
        trial.path.write_bytes(shape)
        refusal = trial.attempt()
        assert refusal is None or names_it(refusal, trial)
        trial.restore()


def a_folder(path):
    path.mkdir()


def a_link_to_nothing(path):
    path.symlink_to("nowhere")


def a_link_to_itself(path):
    path.symlink_to(path.name)


def test_what_is_no_file_is_passed_over_or_refused(trial):
    for put in (a_folder, a_link_to_nothing, a_link_to_itself):
        trial.path.unlink()
        put(trial.path)
        refusal = trial.attempt()
        assert refusal is None or names_it(refusal, trial), put
        shutil.rmtree(trial.path) if trial.path.is_dir() else trial.path.unlink(missing_ok=True)
        trial.restore()


def test_every_reader_goes_through_the_border(trial, monkeypatch):
    """An error of no known kind, from wherever a file is opened, ends as one of ours."""

    def fail(*_, **__):
        raise OddError("very odd")

    real = io.open

    def open_but_this(path, *args, **kwargs):
        return fail() if str(path) == str(trial.path) else real(path, *args, **kwargs)

    monkeypatch.setattr("io.open", open_but_this)
    if trial.path.suffix == ".parquet":  # opened by arrow
        monkeypatch.setattr("pyarrow.parquet.ParquetFile", fail)
    refusal = trial.attempt()
    if trial.reader.kind is not None:
        assert refusal is not None
        assert "very odd" in str(refusal)
        assert names_it(refusal, trial)


def test_nothing_else_parses_files():
    texts = {p.relative_to(HARNESS).as_posix(): p.read_text() for p in HARNESS.rglob("*.py")}
    assert {name for name, text in texts.items() if re.search(PARSERS, text)} == MAY_PARSE


def test_random_damage_is_read_or_refused(trial):
    end = time.monotonic() + SECONDS

    @seed(0)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate])
    @given(st.integers(0, 2**32))
    def spoil(number):
        if time.monotonic() < end:
            trial.spoil(random.Random(number))

    spoil()
