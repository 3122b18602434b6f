"""The findings of h4: components that hold, and components that do not."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings.specialisation.consistency import (
    Resampling,
    held_out_consistency_finding,
    published_consistency_finding,
    redrawn_finding,
)
from harness.findings.specialisation.folds import (
    held_out_consistency,
    pair_folds,
    resampled_selections,
)
from harness.findings.specialisation.rules import ControlledRule, PublishedRule
from harness.materials.sets import SETS
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.synthetic import (
    contrast_of,
    crossed_set,
    noise,
    null_subject,
    plain_set,
    plant,
    planted,
    planted_subject,
    recall_rows,
    rows_of,
    study_of,
)

RULE = ControlledRule(threshold_d=1.0, alpha=0.01, permutations=199, seed=0)
PUBLISHED = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")
BONFERRONI = PublishedRule(threshold_d=1.0, alpha=1e-4, votes=1, correction="bonferroni")
FOLDS = 5


def held_out(study, kind="head", rule=RULE):
    finding = finding_of(
        held_out_consistency_finding, study, kind, rule, folds=FOLDS, share=0.8, gate=0.6
    )
    return finding, judge(finding, Criterion.CONTROLLED)


def redrawn(study, kind="head", resamples=30):
    resampling = Resampling(threshold_d=1.0, redraws=2, resamples=resamples)
    finding = finding_of(redrawn_finding, study, kind, resampling, jaccard=0.8, gate=0.6)
    return finding, judge(finding, Criterion.CONTROLLED)


def as_published(study, kind="head", rule=PUBLISHED):
    finding = finding_of(
        published_consistency_finding,
        study,
        kind,
        rule,
        folds=FOLDS,
        share=0.8,
        published="28 of 28 layers",
    )
    return finding, judge(finding, Criterion.PUBLISHED)


# Held-out folds


def test_a_planted_component_holds_in_every_fold_and_noise_is_never_chosen():
    prompts = crossed_set(50)
    found = held_out_consistency(
        contrast_of("head", planted(noise(prompts, 0), prompts), prompts), RULE, folds=FOLDS, seed=0
    )
    assert (found.selected, found.held, found.share) == (5, 5, 1.0)
    assert found.by_fold.tolist() == [1.0] * 5
    for seed in range(10):
        null = held_out_consistency(
            contrast_of("head", noise(prompts, seed), prompts), RULE, folds=FOLDS, seed=seed
        )
        assert (null.selected, null.held) == (0, 0)
        assert np.isnan(null.share)
        assert np.isnan(null.by_fold).all()


def test_an_effect_of_a_few_pairs_is_chosen_on_training_folds_and_does_not_hold():
    # Cells are made to differ on the pairs of four folds and on the fifth the other way round.
    prompts = crossed_set(50)
    a = noise(prompts, 0)
    c = contrast_of("head", a, prompts)
    held = pair_folds(c, FOLDS, 0)[0][1]
    names = np.array(prompts.pairs)[held]
    inside = rows_of(prompts, lambda i: i.pair in names)
    rows = recall_rows(prompts)
    a = plant(a, "heads", (2, 3, 1), rows & ~inside, 4.0)
    a = plant(a, "heads", (2, 3, 1), rows & inside, -4.0)
    found = held_out_consistency(contrast_of("head", a, prompts), RULE, folds=FOLDS, seed=0)
    assert found.by_fold[0] == 0.0
    assert found.selected == found.held + 1


def test_folds_keep_pairs_together_and_cover_each_pair_once():
    c = contrast_of("head", noise(crossed_set(23), 0), crossed_set(23))
    folds = pair_folds(c, FOLDS, 3)
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(23))
    for train, test in folds:
        assert not np.intersect1d(train, test).size
        assert not np.intersect1d(c.treated[train], c.treated[test]).size


def test_the_held_out_finding_supports_what_is_there_and_gates_what_is_not():
    finding, (outcome, _) = held_out(study_of(planted_subject))
    assert outcome is Outcome.SUPPORTED
    evidence = finding.evidence[0]
    assert evidence.effect.method == "5 of 5 over 5 folds; 1.00 to 1.00 in a fold"
    # Components are no independent trials, so there is no binomial interval over them.
    assert evidence.effect.interval is None
    assert evidence.n == 40
    _, (outcome, reason) = held_out(study_of(null_subject))
    assert outcome is Outcome.INCONCLUSIVE
    assert reason == "no head was selected on any set of training folds"


@pytest.mark.parametrize("pairs", [6, 9])
def test_too_few_pairs_for_the_folds_are_inconclusive_and_say_how_many_are_needed(pairs):
    study = study_of(null_subject, plain_set(pairs))
    _, (outcome, reason) = held_out(study)
    assert outcome is Outcome.INCONCLUSIVE
    assert reason == f"made-plain has {pairs} pairs: 5 folds of 2 or more need 10"
    _, (outcome, reason) = as_published(study_of(null_subject, plain_set(4)))
    assert outcome is Outcome.INCONCLUSIVE
    assert reason == "made-plain has 4 pairs: 5 folds of 1 or more need 5"


def test_twins_that_hold_as_often_as_there_are_folds_refute_the_held_out_finding():
    def everyone(prompts, twin):
        return planted(noise(prompts, twin or 0), prompts)

    finding, (outcome, reason) = held_out(study_of(everyone))
    assert [c.value for c in finding.controls] == [5, 5]
    assert outcome is Outcome.REFUTED
    assert "untrained twin 1, held over 5 folds: 5" in reason


def test_a_held_out_design_that_cannot_reach_alpha_says_that_and_not_only_that_nothing_was_found():
    for prompts in (plain_set(40, 1), plain_set(40, 3)):
        _, (outcome, reason) = held_out(study_of(planted_subject, prompts))
        assert outcome is Outcome.INCONCLUSIVE
        assert reason.startswith("the smallest adjusted p this design can reach is")
    prompts = crossed_set(12)  # halves of 6 reach 1/32, training folds of 9 or 10 reach 0.005
    finding, _ = held_out(study_of(planted_subject, prompts))
    assert {g.name: g.met for g in finding.gates}["reach"]


def test_incompetence_gates_every_controlled_finding():
    study = study_of(planted_subject, accuracy={"recall": 0.1})
    for _, (outcome, reason) in (held_out(study), redrawn(study)):
        assert outcome is Outcome.INCONCLUSIVE
        assert "recall accuracy 0.10" in reason


# Resamples and redrawn materials


def test_selections_of_a_plant_agree_and_those_of_noise_are_empty():
    prompts = crossed_set(50)
    strong = resampled_selections(
        contrast_of("head", planted(noise(prompts, 0), prompts, 4.0), prompts),
        1.0,
        resamples=50,
        seed=0,
    )
    assert strong.shape == (50, 16)
    assert strong[:, 11].all()
    assert strong.sum() == 50
    assert stats.mean_pairwise_jaccard(strong) == 1.0
    null = resampled_selections(
        contrast_of("head", noise(prompts, 0), prompts), 1.0, resamples=50, seed=0
    )
    assert not null.any()
    assert np.isnan(stats.mean_pairwise_jaccard(null))


@pytest.fixture
def redrawable(monkeypatch):
    """Materials with a name that can be drawn again."""

    def draw(items, seed):
        return crossed_set(3 * items + seed, name="made")  # of another size, so another hash

    monkeypatch.setitem(SETS, "made", draw)
    return crossed_set(60, name="made")


def test_redrawn_materials_that_select_the_same_support(redrawable):
    finding, (outcome, _) = redrawn(study_of(planted_subject, redrawable))
    assert outcome is Outcome.SUPPORTED
    assert finding.evidence[0].effect.value == 1.0
    assert finding.evidence[0].name == "agreement of heads over resamples of 3 draws"
    assert not finding.evidence[1].decisive
    assert finding.notes == ()


def test_each_draw_counts(redrawable):
    calls = []

    def other_head_each_time(prompts, twin):
        a = noise(prompts, twin or 0)
        if twin is not None:
            return a
        calls.append(prompts)
        return plant(a, "heads", (len(calls) % 3, 0, 1), recall_rows(prompts), 6.0)

    finding, (outcome, _) = redrawn(study_of(other_head_each_time, redrawable))
    assert outcome is Outcome.REFUTED
    # Resamples within a draw agree wholly, those of two draws not at all.
    n, total = 30 * 29 / 2, 90 * 89 / 2
    assert finding.evidence[0].effect.value == pytest.approx(3 * n / total)
    assert finding.evidence[1].effect.value == 0.0


def test_materials_that_cannot_be_redrawn_say_so():
    finding, (outcome, _) = redrawn(study_of(planted_subject))
    assert outcome is Outcome.SUPPORTED
    assert len(finding.evidence) == 1
    assert "these materials cannot be redrawn: resamples of one draw only" in finding.notes


def test_noise_is_inconclusive_because_no_resample_selects_anything():
    _, (outcome, reason) = redrawn(study_of(null_subject))
    assert outcome is Outcome.INCONCLUSIVE
    assert reason == "no head reaches |d| > 1.0 on any resample"


def test_resamples_that_select_nothing_refute_with_a_note_and_never_count_as_agreement():
    def near_the_bar(prompts, twin):
        a = noise(prompts, twin or 0)
        return a if twin else plant(a, "heads", (2, 3, 1), recall_rows(prompts), 1.25)

    finding, (outcome, reason) = redrawn(study_of(near_the_bar))
    assert outcome is Outcome.REFUTED
    assert np.isnan(finding.evidence[0].effect.value)
    assert "nan, needed > 0.8" in reason
    assert any("resamples select no head" in note for note in finding.notes)


def test_a_confound_that_twins_share_refutes_redrawn_agreement():
    # Length does this on uncrossed prompts: model and twins alike, on every resample.
    def length(prompts, twin):
        a = noise(prompts, twin or 0)
        return replace(a, heads=a.heads + 9 * recall_rows(prompts)[:, None, None, None])

    finding, (outcome, reason) = redrawn(study_of(length, plain_set(30)))
    assert finding.evidence[0].passed
    assert outcome is Outcome.REFUTED
    assert "untrained twin 1, agreement over resamples: 1" in reason


# As published


def test_published_consistency_of_a_plant_is_supported():
    def subject(prompts, twin):
        a = noise(prompts, twin or 0)
        for metric in range(3):
            a = plant(a, "heads", (2, 3, metric), recall_rows(prompts), 6.0)
        return a

    finding, (outcome, _) = as_published(study_of(subject, plain_set(30)))
    assert outcome is Outcome.SUPPORTED
    evidence = finding.evidence[0]
    assert (evidence.effect.value, evidence.effect.interval) == (1.0, None)
    assert evidence.published == "28 of 28 layers"
    assert "2 of 2 untrained twins pass this criterion too" in finding.notes


def test_published_consistency_of_nothing_is_inconclusive():
    finding, (outcome, reason) = as_published(study_of(null_subject, plain_set(30)))
    assert outcome is Outcome.INCONCLUSIVE
    assert reason == "no head is specialised, so none can be consistent"
    assert [c.passed for c in finding.controls] == [True, True]


def test_a_training_fold_that_cannot_reach_bonferroni_is_inconclusive():
    # 24 + 24 prompts over 530,432 neurons in the paper; 5 + 5 over 32 here.
    def subject(prompts, twin):
        return plant(noise(prompts, twin or 0), "gates", (3, 5), recall_rows(prompts), 9.0)

    study = study_of(subject, plain_set(30))
    assert as_published(study, "neuron", BONFERRONI)[1][0] is Outcome.SUPPORTED
    study = study_of(subject, plain_set(16))
    loose = replace(BONFERRONI, alpha=2e-4)
    finding, (outcome, reason) = as_published(study, "neuron", loose)
    assert {g.name: g.met for g in finding.gates} == {"something to hold": True, "reach": False}
    assert outcome is Outcome.INCONCLUSIVE
    assert reason.startswith("a training fold of 12 + 12 prompts can reach an adjusted p of")
