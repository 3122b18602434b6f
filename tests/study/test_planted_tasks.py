"""Organisms that know the tasks of geography are what circuit.json says, by the suite's engine."""

import json

import pytest

from harness.files import DATA
from harness.findings.effects import measured_effects
from harness.interventions.interventions import ABLATIONS, MEAN, Intervention
from harness.interventions.sites import Site, joined
from harness.materials.sets import draw_plain
from harness.models import specs
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject

PROMPTS = draw_plain("geography", 30, seed=3000)
MEANS = draw_plain("geography", 20, seed=3001)
# Most of the right answers lost, and hardly any, in shares; of four candidates a guess loses .75.
# Values of a prompt with one name changed do more than take something away: they say something
# else, which training never met; what they do is bounded less tightly.
DEAD = 0.5
ALIVE = {"mean": 0.1, "counterfactual": 0.35}
METHODS = tuple(ALIVE)
BY_NAME = {method.name: method for method in ABLATIONS}
OWNER = {"recall": "recall", "lookup": "reasoning", "reasoning": "reasoning"}


TASKS = ("recall", "reasoning")
SHARED = {"planted-llama": False, "planted-qwen": False, "shared-qwen": True}


def circuit(name):
    file = DATA / "fixtures" / "organisms" / name / "circuit.json"
    return json.loads(file.read_text(encoding="utf-8"))


def sites(part):
    heads = [Site("head", layer, head) for layer, head in part["heads"]]
    return joined([*heads, *(Site("neuron", int(n), tuple(i)) for n, i in part["neurons"].items())])


def both(one, two):
    neurons = {n: one["neurons"].get(n, []) + two["neurons"].get(n, []) for n in map(str, range(4))}
    return {
        "heads": one["heads"] + two["heads"],
        "neurons": {n: sorted(set(i)) for n, i in neurons.items() if i},
    }


@pytest.fixture(scope="module", params=sorted(SHARED))
def lost(request, tmp_path_factory):
    """Share of right answers lost, by (what is taken away, how) and task."""
    name, truth = request.param, circuit(request.param)
    recall, reasoning = (truth["tasks"][task] for task in TASKS)
    idle = truth["bystanders"]
    whole = {
        "recall": recall,
        "reasoning": reasoning,
        "bystanders": idle,
        "all but recall": both(reasoning, idle),
        "all but reasoning": both(recall, idle),
    }
    # Heads or neurons alone are proved by means: under the others, what is left says enough.
    halves = {
        **{f"{t} heads": {**truth["tasks"][t], "neurons": {}} for t in TASKS},
        **{f"{t} neurons": {**truth["tasks"][t], "heads": []} for t in TASKS},
    }
    store = Store(tmp_path_factory.mktemp("store"))
    study = Study(Subject(specs.resolve(name), LoadOptions(), store), PROMPTS, Plan())
    each = {
        (what, how): Intervention(sites(part), BY_NAME[how])
        for what, part in whole.items()
        for how in METHODS
    } | {(what, MEAN.name): Intervention(sites(part), MEAN) for what, part in halves.items()}
    found = measured_effects(study, PROMPTS, list(each.values()), MEANS)
    return name, {
        (*key, task): float(effects.share_lost[row])
        for row, key in enumerate(each)
        for task, effects in found.items()
    }


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("task", sorted(OWNER))
def test_a_task_dies_without_its_circuit_and_the_other_does_not(lost, task, how):
    name, shares = lost
    own = OWNER[task]
    other = next(t for t in TASKS if t != own)
    for part in ("", " heads", " neurons") if how == "mean" else ("",):
        assert shares[f"{own}{part}", how, task] > DEAD, part
        if not SHARED[name]:
            assert shares[f"{other}{part}", how, task] < ALIVE[how], part


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("task", sorted(OWNER))
def test_a_task_lives_on_its_circuit_alone(lost, task, how):
    name, shares = lost
    assert shares["bystanders", how, task] < 0.1
    if not SHARED[name]:
        assert shares[f"all but {OWNER[task]}", how, task] < ALIVE[how]
