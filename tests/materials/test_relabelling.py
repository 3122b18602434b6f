"""Shuffled labels: an exact null at share 1, a known dilution below it, nothing else touched."""

from dataclasses import replace

import numpy as np
import pytest

from harness.activations.features import HEAD_METRICS, feature_names
from harness.findings.specialisation.cells import controlled_cells
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.materials.relabelling import shuffle_labels
from harness.materials.sets import crossed_controls, draw_crossed, draw_plain, geography_published
from harness.study.plan import Plan
from tests.support.synthetic import crossed_set, noise, plant, rows_of


def exchanged(prompts, share=1.0, seed=0):
    """Pairs with another label than they had."""
    after = shuffle_labels(prompts, share, seed)
    both = zip(prompts.items, after.items, strict=True)
    return {old.pair for old, new in both if old.task != new.task}


def test_share_0_is_the_set_itself():
    prompts = crossed_set(9)
    assert shuffle_labels(prompts, 0.0, 3) is prompts


def test_nothing_but_labels_changes_and_all_of_a_pair_or_none():
    prompts = draw_plain("geography", 30, 0)
    after = shuffle_labels(prompts, 1.0, 0)
    assert [replace(i, task="") for i in after.items] == [
        replace(i, task="") for i in prompts.items
    ]
    swapped = exchanged(prompts)
    for old, new in zip(prompts.items, after.items, strict=True):
        if old.task == "lookup" or old.pair not in swapped:
            assert new.task == old.task
        else:
            assert {old.task, new.task} == set(prompts.tasks)
    assert after.count() == prompts.count()
    assert after.hash != prompts.hash


def test_a_pair_is_exchanged_alike_in_the_plain_and_in_the_crossed_set():
    plain, crossed = draw_plain("geography", 40, 5), draw_crossed("geography", 40, 5)
    assert exchanged(plain, 0.7, 5) == exchanged(crossed, 0.7, 5) != set()
    for control in crossed_controls(40, 5):
        assert exchanged(control, 0.7, 5) == exchanged(crossed, 0.7, 5)


def test_the_published_prompts_are_exchanged_recall_i_with_reasoning_i():
    prompts = geography_published()
    swapped = exchanged(prompts)
    assert 5 < len(swapped) < 25
    assert shuffle_labels(prompts, 1.0, 0).count() == prompts.count()
    assert exchanged(prompts, 1.0, 1) != swapped


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 1.0])
def test_of_the_share_half_is_exchanged(share):
    prompts = crossed_set(40)
    counts = [len(exchanged(prompts, share, seed)) for seed in range(300)]
    assert max(counts) <= round(40 * share)
    error = np.sqrt(0.25 * 40 * share / 300)
    assert abs(np.mean(counts) - 20 * share) < 4 * error


def test_every_pair_flips_by_a_fair_coin_of_its_own():
    prompts = crossed_set(30)
    pairs = prompts.pairs
    swapped = [exchanged(prompts, 1.0, seed) for seed in range(400)]
    signs = np.array([[pair in of_seed for pair in pairs] for of_seed in swapped])
    assert abs(signs.mean() - 0.5) < 0.02
    assert np.abs(signs.mean(0) - 0.5).max() < 0.12
    correlations = np.corrcoef(signs.T)[np.triu_indices(30, 1)]
    assert np.abs(correlations).max() < 0.25


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_an_effect_is_diluted_by_the_share(share):
    prompts = crossed_set(200)
    made = plant(
        noise(prompts, 0),
        "heads",
        (1, 2, feature_names(HEAD_METRICS).index("maximum")),
        rows_of(prompts, lambda i: i.task == "recall"),
        4.0,
    )
    cells = controlled_cells("head", made)

    def difference(labelled):
        recall = rows_of(labelled, lambda i: i.task == "recall")
        return cells.values[recall].mean(0) - cells.values[~recall].mean(0)

    at = int(np.abs(difference(prompts)).argmax())
    found = [difference(shuffle_labels(prompts, share, seed))[at] for seed in range(60)]
    assert abs(np.mean(found) / difference(prompts)[at] - (1 - share)) < 0.03


def test_prompts_without_partners_have_their_labels_permuted_within_split_and_domain():
    items = tuple(
        Item(f"{n}", "recall" if n % 3 else "reasoning", f"{n}", f"p{n}", domain=f"d{n % 2}",
             split=(DISCOVERY, EVALUATION)[n // 2 % 2])
        for n in range(120)
    )  # fmt: skip
    prompts = PromptSet("alone", items)
    after = shuffle_labels(prompts, 1.0, 0)
    assert 20 < len(exchanged(prompts)) < 100
    for split in (DISCOVERY, EVALUATION):
        for domain in ("d0", "d1"):
            counts = [
                [i.task for i in p.items if (i.split, i.domain) == (split, domain)].count("recall")
                for p in (prompts, after)
            ]
            assert counts[0] == counts[1]
    agree = [
        np.mean([a.task == b.task for a, b in zip(items, shuffle_labels(prompts, 1.0, s).items,
                                                  strict=True)])
        for s in range(100)
    ]  # fmt: skip
    assert abs(np.mean(agree) - (4 / 9 + 1 / 9)) < 0.03


def test_a_plan_passes_materials_through_and_says_so():
    prompts = crossed_set(20)
    assert Plan().labelled(prompts) is prompts
    assert Plan().notes == ()
    plan = Plan(seed=4, shuffle_labels=1.0)
    assert plan.labelled(prompts) == shuffle_labels(prompts, 1.0, 4)
    assert plan.labelled(prompts, 5) == shuffle_labels(prompts, 1.0, 5)
    assert "NOT A RESULT" in plan.notes[0]
    (note,) = Plan(competence_gate=0.0).notes
    assert "opened" in note
