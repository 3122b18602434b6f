"""A store at a URL: what is merged, in which order, and what is not."""

import json
import sys

import numpy as np
import pytest

from harness.fleet import sharing, work
from harness.fleet.entries import FleetError
from harness.fleet.sharing import Shared, carry_out_at_home, home_of
from harness.fleet.work import DONE, KilledError, Task, ended
from harness.store.store import Store
from harness.verdicts.records import read_verdicts, write_verdicts
from tests.support.made_runs import verdict

fsspec = pytest.importorskip("fsspec", reason="the extra `fleet` is not installed")
URL = "memory://shared/fleet"


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def measured(home, value=1.0, prompts=3):
    """A store with one entry of arrays, a shard a prompt, and one of JSON."""
    store = Store(home / sharing.STORE)
    store.fetch({"of": "arrays"}, prompts, lambda _: {"x": np.full(1, value)}, shard_size=1)
    store.fetch_json({"of": "json"}, lambda: {"value": value})
    return home


def test_a_merged_store_is_the_store(memory, tmp_path):
    assert Shared(URL).merge_store(measured(tmp_path / "a")) == []
    memory.get("/shared/fleet/store", str(tmp_path / "got" / "store"), recursive=True)
    again = Store(tmp_path / "got" / "store")
    assert again.fetch({"of": "arrays"}, 3, None, shard_size=1)["x"].tolist() == [1.0] * 3
    assert again.fetch_json({"of": "json"}, None) == {"value": 1.0}
    assert not [path for path in memory.find("/") if path.endswith(".tmp")]


def test_what_is_there_stays_and_is_named_where_it_differs(memory, tmp_path):
    shared = Shared(URL)
    shared.merge_store(measured(tmp_path / "a", prompts=3))
    before = {path: memory.cat(path) for path in memory.find("/")}
    assert shared.merge_store(measured(tmp_path / "same")) == []
    differing = shared.merge_store(measured(tmp_path / "other", 2.0))
    assert sorted(name.rpartition("/")[2] for name in differing) == [
        *("result.json", "shard-00000.json", "shard-00001.json", "shard-00002.json")
    ]
    assert {path: memory.cat(path) for path in memory.find("/")} == before


def test_only_what_is_new_is_put_there_unless_all_is_gone(memory, tmp_path, monkeypatch):
    shared, home = Shared(URL), measured(tmp_path / "a")
    shared.merge_store(home)
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    shared.merge_store(home)
    assert len(memory.find("/shared/fleet/store")) == 7  # three shards of two files, and a result
    Store(home / sharing.STORE).fetch_json({"of": "more"}, lambda: {"value": 1})
    monkeypatch.setattr(memory, "cat_file", None)  # nothing is compared twice
    assert shared.merge_store(home) == []
    assert len(memory.find("/shared/fleet/store")) == 8


@pytest.mark.usefixtures("memory")
def test_a_shard_is_there_before_what_says_that_it_is_whole(tmp_path, monkeypatch):
    put, home = Shared._put, measured(tmp_path / "a")
    order = []
    monkeypatch.setattr(Shared, "_put", lambda self, *a: (order.extend(a[2]), put(self, *a)))
    Shared(URL).merge_store(home)
    shards = [path.suffix for path in order if path.name.startswith("shard")]
    assert shards == [".safetensors", ".json"] * 3


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A task whose run is a copy of made verdicts, which notes that it began."""
    write_verdicts(tmp_path / "verdicts.json", [verdict()])
    run = (
        "import pathlib, shutil, sys; folder = pathlib.Path(sys.argv[1]);"
        f"shutil.copy({str(tmp_path / 'verdicts.json')!r}, folder);"
        f"open({str(tmp_path / 'began')!r}, 'a').write('.')"
    )
    monkeypatch.setattr(work, "command", lambda _, folder: [sys.executable, "-c", run, str(folder)])
    return Task(
        "mini", "claims", tmp_path / "out" / "mini-claims-0", (), url=f"file://{tmp_path}/url"
    )


def on_machine(name, task, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(task.folder.parent.parent / name))
    return carry_out_at_home(task)


def test_a_task_that_is_whole_there_runs_on_no_other_machine(task, tmp_path, monkeypatch):
    assert on_machine("first", task, monkeypatch).task == task
    assert ended(task) is None  # not in the driver's folder yet
    assert on_machine("second", task, monkeypatch).task == task
    assert (tmp_path / "began").read_text() == "."
    assert Shared(task.url).fetched(task) == ended(task)
    assert read_verdicts(task.folder) == [verdict()]
    assert not list(task.folder.glob("*.lock"))


def test_a_task_that_was_cut_off_on_its_way_is_not_there(task, tmp_path, monkeypatch):
    on_machine("first", task, monkeypatch)
    (tmp_path / "url/tasks" / task.folder.name / DONE).unlink()
    assert Shared(task.url).fetched(task) is None
    on_machine("first", task, monkeypatch)  # merged again, not run again
    assert Shared(task.url).fetched(task)
    assert (tmp_path / "began").read_text() == "."


def test_results_that_a_url_does_not_take_are_tried_again(task, monkeypatch):
    monkeypatch.setattr(Shared, "merge_task", lambda *_: json.loads("{"))
    with pytest.raises(KilledError, match=r"url did not take its results \(.*\)"):
        on_machine("first", task, monkeypatch)


def test_a_difference_is_said_with_the_task(task, monkeypatch):
    for name, value in (("first", 1.0), ("second", 2.0)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(task.folder.parent.parent / name))
        measured(home_of(task.url), value)
    assert not on_machine("first", task, monkeypatch).note
    note = on_machine("second", task, monkeypatch).note
    assert note.startswith("mini, claims: 4 parts were measured otherwise than file://")


def test_a_url_that_cannot_be_used_is_a_sentence(tmp_path):
    with pytest.raises(FleetError, match=r"store foo://x cannot be opened \(Protocol not known"):
        Shared("foo://x")
    (tmp_path / "taken").write_text("")
    with pytest.raises(FleetError, match="taken/here cannot be written"):
        Shared(f"file://{tmp_path}/taken/here").check()
