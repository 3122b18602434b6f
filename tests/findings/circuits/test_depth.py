"""The findings of h6 on models whose layers' costs are known."""

import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.findings.circuits.depth import centroid, depth_finding, observed_order, signed_centroid
from harness.findings.specialisation.rules import ControlledRule
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.planted_circuits import PLAN, Planted, facts_set, heads, study_of, with_size

H1 = ControlledRule(threshold_d=0.5, alpha=0.01, permutations=99, seed=0)
LAYERS = 6


def layers_of(recall, reasoning, **options):
    """Costs by layer, in the first head of each."""
    profiles = {"recall": recall, "reasoning": reasoning}

    def costs(item):
        profile = profiles.get(item.task, ())
        return dict(zip(heads(*((n, 0) for n in range(LAYERS))), profile, strict=False))

    return with_size(Planted(costs, **options), LAYERS, 2, 2)


EARLY, LATE = (0.1, 0.6, 0.2, 0, 0, 0), (0, 0, 0.1, 0.2, 0.6, 0.1)
EVEN = (0.1, 0.3, 0.4, 0.3, 0.2, 0.1)


def depth(subject, prompts=None, plan=PLAN):
    result = finding_of(depth_finding, study_of(subject, prompts, plan), H1, pairs=60, gate=0.6)
    return result, *judge(result, Criterion.CONTROLLED)


def test_a_centroid_is_the_mean_layer_by_cost():
    assert centroid(np.array([0.0, 1.0, 0.0])) == 1
    assert centroid(np.array([1.0, 0.0, 3.0])) == 1.5
    assert centroid(np.array([[1.0, 1.0], [0.0, 2.0]])).tolist() == [0.5, 1]


def test_a_signed_centroid_keeps_what_helps():
    helps = np.array([-1.0, 1.0, 2.0])
    assert signed_centroid(helps) == 2.5
    assert centroid(helps) == pytest.approx(5 / 3)
    assert np.isnan(signed_centroid(np.array([-1.0, 1.0])))


def test_layers_whose_loss_helps_count_for_nothing():
    assert centroid(np.array([-5.0, 1.0, 1.0])) == 1.5
    assert np.isnan(centroid(np.array([-1.0, 0.0])))
    assert np.isnan(centroid(np.zeros((2, 3)))).all()


def test_recall_planted_earlier_is_supported():
    result, found, why = depth(layers_of(EARLY, LATE))
    assert (found, why) == (Outcome.SUPPORTED, "every requirement holds")
    difference = result.evidence[0]
    expected = centroid(np.array(LATE)) - centroid(np.array(EARLY))
    assert difference.effect.value == pytest.approx(expected, abs=0.1)
    low, high = difference.effect.interval
    assert low < difference.effect.value < high
    assert difference.n == 40
    units = list(result.samples[difference.name].values())
    assert (len(units), np.mean(units)) == (40, pytest.approx(difference.effect.value, abs=0.05))
    assert all(c.value < 0.2 for c in result.controls)
    assert [p.title for p in result.plots] == ["what each layer causes"]


def test_recall_planted_later_is_refuted():
    result, found, why = depth(layers_of(LATE, EARLY))
    assert found is Outcome.REFUTED
    assert why.startswith("depth of reasoning minus depth of recall: -2.")
    assert result.evidence[0].effect.interval[1] < 0


def test_equal_depths_are_supported_in_hardly_more_than_two_percent():
    quick = replace(PLAN, resamples=199)
    prompts = facts_set(80)
    supported = [
        depth(layers_of(EVEN, EVEN, spread=0.4, seed=seed), prompts, quick)[1]
        for seed in range(120)
    ]
    assert sum(found is Outcome.SUPPORTED for found in supported) <= 6  # 5 %; 2.5 % nominal


def noisier(seed):
    """Both tasks in early layers; what a layer costs reasoning varies wildly from item to item."""

    def costs(item):
        noise = 1.0 if item.task == "reasoning" else 0.05
        drawn = np.random.default_rng([seed, zlib.crc32(item.id.encode())]).standard_normal(LAYERS)
        places = heads(*((n, 0) for n in range(LAYERS)))
        return dict(zip(places, np.array(EARLY) + noise * drawn, strict=True))

    return with_size(Planted(costs), LAYERS, 2, 2)


def test_noise_in_one_task_alone_is_no_difference_of_depth():
    quick = replace(PLAN, resamples=199)
    passed = []
    for seed in range(60):
        finding = depth(noisier(seed), plan=quick)[0]
        passed.append([e.passed for e in finding.evidence if e.decisive])
    clipped, signed = np.mean(passed, 0)
    assert clipped > 0.1  # why the clipped centroid does not decide alone
    assert signed <= 0.05


def test_a_model_of_one_layer_has_no_order():
    _, found, why = depth(with_size(Planted(), 1, 2))
    assert (found, why) == (
        Outcome.INCONCLUSIVE,
        "the model has 1 layer: there is no order of layers",
    )


def test_a_model_whose_layers_cost_nothing_is_inconclusive():
    _, found, why = depth(layers_of((), EVEN, spread=0.0))
    assert (found, why) == (
        Outcome.INCONCLUSIVE,
        "no layer's loss costs recall anything: its depth is undefined",
    )


def test_an_intact_model_at_chance_is_inconclusive():
    misses = layers_of(EARLY, LATE, misses=lambda i: int(i.pair[1:]) % 4 > 1)
    _, found, why = depth(misses)
    assert found is Outcome.INCONCLUSIVE
    assert why.startswith("recall accuracy 0.50")


@pytest.mark.parametrize(
    ("pairs", "options"),
    [(30, {}), (80, {"unscorable": lambda i: i.task == "recall"})],
)
def test_too_few_items_are_inconclusive(pairs, options):
    _, found, why = depth(layers_of(EARLY, LATE, **options), facts_set(pairs))
    assert found is Outcome.INCONCLUSIVE
    assert "recall items of the evaluation half are answered right, 20 are needed" in why


def test_people_s_own_files_are_judged_as_any_other():
    """No pairs, subjects, premises or counterfactuals; one task after the other."""
    result, found, _ = depth(layers_of(EARLY, LATE), facts_set(alone=True, sort=True))
    assert found is Outcome.SUPPORTED
    names = [e.name for e in result.evidence]
    assert names[2:] == ["the same, ablated at the final tokens"]
    assert [p.title for p in result.plots[0].panels] == ["all tokens", "final tokens"]


def test_several_items_of_a_fact_are_one_unit():
    result, found, _ = depth(layers_of(EARLY, LATE), facts_set(80, each=3))
    assert (found, result.evidence[0].n) == (Outcome.SUPPORTED, 40)
    _, found, why = depth(layers_of(EARLY, LATE), facts_set(30, each=3))
    assert (found, why.startswith("15 recall items")) == (Outcome.INCONCLUSIVE, True)


@pytest.mark.parametrize("with_subject", [1, 2, 40])
def test_positions_that_few_items_have_are_no_error(with_subject):
    prompts = facts_set()
    judged = [p for p in prompts.pairs if int(p[1:]) % 2][:with_subject]
    items = tuple(replace(i, subject=(0, 3) if i.pair in judged else None) for i in prompts.items)
    result, found, _ = depth(layers_of(EARLY, LATE), replace(prompts, items=items))
    assert found is Outcome.SUPPORTED
    shown = [e.n for e in result.evidence if "subject" in e.name]
    assert shown == ([] if with_subject == 1 else [with_subject])


def test_patching_is_drawn_where_there_are_counterfactual_prompts():
    whole = {"counterfactual_prompt": "another", "subject": (0, 3)}
    result, *_ = depth(layers_of(EARLY, LATE), facts_set(**whole))
    curve, patching = result.plots
    assert patching.form == "map"
    shares = np.array(patching.panels[0].series[0].z).reshape(3, LAYERS + 1).T
    np.testing.assert_allclose(shares[:, [0, 2]], 1)
    assert np.isnan(shares[:, 1]).all()  # no premises
    assert curve.form == "curve"


def test_patching_that_carries_nothing_over_is_no_error():
    """Every component's loss helps: the fall is negative, and no share of it makes sense."""
    helps = layers_of((-0.5, 0.1), (-0.5, 0.1), spread=0.0)
    result, found, _ = depth(helps, facts_set(counterfactual_prompt="another"))
    assert [p.form for p in result.plots] == ["curve"]
    assert found is Outcome.REFUTED


def test_the_observed_order_is_undefined_without_both_types():
    def table(*types):
        layer, named = np.arange(len(types)), np.array(types)
        return SimpleNamespace(layer=layer, passed=named != "", type=named)

    tasks = ("recall", "reasoning")
    assert observed_order(table("recall", "", "reasoning"), tasks) == 2
    assert observed_order(table("reasoning", "recall", "recall"), tasks) == -1.5
    assert np.isnan(observed_order(table("recall", ""), tasks))
