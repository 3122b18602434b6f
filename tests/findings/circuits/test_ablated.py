"""Selecting circuits on discovery items and ablating them on evaluation items."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.findings.circuits import selection
from harness.findings.circuits.ablated import (
    ablate_circuits,
    ablate_random_sets,
    random_losses_of_other_sizes,
)
from harness.findings.circuits.rules import RandomSets, Selection
from harness.findings.circuits.selection import component_effects, select_circuits
from harness.materials.items import DISCOVERY
from tests.support.planted_circuits import (
    PLAN,
    Planted,
    by_task,
    facts_set,
    heads,
    neurons,
    study_of,
    with_size,
)

DOSES = dict.fromkeys(("head", "neuron"), (1 / 8, 1 / 4, 1 / 2))
SETS = RandomSets(count=20, pairs=10)
SELECTION = Selection(doses=DOSES, pairs=60, margin=0.10)
RECALL, REASONING = heads((1, 0), (2, 1)), heads((1, 2), (3, 3))


def apart(cost=0.8, **options):
    costs = by_task(recall=dict.fromkeys(RECALL, cost), reasoning=dict.fromkeys(REASONING, cost))
    return Planted(costs, **options)


def members(found):
    return {("head", *p) for p in found.circuit.members}


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_effects_are_the_planted_costs(kind):
    of = heads((1, 0), (2, 1)) if kind == "head" else neurons((0, 7), (2, 5))
    costs = by_task(recall=dict(zip(of, (0.6, 0.3), strict=True)))
    effects = component_effects(study_of(Planted(costs, spread=0.0)), kind, 60)
    expected = np.zeros((4, 4 if kind == "head" else 8))
    for (_, layer, index), cost in zip(of, (0.6, 0.3), strict=True):
        expected[layer, index] = cost
    np.testing.assert_allclose(effects["recall"], expected, atol=1e-9)
    assert not effects["reasoning"].any()


def test_items_that_the_intact_model_misses_have_no_part_in_the_selection():
    def costs(item):
        wrong = int(item.pair[1:]) % 3 == 0
        return dict.fromkeys(heads((0, 0)) if wrong else RECALL, 0.5)

    subject = Planted(costs, spread=0.0, misses=lambda i: int(i.pair[1:]) % 3 == 0)
    effects = component_effects(study_of(subject), "head", 60)["recall"]
    assert effects[0, 0] == 0
    assert effects[1, 0] == pytest.approx(0.5)


def test_a_circuit_holds_what_costs_its_task_and_not_the_other():
    shared = heads((0, 0))
    costs = by_task(
        recall=dict.fromkeys((*RECALL, *shared), 0.8),
        reasoning=dict.fromkeys((*REASONING, *shared), 0.8),
    )
    selected = select_circuits(study_of(Planted(costs)), "head", SELECTION)
    assert members(selected["recall"]) == set(RECALL)
    assert members(selected["reasoning"]) == set(REASONING)


def test_of_doses_that_lose_as_many_answers_the_smallest_is_taken():
    selected = select_circuits(study_of(apart()), "head", SELECTION)
    assert {c.size for c in selected.values()} == {2}
    four = heads((0, 0), (1, 0), (2, 1), (3, 2))  # .3 each: no answer is lost without all four
    costs = by_task(recall=dict.fromkeys(four, 0.3))
    selected = select_circuits(study_of(Planted(costs)), "head", SELECTION)["recall"]
    assert (selected.size, members(selected)) == (4, set(four))


def test_what_costs_the_other_task_more_than_the_margin_comes_last():
    own, other = np.array([[0.9, 0.3, 0.0, 0.5]]), np.array([[0.2, 0.0, 0.0, 0.1]])
    order = selection.specificity(own, other, 0.10).ravel().argsort()[::-1]
    assert order.tolist() == [3, 1, 2, 0]  # .9 - .2 is the largest difference, and shared
    unknown = selection.specificity(np.array([[0.9, np.nan, 0.3]]), np.array([[0.2, 0, 0]]), 0.1)
    assert np.isnan(unknown).tolist() == [[False, True, False]]


def test_the_smallest_dose_within_a_standard_error_of_the_best_is_taken():
    pairs = np.arange(100)
    own = np.array([pairs < n for n in (60, 76, 78)], float)
    nothing = np.zeros_like(own)
    assert selection._first_within(own, nothing) == (1, 0.78)  # SE of .78 is .04
    assert selection._first_within(np.repeat(own[2:], 3, 0), nothing)[0] == 0
    assert selection._first_within(own, np.stack([nothing[0], own[0], own[0]]))[0] == 0
    unknown = np.full((3, 100), np.nan)
    unknown[:, :10] = own[:, 50:60]
    assert selection._first_within(unknown, nothing)[0] == 0


def test_where_no_dose_loses_an_answer_the_logit_difference_decides():
    def effects(lost, costs):
        costs = np.array(costs)[:, None] * np.ones(50)
        lost = np.array(lost)[:, None] * np.ones(50)
        return SimpleNamespace(lost=lost, costs=costs)

    falls, none = effects([0, 0, 0], [0.1, 0.3, 0.2]), effects([0, 0, 0], [0, 0, 0])
    assert selection._smallest_as_good(falls, none, slice(0, 3)) == 1
    worse = effects([0.1, 0.1, 0.2], [0, 0, 0])
    assert selection._smallest_as_good(falls, worse, slice(0, 3)) == 1
    some = effects([0.5, 0.8, 0.8], [0.2, 0.3, 0.1])
    assert selection._smallest_as_good(some, none, slice(0, 3)) == 1


def test_only_discovery_pairs_are_selected_on_and_no_more_than_told():
    found = selection.selection_prompts(study_of(apart()), 15)
    assert found.count() == {"recall": 15, "reasoning": 15}
    assert {i.split for i in found.items} == {DISCOVERY}


def test_every_ablation_has_its_row():
    found = ablate_circuits(study_of(apart()), "head", SELECTION)
    assert found.tasks == ("recall", "reasoning")
    assert found.at("recall") == found.row["recall", 2] == found.doses("recall")[0]
    lost = {t: d.share_lost for t, d in found.effects.items()}
    for method in ("mean", "zero", "resample"):
        assert lost["recall"][found.row["recall", method]] == 1
        assert lost["reasoning"][found.row["recall", method]] == 0
        assert lost["reasoning"][found.row["reasoning", method]] == 1
    assert [lost[t][found.both] for t in found.tasks] == [1, 1]
    assert np.isnan(lost["recall"][found.row["recall", "counterfactual"]])
    assert found.at("recall", "specialised") is None
    assert found.effects["recall"].n == 40


def test_only_evaluation_items_are_judged():
    def costs(item):
        cost = 0.8 if item.split == DISCOVERY else 0.4
        return dict.fromkeys(RECALL, cost if item.task == "recall" else 0.0)

    study = study_of(Planted(costs, spread=0.0))
    assert component_effects(study, "head", 60)["recall"].max() == pytest.approx(0.8)
    recall = ablate_circuits(study, "head", SELECTION).effects["recall"]
    assert recall.cost[0] == pytest.approx(0.8)  # both heads, .4 each
    assert list(recall.pairs) == [f"p{n}" for n in range(1, 80, 2)]


def test_a_task_may_be_called_both():
    costs = by_task(both=dict.fromkeys(RECALL, 0.8), other=dict.fromkeys(REASONING, 0.8))
    found = ablate_circuits(
        study_of(Planted(costs), facts_set(tasks=("both", "other"))), "head", SELECTION
    )
    lost = {t: d.share_lost for t, d in found.effects.items()}
    assert [lost[t][found.row["both", "mean"]] for t in found.tasks] == [1, 0]
    assert [lost[t][found.both] for t in found.tasks] == [1, 1]


def test_doses_that_coincide_are_one():
    found = ablate_circuits(study_of(with_size(Planted(), 1, 3)), "head", SELECTION)
    assert [c.doses for c in found.selected.values()] == [(1, 2), (1, 2)]
    alone = ablate_circuits(study_of(with_size(Planted(), 1, 1)), "head", SELECTION)
    assert [c.doses for c in alone.selected.values()] == [(1,), (1,)]
    assert alone.doses("recall") == [alone.at("recall")]


def test_components_selected_by_how_they_differ_are_ablated_too():
    prompts = replace(facts_set(), name="geography")
    found = ablate_circuits(study_of(apart(), prompts, replace(PLAN, items=20)), "head", SELECTION)
    rows = [found.at(t, "specialised") for t in found.tasks]
    assert None not in rows
    assert rows[0] != rows[1]


def test_without_another_answer_there_is_no_resampling():
    found = ablate_circuits(study_of(apart(), facts_set(answers=("yes",))), "head", SELECTION)
    assert found.at("recall", "resample") is None
    assert found.at("recall", "zero") is not None


def test_random_sets_and_the_circuit_are_run_on_the_same_items():
    found = ablate_circuits(study_of(apart()), "head", SELECTION)
    effects, matched = ablate_random_sets(found, "recall", 100, 20, 0.05)
    assert [d.pairs.tolist() for d in effects.values()] == [[f"p{n}" for n in range(1, 41, 2)]] * 2
    assert (len(effects["recall"].lost), len(matched.circuits)) == (92, 91)  # two of 14 others
    assert [d.share_lost[-1] for d in effects.values()] == [1, 0]
    own = set(found.selected["recall"].circuit.members)
    for circuit, lost in zip(matched.circuits, effects["recall"].share_lost, strict=False):
        assert len(circuit) == 2
        assert lost < 0.2, circuit
        assert not set(circuit.members) & own


def test_pairs_that_are_correct_in_both_tasks_come_first():
    missed = ("recall-1-0", "reasoning-3-0")
    found = ablate_circuits(study_of(apart(misses=lambda i: i.id in missed)), "head", SELECTION)
    few = found.measure([found.selected["recall"].circuit], found.tasks, 20)
    assert [d.pairs.tolist() for d in few.values()] == [[f"p{n}" for n in range(5, 45, 2)]] * 2
    every = found.measure([found.selected["recall"].circuit], found.tasks, 39)
    assert (every["recall"].pairs[0], every["reasoning"].pairs[0]) == ("p3", "p1")
    alone = ablate_circuits(study_of(apart(), facts_set(alone=True)), "head", SELECTION)
    effects, _ = ablate_random_sets(alone, "recall", 100, 20, 0.05)
    assert [d.n for d in effects.values()] == [20, 20]


def test_random_losses_are_of_the_doses_that_were_not_selected():
    found = ablate_circuits(study_of(apart()), "head", SELECTION)
    assert {
        size: len(lost)
        for size, lost in random_losses_of_other_sizes(found, "recall", SETS, 0.05).items()
    } == {
        4: 20,
        8: 1,
    }  # of eight of sixteen, one other set
    assert all(
        ((lost >= 0) & (lost <= 1)).all()
        for lost in random_losses_of_other_sizes(found, "recall", SETS, 0.05).values()
    )
