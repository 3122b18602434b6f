"""The published finding of h4: components that hold, and components that do not."""

from dataclasses import replace

from harness.findings.specialisation.consistency import published_consistency_finding
from harness.findings.specialisation.rules import PublishedRule
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.synthetic import (
    noise,
    null_subject,
    plain_set,
    plant,
    recall_rows,
    study_of,
)

PUBLISHED = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")
BONFERRONI = PublishedRule(threshold_d=1.0, alpha=1e-4, votes=1, correction="bonferroni")
FOLDS = 5


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


def test_too_few_pairs_for_the_folds_are_inconclusive_and_say_how_many_are_needed():
    _, (outcome, reason) = as_published(study_of(null_subject, plain_set(4)))
    assert outcome is Outcome.INCONCLUSIVE
    assert reason == "made-plain has 4 pairs: 5 folds need 5"


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
