"""Two machines of Ray, both here: what a process and a machine that are lost cost."""

import io
import os
import threading
import time

import pytest

from harness.files import DATA, write_text
from harness.fleet import running
from harness.fleet.cluster import Cluster, Died
from harness.fleet.entries import FleetError, read_fleet
from harness.fleet.looking import Looked
from harness.fleet.running import FleetRun
from harness.fleet.table import Table
from harness.fleet.work import DONE, Ended, Needs
from harness.verdicts.records import JSON_NAME, write_verdicts
from tests.support.made_runs import verdict

ray = pytest.importorskip("ray", reason="the extra `fleet` is not installed")
PATIENCE = 60  # seconds


@pytest.fixture(scope="module")
def machines():
    from ray.cluster_utils import Cluster as Machines

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(DATA))
        # Without Ray's processes that only watch: each imports as much as one that works.
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        watches = dict.fromkeys(("include_dashboard", "include_log_monitor"), False)
        head = {"num_cpus": 1, "no_monitor": True, **watches}
        made = Machines(initialize_head=True, head_node_args=head)
        yield made
        made.shutdown()


@pytest.fixture
def cluster(machines):
    made = Cluster(address=machines.address)
    yield made
    made.close()


def _wait_for(path):
    for _ in range(PATIENCE * 10):
        if path.exists():
            return
        time.sleep(0.1)
    raise TimeoutError(path)


def _look(model, *_):
    return Looked(model, model, 1)


def _run(task):
    """A run that notes that it began. One on the second machine goes on until that is gone."""
    folder = task.folder.parent
    with (folder.parent / "ran.txt").open("a") as ran:
        ran.write(f"{task.name}\n")
    if not (folder.parent / "lost").exists():
        here = ray.get_runtime_context().get_node_id()
        if here == (folder.parent / "second").read_text():
            write_text(folder.parent / "working", task.name)
            _wait_for(folder.parent / "never")
        _wait_for(folder.parent / "working")  # so that the other task goes to the second
    write_verdicts(task.folder / JSON_NAME, [verdict("h0" if task.stage == "competence" else "h2")])
    write_text(task.folder / DONE, '{"seconds": 2.0}')
    return Ended(task, 2.0)


def test_a_machine_that_is_lost_costs_the_task_that_ran_on_it(
    machines, cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(running, "look", _look)
    monkeypatch.setattr(running, "carry_out", _run)
    out, said = tmp_path / "out", io.StringIO()
    second = machines.add_node(num_cpus=1)
    write_text(out / "second", second.node_id)

    def lose():
        _wait_for(out / "working")
        write_text(out / "lost", "")
        machines.remove_node(second, allow_graceful=False)

    loser = threading.Thread(target=lose)
    loser.start()
    (tmp_path / "fleet.toml").write_text('[[entry]]\nmodel = "a"\n[[entry]]\nmodel = "b"')
    fleet = FleetRun(read_fleet(tmp_path / "fleet.toml"), out, cluster, Table(said, 2, live=False))
    fleet.run()
    loser.join()

    lost = (out / "working").read_text()
    ran = (out / "ran.txt").read_text().splitlines()
    tasks = [f"{model}, {stage}" for model in "ab" for stage in ("competence", "claims")]
    assert sorted(ran) == sorted([*tasks, lost])  # what was finished ran once
    assert (
        f"{lost}: its machine was lost ({second.node_ip_address}); it runs again" in said.getvalue()
    )
    assert [(v.model.name, v.claim_id) for v in fleet.verdicts()] == [
        *(("a", "h0"), ("a", "h2"), ("b", "h0"), ("b", "h2"))
    ]


def test_an_address_where_no_cluster_is_is_a_sentence_at_once():
    with pytest.raises(FleetError, match=r"no Ray cluster at 127.0.0.1:1 \(.*refused\)"):
        Cluster(address="127.0.0.1:1")


def _die():
    os.kill(os.getpid(), 9)


def _fail():
    raise OSError("no space left")


def test_a_process_that_is_killed_is_told_from_an_error(cluster):
    handles = [cluster.submit(function, needs=Needs()) for function in (_die, _fail)]
    found = dict(cluster.ready(handles[:1], PATIENCE) + cluster.ready(handles[1:], PATIENCE))
    assert list(found.values()) == [
        Died("its process was killed", again=True),
        Died("OSError: no space left", again=False),
    ]
