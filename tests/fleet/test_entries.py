"""FILE.toml of a fleet: what it names, and what a wrong entry costs."""

import pytest

from harness.fleet.entries import RELEASE, STEP, FleetError, options_of, read_fleet


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        (tmp_path / "fleet.toml").write_text(text, encoding="utf-8")
        return read_fleet(tmp_path / "fleet.toml")

    return write_and_read


def checkpoints(folder, *steps):
    for step in steps:
        (folder / f"run/step-{step}").mkdir(parents=True)


def test_an_entry_with_steps_is_its_checkpoints_in_order(read, tmp_path):
    checkpoints(tmp_path, 1000, 10, 200)
    (entry,) = read('[[entry]]\nmodel = "run/step-{step}"').entries
    assert [(p.label, p.step) for p in entry.points] == [
        ("run/step-10", 10),
        ("run/step-200", 200),
        ("run/step-1000", 1000),
    ]
    assert entry.points[0].model == str(tmp_path / "run/step-10")
    assert entry.axis == STEP


def test_steps_that_were_not_asked_for_stay_for_a_closer_look(read, tmp_path):
    checkpoints(tmp_path, 10, 20, 40)
    (entry,) = read('[[entry]]\nmodel = "run/step-{step}"\nsteps = [10, 40]').entries
    assert [p.step for p in entry.points] == [10, 40]
    assert [p.step for p in entry.between] == [10, 20, 40]


def test_releases_keep_their_order(read):
    (entry,) = read('[[entry]]\nmodels = ["b", "a"]\nname = "ours"').entries
    assert ([p.label for p in entry.points], entry.axis) == (["b", "a"], RELEASE)


def test_options_are_split_as_a_shell_does(read):
    fleet = read("options = \"-k 'h1 and controlled' --items 9\"\n[[entry]]\nmodel = 'qwen'")
    assert fleet.options == ("-k", "h1 and controlled", "--items", "9")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "it names no model"),
        ("model = 3", "it names no model"),
        ("model = 'qwen'\nmodles = 1", "'modles' is no key of an entry"),
        ("model = 'qwen'\nsteps = 'all'", "has no {step} in its name"),
        ("model = 'nowhere/step-{step}'", "there is no checkpoint nowhere/step-{step}"),
        ("model = 'run/step-{step}'\nsteps = 'some'", "steps is 'some', expected"),
        ("model = 'run/step-{step}'\nsteps = [11]", "there is no step 11"),
        ("model = 'qwen'\noptions = '-n 4'", "a fleet decides itself"),
        ("model = 'qwen'\noptions = \"'\"", "cannot be split"),
    ],
)
def test_a_wrong_entry_costs_itself_alone(read, tmp_path, wrong, said):
    checkpoints(tmp_path, 10)
    right, faulty = read(f"[[entry]]\nmodel = 'qwen'\n[[entry]]\n{wrong}").entries
    assert right.points
    assert not right.fault
    assert not faulty.points
    assert said in faulty.fault
    assert "\n" not in faulty.fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[entry", "is not a fleet"),
        ("", "no \\[\\[entry\\]\\]"),
        ("modles = 1", "'modles'"),
        ("store = 1\n[[entry]]\nmodel = 'qwen'", "store is 1"),
        ("options = '--model=qwen'\n[[entry]]\nmodel = 'qwen'", "decides itself"),
    ],
)
def test_a_file_that_is_no_fleet_is_refused_in_a_sentence(read, text, said):
    with pytest.raises(FleetError, match=said):
        read(text)


def test_two_entries_of_one_name_are_told_apart(read):
    fleet = read("[[entry]]\nmodel = 'qwen'\n[[entry]]\nmodel = 'qwen'\noptions = '--items 5'")
    assert [entry.name for entry in fleet.entries] == ["qwen", "qwen (2)"]


@pytest.mark.parametrize("option", ["--model", "--report=x", "-n2", "--cache-dir"])
def test_options_that_a_fleet_sets_itself_are_refused(option):
    with pytest.raises(FleetError, match="decides itself"):
        options_of(option)
