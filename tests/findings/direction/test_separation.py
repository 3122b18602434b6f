"""AUCs, their intervals and their p-values, over pairs and over prompts without one."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from harness import stats
from harness.findings.direction.separation import (
    Labelled,
    _WeightedAuc,
    by_stratum,
    permutation_p,
    separation,
)
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from tests.support.synthetic import crossed_set, plain_set


def unpaired(prompts: int, seed: int = 0, domains: int = 4) -> Labelled:
    """Each prompt a unit of its own."""
    generator = np.random.default_rng(seed)
    return Labelled(
        np.resize([1, -1], prompts),
        np.arange(prompts),
        np.resize([DISCOVERY, DISCOVERY, EVALUATION, EVALUATION], prompts),
        np.full(prompts, ""),
        np.array([f"d{i}" for i in generator.integers(0, domains, prompts)]),
        np.full(prompts, np.nan),
    )


def test_labels_of_a_set_are_those_of_its_items():
    prompts = crossed_set(4)
    labelled = Labelled.of(prompts)
    for i, item in enumerate(prompts.items):
        assert labelled.side[i] == (1 if item.task == "reasoning" else -1)
        assert labelled.template[i] == item.template
    other = replace(prompts.items[0], task="lookup", score=0.5)
    labelled = Labelled.of(replace(prompts, items=(other, *prompts.items[1:])))
    assert labelled.side[0] == 0
    assert labelled.score[0] == 0.5
    assert np.isnan(labelled.score[1:]).all()


def test_paired_means_as_many_of_each_task_in_every_unit():
    assert Labelled.of(crossed_set(4)).paired
    assert Labelled.of(plain_set(4)).paired
    assert not unpaired(8).paired
    crossed = crossed_set(4)
    assert not Labelled.of(replace(crossed, items=crossed.items[1:])).paired
    assert not Labelled.of(PromptSet("none", (), crossed.tasks)).paired


def test_folds_choose_on_discovery_and_judge_on_evaluation_and_never_divide_a_pair():
    labelled = Labelled.of(crossed_set(40))
    *inside, last = labelled.folds(5, 0)
    assert np.array_equal(last[0], np.flatnonzero(labelled.split == DISCOVERY))
    assert np.array_equal(last[1], np.flatnonzero(labelled.split == EVALUATION))
    for train, test in inside:
        assert not set(labelled.unit[train]) & set(labelled.unit[test])
        assert set(np.union1d(train, test)) == set(last[0])


# Shuffled labels


def test_pairs_are_relabelled_whole():
    labelled = Labelled.of(crossed_set(30))
    drawn = labelled.shuffled(20, 0)
    turned = drawn * labelled.side
    for unit in range(30):
        assert (np.ptp(turned[:, labelled.unit == unit], axis=1) == 0).all()
    assert 0.3 < (turned < 0).mean() < 0.7


def test_prompts_without_a_partner_are_relabelled_within_domain_and_split():
    labelled = unpaired(200)
    labelled = replace(labelled, side=np.where(np.arange(200) < 20, 0, labelled.side))
    drawn = labelled.shuffled(20, 0)
    assert (drawn != labelled.side).any()
    assert (drawn[:, :20] == 0).all()
    for domain in np.unique(labelled.domain):
        for split in (DISCOVERY, EVALUATION):
            member = (labelled.domain == domain) & (labelled.split == split)
            expected = labelled.side[member].sum()
            assert (drawn[:, member].sum(1) == expected).all()


def test_halves_hold_whole_units_of_both_kinds():
    for labelled in (unpaired(80), Labelled.of(crossed_set(20))):
        for half in labelled.halves(10, 0):
            assert not set(labelled.unit[half]) & set(labelled.unit[~half])
            assert labelled.side[half].sum() == 0


# AUC


@pytest.mark.parametrize("levels", [0, 3])
def test_weighted_auc_is_scikit_learns(levels):
    generator = np.random.default_rng(0)
    scores = generator.standard_normal(60) if not levels else generator.integers(0, levels, 60)
    positive = generator.random(60) < 0.4
    weights = generator.integers(0, 4, (5, 60)).astype(float)
    found = _WeightedAuc(scores, positive, None)(weights)
    expected = [roc_auc_score(positive, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_strata_compare_prompts_of_one_stratum_alone():
    labelled = unpaired(90)
    generator = np.random.default_rng(1)
    strata = generator.integers(0, 3, 90)
    scores = generator.standard_normal(90).round(1)
    won = compared = 0.0
    for i in np.flatnonzero(labelled.side > 0):
        for j in np.flatnonzero((labelled.side < 0) & (strata == strata[i])):
            won += (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2
            compared += 1
    found = separation(scores, labelled, resamples=50, seed=0, strata=strata)
    assert found.auc == pytest.approx(won / compared)
    # What lies between strata does not count.
    same = separation(scores + 100 * strata, labelled, resamples=50, seed=0, strata=strata)
    assert same.auc == pytest.approx(found.auc)
    alone = separation(scores, labelled, resamples=50, seed=0, strata=labelled.side)
    assert math.isnan(alone.auc)


def test_complete_separation_has_an_interval_without_width_and_nan_is_refused():
    labelled = unpaired(40)
    found = separation(labelled.side * 1.0, labelled, resamples=50, seed=0)
    assert (found.auc, *found.interval) == (1, 1, 1)
    with pytest.raises(ValueError, match="1 scores are not finite"):
        separation(np.where(np.arange(40) == 3, np.nan, 1.0), labelled, resamples=50, seed=0)


def test_intervals_of_paired_prompts_hold_the_truth():
    labelled = Labelled.of(crossed_set(60))
    held = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        shared = generator.standard_normal(60)[labelled.unit]
        scores = shared + generator.standard_normal(240) + labelled.side * 0.5
        found = separation(scores, labelled, resamples=300, seed=seed)
        held.append(found.low <= 0.6915 <= found.high)  # Phi(1 / sqrt(4)): variance 2 a prompt
    assert 0.90 <= np.mean(held) <= 0.99


# Permutation


@pytest.mark.parametrize("kind", ["pairs", "prompts"])
def test_p_is_uniform_without_an_effect(kind):
    labelled = Labelled.of(crossed_set(20)) if kind == "pairs" else unpaired(80)
    p = []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        scores = generator.standard_normal(80) + generator.standard_normal(80)[labelled.unit]
        p.append(permutation_p(scores, labelled, permutations=99, seed=seed).p)
    assert stats.uniformity(np.array(p), levels=100).p_excess > 0.001
    assert 0.4 < np.mean(p) < 0.6


def test_p_reaches_its_floor_where_the_tasks_are_apart():
    for labelled in (Labelled.of(crossed_set(20)), unpaired(80)):
        found = permutation_p(labelled.side * 1.0, labelled, permutations=99, seed=0)
        assert found.p == found.floor == 0.01


def test_what_differs_between_domains_alone_gives_no_small_p():
    labelled = unpaired(200, domains=2)
    mostly = np.where(labelled.domain == "d0", 0.9, 0.1)
    side = np.where(np.random.default_rng(0).random(200) < mostly, 1, -1)
    labelled = replace(labelled, side=side)
    scores = (labelled.domain == "d0") + 0.1 * np.random.default_rng(1).standard_normal(200)
    assert stats.auc(scores[side > 0], scores[side < 0]) > 0.8
    assert permutation_p(scores, labelled, permutations=199, seed=0).p > 0.05
    free = replace(labelled, domain=np.full(200, ""))
    assert permutation_p(scores, free, permutations=199, seed=0).p == 0.005


def test_a_domain_of_one_task_has_nothing_to_permute():
    labelled = unpaired(40)
    labelled = replace(labelled, domain=labelled.side.astype(str))
    assert permutation_p(labelled.side * 1.0, labelled, permutations=99, seed=0).p == 1


def test_strata_are_listed_with_what_they_hold():
    labelled = unpaired(8)
    names = np.array(list("aaaabbbb"))
    side = np.array([1, 1, -1, -1, 1, 1, 1, 1])
    scores = np.array([3.0, 1.0, 2.0, 0.0, 1, 1, 1, 1])
    a, b = by_stratum(scores, replace(labelled, side=side), names)
    assert (a.name, a.auc, a.fewer) == ("a", 0.75, 2)
    assert b.fewer == 0
    assert math.isnan(b.auc)
