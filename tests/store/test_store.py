"""The store gives back what was measured, measures nothing twice, and says what was damaged."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.store import shards
from harness.store.addresses import address_of
from harness.store.store import Mode, Store

KEY = {"weights": "abc", "template": None, "features": 1, "position": "final", "twin": 0}
COUNT, SIZE = 10, 3  # four shards, the last one short


class Meter:
    """Measures known arrays and remembers the ranges it was asked for."""

    def __init__(self, fail_at: int | None = None):
        self.asked: list[int] = []
        self.fail_at = fail_at

    def __call__(self, where: slice) -> dict[str, np.ndarray]:
        number = where.start // SIZE
        if number == self.fail_at:
            raise KeyboardInterrupt
        self.asked.append(number)
        rows = np.arange(where.start, where.stop)
        return {
            "resid": np.linspace(0, 1, 4, dtype=np.float32) + rows[:, None].astype(np.float32),
            "chosen": rows % 2 == 0,
        }


def fetch(store, meter, key=KEY):
    return store.fetch(key, COUNT, meter, shard_size=SIZE)


def folder_of(root: Path) -> Path:
    (folder,) = (p for p in root.iterdir() if p.is_dir() and p.name != "locks")
    return folder


def expected():
    return Meter()(slice(0, COUNT))


def assert_right(arrays):
    assert arrays.keys() == expected().keys()
    for name, array in expected().items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def assert_stored(root: Path) -> None:
    meter = Meter()
    assert_right(fetch(Store(root), meter))
    assert meter.asked == []


def test_a_hit_measures_nothing(tmp_path):
    first, again = Meter(), Meter()
    assert_right(fetch(Store(tmp_path), first))
    assert first.asked == [0, 1, 2, 3]
    store = Store(tmp_path)
    assert_right(fetch(store, again))
    assert (again.asked, store.measured) == ([], 0)
    assert store.damaged == store.problems == []


@pytest.mark.parametrize("field", KEY)
def test_every_field_of_the_key_changes_the_address(field):
    assert address_of(KEY | {field: "other"}) != address_of(KEY)
    assert address_of({k: v for k, v in KEY.items() if k != field}) != address_of(KEY)


def test_the_order_of_fields_does_not_change_the_address():
    assert address_of(dict(reversed(KEY.items()))) == address_of(KEY)
    assert len({address_of({"x": v}) for v in (1, 1.0, True, "1", None, [1])}) == 6


def test_another_count_or_shard_size_is_another_entry(tmp_path):
    for count, size in ((10, 3), (9, 3), (10, 6)):
        Store(tmp_path).fetch(KEY, count, Meter(), shard_size=size)
    assert len([path for path in tmp_path.iterdir() if path.name != "locks"]) == 3


@pytest.mark.parametrize("value", [Path("x"), float("nan"), {1, 2}, np.float32(1)])
def test_a_key_that_is_not_json_is_named(tmp_path, value):
    with pytest.raises(TypeError, match="field 'weights'"):
        Store(tmp_path).fetch({"weights": value}, 1, Meter())


def test_a_killed_run_resumes_with_the_shards_that_are_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fetch(Store(tmp_path), Meter(fail_at=2))
    rest = Meter()
    store = Store(tmp_path)
    assert_right(fetch(store, rest))
    assert (rest.asked, store.damaged) == ([2, 3], [])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def belongs_elsewhere(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shard": 0}))


DAMAGE = {
    "flipped": ("safetensors", flip, "sha256 differs"),
    "truncated": ("safetensors", lambda p: os.truncate(p, 20), "20 bytes instead of"),
    "emptied": ("safetensors", lambda p: os.truncate(p, 0), "0 bytes instead of"),
    "deleted": ("safetensors", Path.unlink, "its file is missing"),
    "garbage": ("json", lambda p: p.write_bytes(b"\xff{]"), "is not JSON"),
    "a list": ("json", lambda p: p.write_text("[]"), "not a JSON object"),
    "other": ("json", belongs_elsewhere, "belongs to another shard"),
    "nested": ("json", lambda p: p.write_text("[" * 100_000), "is not JSON"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_shard_is_named_and_only_it_is_measured_again(tmp_path, case):
    suffix, spoil, reason = DAMAGE[case]
    fetch(Store(tmp_path), Meter())
    address = folder_of(tmp_path).name
    spoil(tmp_path / address / f"shard-00003.{suffix}")
    meter, store = Meter(), Store(tmp_path)
    assert_right(fetch(store, meter))
    assert meter.asked == [3]
    (message,) = store.damaged
    assert message.startswith(f"cache entry {address} shard 3 was damaged (")
    assert reason in message
    assert message.endswith("; measured again")
    assert_stored(tmp_path)


def test_a_shard_that_was_not_written_to_its_end_is_measured_again(tmp_path):
    fetch(Store(tmp_path), Meter())
    address = folder_of(tmp_path).name
    (tmp_path / address / "shard-00003.json").unlink()
    meter, store = Meter(), Store(tmp_path)
    assert_right(fetch(store, meter))
    assert (meter.asked, store.damaged) == ([3], [])
    assert_stored(tmp_path)


def test_a_shard_that_became_a_folder_does_not_stop_the_run(tmp_path):
    fetch(Store(tmp_path), Meter())
    address = folder_of(tmp_path).name
    path = tmp_path / address / "shard-00001.safetensors"
    path.unlink()
    path.mkdir()
    store = Store(tmp_path)
    assert_right(fetch(store, Meter()))
    assert len(store.damaged) == 1
    assert len(store.problems) == 1


def test_nothing_partial_ever_stands_under_its_final_name(tmp_path, monkeypatch):
    def half(_, path):
        Path(path).write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(shards.safetensors.numpy, "save_file", half)
    with pytest.raises(KeyboardInterrupt):
        fetch(Store(tmp_path), Meter())
    assert list(folder_of(tmp_path).iterdir()) == []


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fetch(Store(tmp_path), Meter(fail_at=1))
    stray = folder_of(tmp_path) / "shard-00001.safetensors.999.tmp"
    stray.write_bytes(b"half a file")
    fetch(Store(tmp_path), Meter())
    assert not stray.exists()
    assert len(list(folder_of(tmp_path).iterdir())) == 8


def measure_slowly(root: str, log: str) -> None:
    def measure(where: slice) -> dict[str, np.ndarray]:
        with open(log, "a") as file:  # noqa: PTH123
            file.write(f"{where.start}\n")
        time.sleep(0.1)
        return Meter()(where)

    assert_right(fetch(Store(Path(root)), measure))


def test_processes_that_want_the_same_entry_measure_it_once(tmp_path):
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    processes = [
        context.Process(target=measure_slowly, args=(str(tmp_path / "cache"), str(log)))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0, 0, 0]
    assert log.read_text().split() == ["0", "3", "6", "9"]


def test_the_store_imports_no_torch():
    code = "import sys, harness.store.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_off_reads_and_writes_nothing(tmp_path):
    fetch(Store(tmp_path / "used"), Meter())
    before = sorted((tmp_path / "used").rglob("*"))
    meter = Meter()
    for _ in range(2):
        assert_right(fetch(Store(tmp_path / "used", "off"), meter))
    assert meter.asked == [0, 1, 2, 3] * 2
    assert sorted((tmp_path / "used").rglob("*")) == before
    fetch(Store(tmp_path / "unused", Mode.OFF, large=1), Meter())
    assert not (tmp_path / "unused").exists()


def test_refresh_measures_each_entry_anew_and_once(tmp_path):
    fetch(Store(tmp_path), lambda where: {"resid": np.zeros(where.stop - where.start)})
    meter, store = Meter(), Store(tmp_path, "refresh")
    for _ in range(2):
        fetch(store, meter)
    assert meter.asked == [0, 1, 2, 3]
    assert_right(fetch(Store(tmp_path), Meter(fail_at=0)))


def test_a_refresh_that_was_killed_leaves_no_old_shard(tmp_path):
    fetch(Store(tmp_path), Meter())
    with pytest.raises(KeyboardInterrupt):
        fetch(Store(tmp_path, "refresh"), Meter(fail_at=1))
    rest = Meter()
    fetch(Store(tmp_path), rest)
    assert rest.asked == [1, 2, 3]


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="maybe"):
        Store(tmp_path, "maybe")


def test_results_survive_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file", large=1)
    assert_right(fetch(store, Meter()))
    assert_right(fetch(store, Meter()))
    assert store.fetch_json(KEY, lambda: {"n": 1}) == {"n": 1}
    (problem,) = store.problems
    assert "cannot be written" in problem
    assert "--cache-dir" in problem


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_results_survive_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        with Path("/dev/full").open("wb") as file:
            file.write(b"x")

    monkeypatch.setattr(shards.safetensors.numpy, "save_file", full)
    store, meter = Store(tmp_path), Meter()
    assert_right(fetch(store, meter))
    assert meter.asked == [0, 1, 2, 3]
    (problem,) = store.problems
    assert "No space left on device" in problem


def test_large_arrays_are_mapped_and_leave_no_file(tmp_path):
    store = Store(tmp_path, large=1)
    arrays = fetch(store, Meter())
    assert_right(arrays)
    assert all(isinstance(a, np.memmap) for a in arrays.values())
    assert_right(fetch(Store(tmp_path, large=1), Meter(fail_at=0)))
    assert {p.name for p in tmp_path.iterdir()} == {"locks", folder_of(tmp_path).name}


NUMBERS = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=64),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), dtype=NUMBERS, size=st.integers(1, 4), reverse=st.booleans())
def test_arrays_come_back_as_they_were(tmp_path_factory, data, dtype, size, reverse):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    shape = (shape[0], *data.draw(st.sampled_from([shape[1:], (0, *shape[1:])])))
    array = data.draw(hnp.arrays(dtype, shape))
    laid_out = np.asfortranarray(array)[::-1][::-1] if reverse else array
    root = tmp_path_factory.mktemp("store")
    store = Store(root)
    first = store.fetch(KEY, len(array), lambda where: {"a": laid_out[where]}, shard_size=size)
    again = Store(root).fetch(KEY, len(array), Meter(fail_at=0), shard_size=size)
    for arrays in (first, again):
        assert arrays["a"].shape == shape
        assert arrays["a"].dtype == dtype.newbyteorder("=")
        np.testing.assert_array_equal(arrays["a"], array)


@pytest.mark.parametrize(
    "array", [np.array(["a", "b"]), np.array([{}, {}]), np.zeros(2, "M8[s]"), np.zeros(2, "c16")]
)
def test_only_numbers_are_kept_and_nothing_is_pickled(tmp_path, array):
    with pytest.raises(ValueError, match="array 'a' is of type"):
        Store(tmp_path).fetch(KEY, 2, lambda _: {"a": array})


def test_arrays_of_the_wrong_length_or_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has shape \(2,\): expected 3"):
        fetch(Store(tmp_path), lambda _: {"a": np.zeros(2)})
    with pytest.raises(ValueError, match="as in the other shards"):
        fetch(Store(tmp_path), lambda s: {"a": np.zeros((s.stop - s.start, s.start + 1))})
    with pytest.raises(ValueError, match="count 0"):
        Store(tmp_path).fetch(KEY, 0, Meter())


def test_json_results_are_kept_too(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"rate": 0.1, "seen": (1, 2), "text": "≥", "odd": float("inf")}

    wanted = {"rate": 0.1, "seen": [1, 2], "text": "≥", "odd": float("inf")}
    assert Store(tmp_path).fetch_json(KEY, measure) == wanted
    assert Store(tmp_path).fetch_json(KEY, measure) == wanted
    assert len(calls) == 1
    assert Store(tmp_path, "off").fetch_json(KEY, measure) == wanted
    assert len(calls) == 2


@pytest.mark.parametrize(
    "spoil",
    [lambda p: p.write_text(p.read_text().replace("0.1", "0.2")), lambda p: os.truncate(p, 9)],
)
def test_a_damaged_json_result_is_named_and_measured_again(tmp_path, spoil):
    Store(tmp_path).fetch_json(KEY, lambda: {"rate": 0.1})
    spoil(folder_of(tmp_path) / "result.json")
    store = Store(tmp_path)
    assert store.fetch_json(KEY, lambda: {"rate": 0.1}) == {"rate": 0.1}
    (message,) = store.damaged
    assert "result was damaged" in message


def test_json_and_arrays_with_one_key_do_not_meet(tmp_path):
    fetch(Store(tmp_path), Meter())
    assert Store(tmp_path).fetch_json(KEY, lambda: {"n": 1}) == {"n": 1}


def test_the_size_is_that_of_entries_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    store = Store(tmp_path)
    assert store.size() == 0
    fetch(store, Meter())
    assert store.size() == sum(path.stat().st_size for path in folder_of(tmp_path).iterdir())
    assert Store(tmp_path / "nowhere").size() == 0


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_decides_who_may_read_every_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        fetch(Store(tmp_path / "cache"), Meter())
        Store(tmp_path / "cache").fetch_json({"a": 1}, lambda: {"b": 2})
    finally:
        os.umask(before)
    paths = list((tmp_path / "cache").rglob("*"))
    assert len({p.suffix for p in paths if p.is_file()}) > 1
    for path in paths:
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.getuid() != 0, reason="needs two users")
def test_another_user_reads_what_is_there_and_says_once_what_cannot_be_stored():
    shared = Path(tempfile.mkdtemp())
    shared.chmod(0o755)
    try:
        fetch(Store(shared), Meter())
        os.seteuid(65534)
        store, meter = Store(shared), Meter()
        assert_right(fetch(store, meter))
        store.fetch_json({"a": 1}, lambda: {"b": 2})
        assert (meter.asked, store.damaged, len(store.problems)) == ([], [], 1)
    finally:
        os.seteuid(0)
        shutil.rmtree(shared)
