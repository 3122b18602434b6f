"""The findings of h8 on models whose sets add up, or do not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from harness.findings.circuits import interaction
from harness.findings.circuits.interaction import interaction_finding
from harness.findings.circuits.rules import InteractionRule, RandomSets, Selection
from harness.findings.circuits.separable import separable_finding
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
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
RULE = InteractionRule(
    selection=Selection(doses=DOSES, pairs=60, margin=0.2),
    alpha=0.05,
    random_pairs=RandomSets(count=20, pairs=20),
    smallest=0.05,
    components=4,
)
RECALL, REASONING = heads((1, 0), (2, 1)), heads((1, 2), (3, 3))


def apart(joint=0.0, cost=0.6, other=0.1, recall=RECALL, reasoning=REASONING, **options):
    """Each task has its own components; both sets together cost `joint` more than their sum."""
    costs = by_task(
        recall=dict.fromkeys(recall, cost) | dict.fromkeys(reasoning, other),
        reasoning=dict.fromkeys(reasoning, cost) | dict.fromkeys(recall, other),
    )
    return Planted(costs, joint=joint, sets=(recall, reasoning), **options)


def far_apart(joint=0.0, **options):
    """Eight heads a layer and four in a circuit: no random pair happens to repeat a circuit."""
    recall, reasoning = heads((1, 0), (1, 5), (2, 1), (2, 6)), heads((1, 2), (1, 7), (3, 3), (3, 4))
    spread = {"recall": recall, "reasoning": reasoning, "cost": 0.3, "other": 0.05}
    return with_size(apart(joint, **(spread | options)), 4, 8)


def interacts(study, kind="head", smallest=RULE.smallest):
    rule = replace(RULE, smallest=smallest)
    result = finding_of(interaction_finding, study, kind, rule, gate=0.6)
    return result, *judge(result, Criterion.CONTROLLED)


def separable(study, kind="head"):
    finding = finding_of(separable_finding, study, kind, RULE, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


def test_sets_that_add_up_do_not_interact():
    result, found, why = interacts(study_of(apart()))
    assert found is Outcome.REFUTED
    assert why.startswith("largest interaction")
    assert result.evidence[0].effect.value < 0.02


@pytest.mark.parametrize("joint", [0.3, -0.3])
def test_sets_that_do_not_add_up_interact(joint):
    result, found, why = interacts(study_of(apart(joint)))
    assert (found, why) == (Outcome.SUPPORTED, "every requirement holds")
    largest, beyond, *by_task_ = result.evidence
    assert beyond.effect.value == pytest.approx(0.3, abs=0.05)
    assert beyond.threshold < 0.2  # a random pair that holds half of a set has half of it
    assert largest.effect.value == pytest.approx(0.3, abs=0.02)
    assert largest.n == 40
    low, high = largest.effect.interval
    assert 0 < low <= largest.effect.value <= high
    units = result.samples[largest.name]
    assert len(units) == 40
    assert np.mean(list(units.values())) == pytest.approx(largest.effect.value)
    for row in by_task_:
        assert row.effect.value == pytest.approx(joint, abs=0.02)
        assert "recall set 1.2" in row.effect.method or "recall set 0.2" in row.effect.method


def test_neurons_that_do_not_add_up_interact():
    of = neurons((1, 0), (2, 1), (2, 5), (3, 6)), neurons((1, 2), (2, 3), (3, 4), (3, 7))
    sets = {"recall": of[0], "reasoning": of[1], "cost": 0.4, "other": 0.0}
    assert interacts(study_of(apart(0.3, **sets)), "neuron")[1] is Outcome.SUPPORTED
    assert interacts(study_of(apart(0.0, **sets)), "neuron")[1] is Outcome.REFUTED


def test_an_interaction_below_the_smallest_that_counts_is_none():
    result, found, why = interacts(study_of(apart(0.04)))
    assert found is Outcome.REFUTED
    assert result.evidence[0].p_adjusted <= 0.05
    assert "needed > 0.05" in why


def test_sets_that_add_up_are_said_to_interact_as_often_as_alpha(monkeypatch):
    """A hundred models, each item losing more or less than the sum by chance."""
    monkeypatch.setattr(interaction, "component_pairs", lambda *_: None)
    prompts, plan = facts_set(48), replace(PLAN, resamples=20)
    adds_up = apart(noise=0.3)
    supported = sum(
        interacts(study_of(replace(adds_up, seed=seed), prompts, plan), smallest=0.0)[1]
        is Outcome.SUPPORTED
        for seed in range(100)
    )
    low, high = binom.interval(0.99, 100, RULE.alpha)
    assert low <= supported <= high


def test_sets_that_both_tasks_chose_cannot_be_crossed():
    """Nothing does anything: both rankings begin with the same heads."""
    for subject in (Planted(spread=0.0), with_size(Planted(spread=0.0), 1, 1)):
        _, found, why = interacts(study_of(subject))
        assert found is Outcome.INCONCLUSIVE
        assert "of the same heads" in why


def test_only_facts_with_both_answers_enter_the_design():
    wrong = apart(0.3, misses=lambda i: i.id in ("recall-1-0", "reasoning-3-0"))
    result, found, _ = interacts(study_of(wrong))
    assert (found, result.evidence[0].n) == (Outcome.SUPPORTED, 38)


def test_unpaired_items_are_inconclusive_for_the_interaction_alone():
    study = study_of(far_apart(0.3), facts_set(alone=True, sort=True))
    _, found, why = interacts(study)
    assert found is Outcome.INCONCLUSIVE
    assert why.startswith("0 pairs of the evaluation half have an item of both tasks")
    assert separable(study)[1] is Outcome.SUPPORTED


def test_several_items_of_a_fact_are_one_unit():
    result, found, _ = interacts(study_of(apart(0.3), facts_set(80, each=3)))
    assert (found, result.evidence[0].n) == (Outcome.SUPPORTED, 40)
    _, found, why = interacts(study_of(apart(0.3), facts_set(30, each=3)))
    assert (found, why.startswith("15 pairs")) == (Outcome.INCONCLUSIVE, True)


@pytest.mark.parametrize("about", [separable, interacts])
def test_a_model_or_materials_that_say_nothing_are_inconclusive(about):
    guesses = apart(misses=lambda i: int(i.pair[1:]) % 4 > 1)
    for study in (
        study_of(guesses),
        study_of(apart(), facts_set(30)),
        study_of(apart(), facts_set(18)),
        study_of(apart(), facts_set(split=lambda _: "evaluation")),
        study_of(apart(unscorable=lambda i: i.task == "recall")),
    ):
        assert about(study)[1] is Outcome.INCONCLUSIVE


def test_an_interval_of_an_absolute_value_is_of_absolute_values():
    assert interaction._absolute(-0.1, 0.3) == (0, 0.3)
    assert interaction._absolute(-0.3, 0.1) == (0, 0.3)
    assert interaction._absolute(-0.3, -0.1) == (0.1, 0.3)
    assert interaction._absolute(0.1, 0.3) == (0.1, 0.3)


# Main effects


def test_sets_that_serve_their_own_tasks_are_separable():
    finding, found, why = separable(study_of(far_apart()))
    assert (found, why) == (Outcome.SUPPORTED, "every requirement holds")
    assert finding.evidence[0].effect.value == pytest.approx(1.0, abs=0.02)  # 1.2 - .2
    assert finding.evidence[2].effect.value == pytest.approx(1.0, abs=0.02)
    assert finding.evidence[0].n == 40
    for shown in (finding.evidence[0], finding.evidence[2]):
        units = list(finding.samples[shown.name].values())
        assert (len(units), np.mean(units)) == (40, pytest.approx(shown.effect.value))


def test_a_random_pair_that_holds_a_judged_set_ties_with_it():
    """With four heads a layer some pairs repeat a circuit: rounding must not tell them apart."""
    finding, found, why = separable(study_of(apart()))
    recall, reasoning = (e for e in finding.evidence if "random pairs" in e.name)
    assert (recall.threshold, recall.p_adjusted) == (recall.effect.value, 4 / 21)
    assert reasoning.p_adjusted == 2 / 21
    assert found is Outcome.INCONCLUSIVE  # more than most of the 20 pairs, less than nearly all
    assert why.startswith("undecided: recall set, against random pairs of sets")


def test_a_main_effect_counts_half_of_the_interaction():
    finding, *_ = separable(study_of(apart(0.4)))
    assert "recall 1.40, reasoning 0.40" in finding.evidence[0].effect.method


def test_sets_that_serve_both_tasks_are_not_separable():
    shared = dict.fromkeys((*RECALL, *REASONING), 0.5)
    study = study_of(Planted(by_task(recall=shared, reasoning=shared)))
    assert separable(study)[1] is Outcome.REFUTED


def test_sets_that_serve_their_tasks_no_more_than_random_pairs_are_not_separable():
    """Whole layers serve a task: that the sets lie in them is all there is to them."""
    layers = [heads(*((layer, head) for head in range(4))) for layer in (1, 2)]
    _, found, why = separable(study_of(apart(recall=layers[0], reasoning=layers[1])))
    assert found is Outcome.REFUTED
    assert "set, against random pairs of sets" in why


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [(80, Outcome.INCONCLUSIVE), (320, Outcome.REFUTED)],  # .03 [-.04, .09]; .01 [-.02, .04]
)
def test_one_set_that_serves_its_task_is_not_enough(pairs, expected):
    study = study_of(far_apart(reasoning=(), spread=0.2), facts_set(pairs))
    _, found, why = separable(study)
    assert found is expected
    assert why.removeprefix("undecided: ").startswith(
        "reasoning set, main effect on its own task minus on the other"
    )


# The pair map


def test_the_pair_map_shows_the_planted_pair():
    study = study_of(apart(0.3, recall=RECALL[:1], reasoning=REASONING[:1], cost=0.5))
    result, *_ = interacts(study)
    (plot,) = result.plots
    series = plot.panels[0].series[0]
    cells = dict(zip(zip(series.x, series.y, strict=True), series.z, strict=True))
    assert cells["L1 H0", "L1 H2"] == pytest.approx(0.3, abs=0.02)
    assert cells["L1 H2", "L1 H0"] == cells["L1 H0", "L1 H2"]
    assert np.isnan(cells["L1 H0", "L1 H0"])
    others = [v for k, v in cells.items() if set(k) != {"L1 H0", "L1 H2"}]
    assert np.nanmax(np.abs(others)) < 0.02
    assert "recall: L1 H0 with L1 H2 (+0.30)" in plot.headline


def test_a_pair_map_of_items_that_are_all_missed_is_no_error():
    """The first facts of the evaluation half, on which the map is drawn."""
    wrong = apart(0.3, misses=lambda i: i.task == "recall" and int(i.pair[1:]) < 42)
    result, found, _ = interacts(study_of(wrong, facts_set(120)))
    assert found is Outcome.SUPPORTED
    assert "recall: none, no item is answered right" in result.plots[0].headline


def test_a_pair_that_interacts_no_more_than_random_pairs_is_refuted():
    """Any two sets together cost less than their sum: saturation, not a tie of these two."""
    every = heads(*((layer, head) for layer in range(4) for head in range(4)))
    saturating = apart()
    saturating = replace(saturating, joint=-5.0, sets=(every, every))
    result, found, why = interacts(study_of(saturating))
    assert result.evidence[0].passed
    assert found is Outcome.REFUTED
    assert "against random pairs of sets" in why
