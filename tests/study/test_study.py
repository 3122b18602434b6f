"""What is measured once, what is kept, and what an identity depends on. No model is loaded."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.activations.extracted import Answers
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.materials.sets import crossed_controls, draw_crossed, geography_crossed
from harness.models.architecture import Architecture
from harness.models.specs import LoadOptions, ModelSpec
from harness.store.store import Store
from harness.study import subject as module
from harness.study.plan import Plan
from harness.study.progress import Progress
from harness.study.study import Study
from harness.study.subject import IN_MEMORY, SHARD, Subject
from tests.support.synthetic import crossed_set, noise, plain_set

OPTIONS = LoadOptions(device="cpu")


class FakeModel:
    """Gives noise that depends on its weights, and counts what is asked of it."""

    large = False

    def __init__(self, weights: int, calls: list[str]):
        self.weights, self.calls = weights, calls

    def twin(self, seed: int) -> "FakeModel":
        self.calls.append(f"twin {seed}")
        return FakeModel(-seed, self.calls)

    def extract(self, items):
        self.calls.append("extract")
        assert len(items) <= SHARD
        prompts = replace(crossed_set(1), items=tuple(items))
        return noise(prompts, 1000 + self.weights)

    def score(self, items):
        self.calls.append("score")
        ones = np.ones(len(items), np.float32)
        ones[::2] = 0
        return Answers(ones, ones, ones, ones, ones)

    def self_check(self):
        self.calls.append("self-check")
        return self

    def worst(self):
        return {"hooked": 0.0}


def made_up_identity(spec, load, _):
    return {
        "weights": f"sha {spec.name}",
        "tokenizer": "one tokenizer",
        "dtype": "float32" if load.dtype == "auto" else load.dtype,
        "chat_template": load.chat_template,
        **({"chat_date": "then"} if load.chat_template else {}),
    }


@pytest.fixture(autouse=True)
def calls(monkeypatch) -> list[str]:
    """What every model did; loading one is a call too. A spec's name is its weights."""
    made: list[str] = []
    made_up = Architecture("made", 4, 4, 2, 8, d_model=16, d_vocab=64)
    monkeypatch.setattr(module, "identity_of", made_up_identity)
    monkeypatch.setattr(module, "content_identity", lambda *_: "content")
    monkeypatch.setattr(Subject, "_rendered", "rendered")
    monkeypatch.setattr(module, "config_identity", lambda *_: "one configuration")
    monkeypatch.setattr(module, "architecture_of", lambda _: made_up)

    def load(self):
        made.append("load")
        return FakeModel(int(self.spec.name), made)

    # A cached_property of its own, so that `forget` works as it does.
    prop = module.cached_property(load)
    prop.__set_name__(Subject, "model")
    monkeypatch.setattr(Subject, "model", prop)
    return made


def subject(folder: Path, name: str = "1", options: LoadOptions = OPTIONS) -> Subject:
    return Subject(ModelSpec(name, f"/models/{name}", is_local=True), options, Store(folder))


def refuse_to_load(monkeypatch):
    def load(_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Subject, "model", property(load))


def everything(study: Study) -> list:
    return [
        study.activations,
        *(a for _, a in study.twins()),
        study.accuracy(),
        study.subject.self_check(),
        study.subject.record(),
    ]


def test_an_item_is_asked_once_in_all_sets(tmp_path, calls):
    one, prompts = subject(tmp_path), plain_set(4)
    whole = one.answers(prompts).correct
    part = prompts.where(lambda item: item.task == prompts.tasks[1])
    calls.clear()
    rows = [item.task == prompts.tasks[1] for item in prompts.items]
    np.testing.assert_array_equal(one.answers(part).correct, whole[rows])
    assert calls == []


def test_a_second_study_on_the_same_store_measures_nothing(tmp_path, calls, monkeypatch):
    plan = Plan(twins=2)
    first = everything(Study(subject(tmp_path), crossed_set(20), plan))
    assert calls.count("load") == 1
    assert "twin 2" in calls
    refuse_to_load(monkeypatch)
    again = subject(tmp_path)
    second = everything(Study(again, crossed_set(20), plan))
    assert again.store.measured == 0
    for one, two in zip(first[:3], second[:3], strict=True):
        for name, array in one.arrays().items():
            assert np.array_equal(array, two.arrays()[name])
    assert first[3:] == second[3:]


def test_what_is_missing_is_measured_and_nothing_else(tmp_path, calls):
    everything(Study(subject(tmp_path), crossed_set(20), Plan(twins=1)))
    calls.clear()
    list(Study(subject(tmp_path), crossed_set(20), Plan(twins=2)).twins())
    assert calls == ["load", "twin 2", "extract", "extract"]  # 80 prompts are two shards


def test_twins_do_not_depend_on_the_trained_weights(tmp_path, calls):
    one, two = (Study(subject(tmp_path, name), crossed_set(10), Plan(twins=1)) for name in "12")
    a, b = one.activations, two.activations
    assert not np.array_equal(a.heads, b.heads)
    calls.clear()
    [(_, a)], [(_, b)] = one.twins(), two.twins()
    assert np.array_equal(a.heads, b.heads)
    assert calls == ["twin 1", "extract"]


def test_twins_of_other_seeds_architectures_and_devices_are_others(tmp_path, calls, monkeypatch):
    def twin(seed=1, options=OPTIONS):
        return subject(tmp_path, options=options).activations(crossed_set(5), twin=seed)

    assert not np.array_equal(twin(1).heads, twin(2).heads)
    calls.clear()
    twin(1)
    assert calls == []
    twin(1, replace(OPTIONS, device="cuda"))
    monkeypatch.setattr(module, "config_identity", lambda *_: "another")
    twin(1)
    assert calls == ["load", "twin 1", "extract"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "other"},
        {"tokenizer": "other"},
        {"features": 2},
        {"dtype": "bfloat16"},
        {"attention": "sdpa"},
        {"chat_template": True},
        {"versions": {"torch": "0"}},
    ],
)
def test_whatever_a_measurement_depends_on_makes_it_another(tmp_path, calls, change):
    subject(tmp_path).activations(crossed_set(5))
    other = subject(tmp_path)
    other.__dict__["identity"] = {**other.identity, **change}
    calls.clear()
    other.activations(crossed_set(5))
    assert "extract" in calls


def test_other_prompts_and_templates_are_measured_anew(tmp_path, calls):
    prompts = crossed_set(5)
    subject(tmp_path).activations(prompts)
    calls.clear()
    renamed = replace(prompts, items=tuple(replace(i, template="x") for i in prompts.items))
    split = replace(prompts, items=(replace(prompts.items[0], prompt="?"), *prompts.items[1:]))
    for other in (renamed, split):
        subject(tmp_path).activations(other)
    assert calls.count("extract") == 2


def test_both_contrasts_of_the_same_crossed_stories_are_extracted_in_one_go(tmp_path, calls):
    plan = Plan(items=16, twins=0)
    one, other = (
        Study(subject(tmp_path), draw_cells(f"cells-crossed:{of}@{Difficulty()}", 16, 0), plan)
        for of in ("recall-lookup", "lookup-reasoning")
    )
    found = one.activations
    calls.clear()
    other = replace(other, subject=one.subject)
    assert len(other.activations) == len(other.prompts)
    assert "extract" not in calls
    alone = subject(tmp_path / "alone").activations(one.prompts)
    assert len(found) == len(alone) == len(one.prompts)
    part = one.prompts.where(lambda item: item.label == 1)  # is not the set that its name says
    assert len(replace(one, prompts=part).activations) == len(part)
    assert calls.count("extract") >= 2  # the two sets alone


def test_no_more_than_a_few_extractions_are_held_in_memory(tmp_path):
    one = subject(tmp_path)
    held = [one.activations(crossed_set(5 + n)) for n in range(IN_MEMORY + 4)]
    assert len(one._held) == IN_MEMORY
    assert one.activations(crossed_set(5 + IN_MEMORY + 3)) is held[-1]
    before = one.store.measured
    one.activations(crossed_set(5))  # read again from the store, not measured
    assert one.store.measured == before
    assert len(one._held) == IN_MEMORY


def test_forgetting_lets_go_of_arrays_and_weights(tmp_path):
    one = subject(tmp_path)
    one.activations(crossed_set(5))
    one.forget()
    assert not one._held
    assert "model" not in vars(one)
    one.activations(crossed_set(5))
    assert "model" not in vars(one)
    one.forget()
    one.forget()


def test_accuracy_is_by_task_of_what_was_chosen(tmp_path):
    study = Study(subject(tmp_path), plain_set(10), Plan())
    assert study.accuracy() == {"recall": 0.0, "reasoning": 1.0}  # even rows are wrong
    assert study.has_answers
    prompts = study.prompts
    silent = replace(prompts, items=(replace(prompts.items[0], answer=""), *prompts.items[1:]))
    assert not replace(study, prompts=silent).has_answers


def test_an_error_while_measuring_is_an_error_and_leaves_no_entry(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(FakeModel, "extract", fails)
    one = subject(tmp_path)
    with pytest.raises(RuntimeError, match="out of memory"):
        one.activations(crossed_set(5))
    assert not one._held
    assert one.store.measured == 0


def test_lookup_controls_are_the_two_other_crossings_of_the_same_stories(tmp_path):
    plan = Plan(items=4)
    study = Study(subject(tmp_path), geography_crossed(4, 0), plan)
    assert [s.prompts for s in study.lookup_controls()] == list(crossed_controls(4, 0))
    assert [s.prompts.tasks for s in study.lookup_controls()] == [
        ("lookup", "reasoning"),
        ("recall", "lookup"),
    ]
    assert replace(study, prompts=plain_set()).lookup_controls() == []
    assert study.lookup_controls()[0].lookup_controls() == []


def test_every_domains_crossed_set_has_lookup_controls_of_its_own(tmp_path):
    study = Study(subject(tmp_path), draw_crossed("kinship", 4, 0), Plan(items=4))
    assert [s.prompts for s in study.lookup_controls()] == list(crossed_controls(4, 0, "kinship"))


def test_how_far_a_measurement_is_can_be_asked(tmp_path, calls):
    watched = subject(tmp_path)
    advanced = []

    class Watching(Progress):
        @contextmanager
        def measuring(self, what, total):
            advanced.append((what, total))
            yield advanced.append

    watched.progress = Watching()
    prompts = crossed_set()
    watched.activations(prompts)
    assert advanced[0] == (f"activations on {prompts.name}", len(prompts))
    assert sum(advanced[1:]) == len(prompts)
    assert calls
