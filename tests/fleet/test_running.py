"""What a fleet does in which order, with a cluster in this process and made-up runs."""

import io
from dataclasses import replace

import pytest

from harness.compare.curves import read_fleet_record
from harness.files import write_text
from harness.fleet import running, sharing
from harness.fleet.asking import contents_of, task_of, value_of
from harness.fleet.cluster import Died
from harness.fleet.entries import read_fleet
from harness.fleet.looking import Looked
from harness.fleet.rows import CLAIMS, COMPETENCE
from harness.fleet.running import FleetRun
from harness.fleet.table import Table
from harness.fleet.together import put_together
from harness.fleet.work import DONE, Ended, Needs
from harness.verdicts.evidence import Effect
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME, read_verdicts, write_verdicts
from tests.support.made_runs import verdict

FLEET = """
[[entry]]
name = "training"
model = "run/step-{step}"
steps = [1, 8, 64]

[[entry]]
model = "twice"

[[entry]]
model = "nowhere"

[[entry]]
models = 3
"""
STEPS = (1, 2, 4, 8, 16, 40, 64)
GB = 10**9


class Inline:
    """A cluster that runs everything at once, here."""

    def __init__(self):
        self.has = [Needs(2, 0, 8 * GB)]
        self.asked = []

    def machines(self):
        return self.has

    def submit(self, function, *arguments, needs):
        self.asked.append((function, arguments, needs))
        return len(self.asked) - 1

    def ready(self, handles, _):
        handle = min(handles)
        function, arguments, _ = self.asked[handle]
        return [(handle, function(*arguments))]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Folders of checkpoints, and what a look and a run would find."""
    for step in STEPS:
        (tmp_path / f"run/step-{step}").mkdir(parents=True)
    (tmp_path / "fleet.toml").write_text(FLEET)
    ran = []

    def look(model, *_):
        name = model.rpartition("/")[2]
        if name == "nowhere":
            return Looked(model, fault="there is no nowhere.")
        return Looked(model, "step-64" if name == "twice" else name, GB)

    def carry_out(task):
        ran.append(task)
        step = int(task.label.rpartition("-")[2])
        able = step >= 4
        outcome = Outcome.SUPPORTED if step >= 16 else Outcome.REFUTED
        made = verdict("h2", "heads_hold", outcome=outcome, p=0.001, primary=True)
        if task.stage == COMPETENCE:
            made = verdict("h0", "answers", outcome="supported" if able else "refuted")
            (evidence,) = made.evidence
            effect = Effect("share", 0.9 if able else 0.1, (0.8, 1.0) if able else (0.0, 0.2))
            evidence = replace(evidence, effect=effect, threshold=0.6, relation=">=", alpha=None)
            made = replace(made, evidence=(evidence,))
        write_verdicts(task.folder / JSON_NAME, [made])
        write_text(task.folder / DONE, '{"seconds": 2.0}')
        return Ended(task, 2.0)

    monkeypatch.setattr(running, "look", look)
    monkeypatch.setattr(running, "carry_out", carry_out)
    return tmp_path, ran


def run(folder, bisect=0, cluster=None):
    said = io.StringIO()
    fleet = read_fleet(folder / "fleet.toml")
    cluster = cluster or Inline()
    table = Table(said, 2, live=False)
    made = FleetRun(fleet, folder / "out", cluster, table, bisect=bisect)
    made.run()
    return made, said.getvalue()


def test_a_model_that_cannot_answer_costs_one_short_run(world):
    made, said = run(world[0])
    assert [(t.label, t.stage) for t in world[1]] == [
        ("run/step-1", COMPETENCE),
        ("run/step-8", COMPETENCE),
        ("run/step-64", COMPETENCE),
        ("run/step-8", CLAIMS),
        ("run/step-64", CLAIMS),
    ]
    assert "run/step-1: cannot answer" in said
    assert any("step-1 answers nothing above the gate" in note for note in made.record().notes)


def test_equal_models_are_measured_once_and_said(world):
    made, said = run(world[0])
    assert "twice: = run/step-64" in said
    assert not [task for task in world[1] if task.label == "twice"]
    assert any("twice has the weights" in note for note in made.record().notes)


def test_a_wrong_entry_costs_itself_alone_with_its_sentence(world):
    made, said = run(world[0])
    assert "nowhere: failed; there is no nowhere." in said
    assert "entry 4: it names no model" in said
    assert {v.model.name for v in made.verdicts()} == {"run/step-1", "run/step-8", "run/step-64"}


def test_a_second_run_runs_nothing(world):
    run(world[0])
    before = len(world[1])
    made, _ = run(world[0])
    assert len(world[1]) == before
    assert len(made.verdicts()) == 5


def test_what_was_not_whole_is_run_again(world):
    run(world[0])
    left = world[1][-1]
    (left.folder / DONE).unlink()
    run(world[0])
    assert [t.folder for t in world[1][5:]] == [left.folder]


def test_a_gap_in_which_an_outcome_flips_is_halved(world):
    made, _ = run(world[0], bisect=3)
    (series,) = made.series()
    assert [p.step for p in series.points] == [1, 8, 16, 64]  # nothing is between 8 and 16


def test_what_no_machine_can_hold_is_a_sentence(world):
    cluster = Inline()
    cluster.has = [Needs(2, 0, GB // 2)]
    made, said = run(world[0], cluster=cluster)
    assert "it needs 1.0 GB, and the largest machine has 0.5 GB of memory." in said
    assert not made.verdicts()


def test_a_model_larger_than_a_gpu_asks_for_several(world, monkeypatch):
    monkeypatch.setattr(running, "gpu_memory", lambda: GB * 3 // 5)
    cluster = Inline()
    cluster.has = [Needs(8, 4, 8 * GB)]
    run(world[0], cluster=cluster)
    assert {needs for function, _, needs in cluster.asked[4:] if function is running.carry_out} == {
        Needs(1, 2, GB)
    }
    assert all("--device-map=auto" in task.options for task in world[1])


def test_tasks_come_from_a_url_where_there_is_one(world, monkeypatch):
    pytest.importorskip("fsspec", reason="the extra `fleet` is not installed")
    folder, ran = world
    monkeypatch.setattr(sharing, "carry_out", running.carry_out)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home"))
    (folder / "fleet.toml").write_text(f'store = "file://{folder}/url"\n{FLEET}')
    expected = run(folder)[0].verdicts()
    assert len(expected) == len(ran) == 5
    (folder / "out").rename(folder / "lost")
    assert run(folder)[0].verdicts() == expected
    assert len(ran) == 5


class Shaky(Inline):
    """A cluster on which every run of one model is lost, and that shrinks for a while."""

    shrunk = False

    def machines(self):
        return [Needs(2, 0, GB // 2)] if self.shrunk else self.has

    def ready(self, handles, seconds):
        handle = min(handles)
        function, arguments, _ = self.asked[handle]
        if function is not running.carry_out or "step-8" not in arguments[0].label:
            return super().ready(handles, seconds)
        self.shrunk = not self.shrunk
        if self.shrunk:
            return []
        return [(handle, Died("its process was killed", again=True))]


def test_a_task_that_is_lost_is_run_three_times_more(world):
    cluster = Shaky()
    _, said = run(world[0], cluster=cluster)
    assert "run/step-8, competence: its process was killed; it runs again (3 of 3)" in said
    assert "run/step-8: failed; its task died: its process was killed." in said
    assert said.count("run/step-8 waits: no machine is left with 1 processors, 0 GPUs, 1.0 GB") == 1
    asked = [arguments[0].label for f, arguments, _ in cluster.asked if f is running.carry_out]
    assert asked.count("run/step-8") == 4


def test_the_one_report_has_every_model_and_the_order(world):
    made, _ = run(world[0])
    page = put_together(made.verdicts(), made.folders(), made.record(), world[0] / "out")
    html = page.read_text(encoding="utf-8")
    assert "refuted to supported between 8 and 64" in html
    assert "there is no nowhere." in html
    assert len(read_verdicts(page.parent)) == 5
    assert read_fleet_record(page.parent) == made.record()


def test_lines_say_what_is_left(world):
    _, said = run(world[0])
    assert "left" in said
    assert said.count("\n") == 8


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ((), "0"),
        (("--twins", "2"), "2"),
        (("--twins=3", "-x", "--twins=1"), "1"),
        (("--twins",), "0"),
    ],
)
def test_the_last_value_of_an_option_counts(options, value):
    assert value_of(options, "--twins", "0") == value


def test_a_task_is_another_one_where_a_file_or_a_variable_that_it_reads_changed(
    tmp_path, monkeypatch
):
    file = tmp_path / "mine.jsonl"
    file.write_text("a")

    def folder():
        looked = Looked("model", "identity", 1)
        return task_of("m", looked, "claims", Needs(), [f"--prompts={file}"], tmp_path, tmp_path)

    first = folder().folder
    assert folder().folder == first
    file.write_text("b")
    second = folder().folder
    monkeypatch.setenv("HARNESS_ITEMS", "50")
    assert len({first, second, folder().folder}) == 3
    several = ["--items=50", "-k", " or ".join(["h1"] * 200), "--prompts", str(file)]
    assert contents_of(several).keys() == {str(file)}
