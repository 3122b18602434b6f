"""A direction carried to other domains, on subjects whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from harness.findings.direction.search import DirectionRule
from harness.findings.direction.transfer import transfer_finding
from harness.materials.sets import draw_plain, geography_crossed
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.findings.direction.test_findings import stream
from tests.support.judging import finding_of
from tests.support.synthetic import PLAN, FakeSubject, noise, study_of

RULE = DirectionRule(auc=0.75, alpha=0.01, folds=5, shuffles=0, random_directions=0, cosine=0.5)
ITEMS = 20
HOME = geography_crossed(40)


def carried(gap_elsewhere, *, answered=("geography", "chemistry"), twin_gap=0.0):
    """A subject with a direction in geography, and in chemistry with another gap."""

    def make(prompts, twin):
        gap = 4.0 if prompts.name.startswith("geography") else gap_elsewhere
        gap = twin_gap if twin else gap
        return stream(prompts, len(prompts) + (twin or 0), gap)

    class Subject(FakeSubject):
        def answers(self, prompts, twin=None):
            answers = super().answers(prompts, twin)
            right = np.float32(prompts.name.startswith(answered))
            return replace(answers, correct=answers.correct * right)

    study = study_of(make, HOME)
    return replace(study, subject=Subject(make))


def transferred(study):
    finding = finding_of(transfer_finding, study, RULE, pairs=ITEMS, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


def test_a_direction_that_is_the_same_elsewhere_is_supported_and_names_what_was_left_out():
    finding, outcome, why = transferred(carried(4.0))
    assert (outcome, why) == (Outcome.SUPPORTED, "every requirement holds")
    (row,) = finding.evidence
    assert row.effect.value > 0.95
    assert row.n == ITEMS
    units = list(finding.samples[row.name].values())
    assert (len(units), np.mean(units)) == (ITEMS, pytest.approx(row.effect.value))
    assert [note.split()[0] for note in finding.notes] == ["kinship", "calendar", "arithmetic"]


@pytest.mark.parametrize("gap", [0.0, -4.0])
def test_a_direction_that_is_not_there_or_turned_round_elsewhere_is_refuted(gap):
    assert transferred(carried(gap))[1] is Outcome.REFUTED


def test_twins_that_carry_it_over_refute_it():
    finding, outcome, why = transferred(carried(4.0, twin_gap=4.0))
    assert outcome is Outcome.REFUTED
    assert "untrained twin 1" in why
    assert len(finding.controls) == PLAN.twins


def test_a_model_that_answers_no_other_domain_is_inconclusive():
    _, outcome, why = transferred(carried(4.0, answered=("geography",)))
    assert outcome is Outcome.INCONCLUSIVE
    assert "answers no other domain's questions" in why


def test_materials_without_a_domain_or_a_crossing_are_inconclusive():
    for prompts in (replace(HOME, name="mine"), draw_plain("geography", 40)):
        study = study_of(lambda p, _: noise(p, 0), prompts)
        assert transferred(study)[1] is Outcome.INCONCLUSIVE
