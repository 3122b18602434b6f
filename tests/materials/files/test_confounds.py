"""What gives classes away is measured as by the book, and exactly nothing where nothing does."""

import numpy as np
import pytest

from harness import stats
from harness.materials.files.confounds import auc, auc_within, codes, confounds_of, label_scores
from harness.materials.files.word_confound import MOST_PROMPTS, words_auc
from harness.materials.items import Item, PromptSet
from harness.materials.sets import geography_crossed, geography_published


def drawn(n=400, shift=0.5, seed=0):
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < 0.4
    return np.round(rng.normal(size=n) + shift * treated, 1), treated


def test_the_auc_is_that_of_the_statistics():
    values, treated = drawn()
    found = auc(values, treated, np.arange(len(values)))
    assert found.value == pytest.approx(float(stats.auc(values[treated], values[~treated])))
    assert found.turned().value == pytest.approx(1 - found.value)
    assert found.turned().interval[0] == pytest.approx(1 - found.interval[1])


def test_the_interval_agrees_with_a_bootstrap_of_units():
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(100), 4)
    treated = np.tile([True, False], 200)
    values = rng.normal(size=400) + rng.normal(size=100)[unit] + 0.4 * treated
    rows = values.reshape(100, 4)
    resampled = []
    for _ in range(1000):
        some = rows[rng.integers(0, 100, 100)]
        resampled.append(float(stats.auc(some[:, ::2].ravel(), some[:, 1::2].ravel())))
    low, high = np.percentile(resampled, (2.5, 97.5))
    found = auc(values, treated, unit)
    assert found.interval == pytest.approx((low, high), abs=0.012)


def test_the_interval_covers_chance_as_often_as_it_says():
    covered = 0
    for seed in range(400):
        values, treated = drawn(60, shift=0, seed=seed)
        low, high = auc(values, treated, np.arange(60)).interval
        covered += low <= 0.5 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_within_groups_only_members_are_compared():
    values = np.array([1.0, 2, 11, 12, 0, 100])
    treated = np.array([False, True, False, True, False, False])
    groups = codes("aabbcc")
    assert auc(values, treated, np.arange(6)).value < 1
    assert auc_within(values, treated, groups).value == 1
    assert auc_within(values, treated, np.arange(6)) is None


def test_all_groups_at_once_are_as_each_group_alone():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, treated = rng.integers(0, 4, 60).astype(float), rng.random(60) < 0.5
        groups = rng.integers(0, 9, 60)
        wins = comparisons = 0.0
        for group in range(9):
            a, b = (values[(groups == group) & (treated == side)] for side in (True, False))
            wins += sum((x > y) + (x == y) / 2 for x in a for y in b)
            comparisons += len(a) * len(b)
        assert auc_within(values, treated, groups).value == pytest.approx(wins / comparisons)


def test_classes_that_do_not_overlap_are_clear_without_an_interval():
    found = auc(np.arange(6.0), np.arange(6) >= 3, np.arange(6))
    assert (found.value, found.interval, found.clear) == (1, None, True)


def test_a_group_is_scored_by_its_other_half():
    groups = np.repeat([0, 1], 50)
    scores = label_scores(groups, groups == 1, np.arange(100))
    assert scores.tolist() == [0.0] * 50 + [1.0] * 50
    alone = label_scores(np.arange(10), np.arange(10) < 3, np.arange(10))
    assert set(alone) == {0.3}
    together = label_scores(groups, groups == 1, groups)  # a unit is never scored by itself
    assert set(together) == {0.5}


def test_crossed_prompts_show_exactly_nothing():
    prompts = geography_crossed(20)
    for row in confounds_of(prompts):
        if row.name.endswith("in the prompt"):  # crossing balances prompts, not what answers them
            assert (row.greater, row.auc.value) == ("reasoning", 1)
            continue
        assert not row.auc.clear, row
        if not row.name.endswith("alone"):
            assert row.auc.value == 0.5
    assert words_auc(prompts).value == pytest.approx(0.5)


def test_the_published_prompts_are_given_away_by_their_length():
    rows = {row.name: row for row in confounds_of(geography_published())}
    assert rows["length in words"].auc.value == 1
    assert rows["length in words"].greater == "reasoning"
    assert rows["length in words"].within["pair"].value == 1


def test_a_topic_that_tells_the_class_is_found_and_taken_out():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    items = []
    for i in range(400):
        task = ("recall", "reasoning")[i % 2]
        domain = ("sums", "dates")[i % 2 if rng.random() < 0.9 else 1 - i % 2]
        prompt = " ".join([*rng.choice(words, 8), domain])
        items.append(Item(str(i), task, prompt, str(i), domain=domain))
    prompts = PromptSet("topics", tuple(items))
    rows = {row.name: row for row in confounds_of(prompts)}
    assert rows["subject alone"].auc.value > 0.8
    found = words_auc(prompts)
    assert found.value > 0.8
    assert found.within["subject"] < 0.65


def test_large_sets_are_sampled_and_small_ones_are_not_classified():
    items = [
        Item(str(i), ("recall", "reasoning")[i % 2], f"word{i % 7} a", str(i // 2))
        for i in range(MOST_PROMPTS + 500)
    ]
    prompts = PromptSet("large", tuple(items))
    assert words_auc(prompts).prompts == MOST_PROMPTS
    assert words_auc(PromptSet("small", tuple(items[:6]))) is None


# Sizes of 8 pairs of a file of 60 prompts: recall, reasoning.
UNEVEN = [(6, 3), (2, 5), (1, 9), (3, 1), (6, 0), (4, 4), (4, 3), (4, 5)]


def test_uneven_pairs_are_classified_or_said_to_be_too_few():
    rng = np.random.default_rng(0)
    for _ in range(20):
        items = [
            Item(f"{pair}-{task}-{n}", task, f"{rng.integers(9)} of {n}", f"g{pair}")
            for pair, sizes in enumerate(rng.permutation(UNEVEN))
            for task, size in zip(("recall", "reasoning"), sizes, strict=True)
            for n in range(size)
        ]
        found = words_auc(PromptSet("uneven", tuple(items)))
        assert found is None or 0 <= found.value <= 1
