"""The findings of h0: each holds on a sound instrument, and fails when its number is bad."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings import validity
from harness.findings.competence import competence_finding
from harness.findings.gates import asked, competence_gates
from harness.materials.sets import SETS, crossed_controls
from harness.study.causality import LabelDifference
from harness.study.plan import Plan
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.made_cells import cells, made
from tests.support.synthetic import (
    GOOD_CHECK,
    PLAN,
    crossed_set,
    null_subject,
    plain_set,
    study_of,
)

TOLERANCE = {"float32": 1e-5, "bfloat16": 5e-2}
NAN = float("nan")


def outcome(finding):
    return judge(finding, Criterion.CONTROLLED)


def checked(**changes):
    return study_of(null_subject, check={**GOOD_CHECK, **changes}).subject


@pytest.mark.parametrize("name", ["hooked", "head_sum", "neuron_sum", "pattern_sum"])
@pytest.mark.parametrize("bad", [1.1e-5, NAN, float("inf")])
def test_any_error_of_the_hooks_refutes(name, bad):
    assert outcome(finding_of(validity.hooks_finding, checked(), TOLERANCE))[0] is Outcome.SUPPORTED
    finding = finding_of(validity.hooks_finding, checked(**{name: bad}), TOLERANCE)
    assert outcome(finding)[0] is Outcome.REFUTED
    assert sum(not e.passed for e in finding.evidence) == 1


@pytest.mark.parametrize("bad", [1.1e-5, NAN])
def test_padding_that_matters_refutes(bad):
    assert (
        outcome(finding_of(validity.padding_finding, checked(), TOLERANCE))[0] is Outcome.SUPPORTED
    )
    finding = finding_of(validity.padding_finding, checked(padded=bad), TOLERANCE)
    assert outcome(finding)[0] is Outcome.REFUTED


@pytest.mark.parametrize("bad", [1.1e-5, NAN])
def test_prompts_that_share_a_line_and_differ_refute(bad):
    finding = finding_of(validity.padding_finding, checked(shared=1e-7), TOLERANCE)
    assert outcome(finding)[0] is Outcome.SUPPORTED
    assert len(finding.evidence) == 1 + len(
        finding_of(validity.padding_finding, checked(), TOLERANCE).evidence
    )
    finding = finding_of(validity.padding_finding, checked(shared=bad), TOLERANCE)
    assert outcome(finding)[0] is Outcome.REFUTED


def test_a_token_put_after_a_prompt_refutes():
    finding = finding_of(validity.padding_finding, checked(foreign_ends=1), TOLERANCE)
    assert outcome(finding)[0] is Outcome.REFUTED
    assert [e.name for e in finding.evidence if e.failed] == [
        "texts that end in a token that is not their own"
    ]


def test_a_model_that_thinks_before_it_answers_is_told_how_to_stop():
    thinking = "its replies begin with thinking"
    for accuracy, told in ((0.2, True), (1.0, False)):
        shares = dict.fromkeys(crossed_set().tasks, accuracy)
        study = study_of(null_subject, accuracy=shares, thinking=thinking)
        reasons = [g.reason for g in competence_gates(study, 0.6) if not g.met]
        assert bool(reasons) is told
        assert all(reason.endswith(f"; {thinking}") for reason in reasons)


def test_the_tolerance_is_that_of_the_dtype():
    subject = checked(padded=1e-3)
    assert outcome(finding_of(validity.padding_finding, subject, TOLERANCE))[0] is Outcome.REFUTED
    subject.architecture = replace(subject.architecture, dtype="bfloat16")
    assert outcome(finding_of(validity.padding_finding, subject, TOLERANCE))[0] is Outcome.SUPPORTED


@pytest.mark.parametrize("bad", [0.0, NAN])
def test_a_site_that_does_nothing_refutes(bad):
    assert outcome(finding_of(validity.sites_finding, checked()))[0] is Outcome.SUPPORTED
    assert outcome(finding_of(validity.sites_finding, checked(zeroed=bad)))[0] is Outcome.REFUTED


# Competence


@pytest.mark.parametrize("task", ["recall", "reasoning"])
def test_each_task_must_be_answered(task):
    study = study_of(null_subject, accuracy={task: 0.25})
    assert outcome(finding_of(competence_finding, study_of(null_subject), 0.6))[0] == "supported"
    finding = finding_of(competence_finding, study, 0.6)
    assert outcome(finding)[0] is Outcome.REFUTED
    bad = next(e for e in finding.evidence if not e.passed)
    assert bad.name == f"{task} accuracy, made-crossed"
    assert bad.n == 30  # which show it; the others are not asked
    assert bad.effect.value == 8 / 30
    assert bad.effect.interval == stats.binomial_interval(8, 30)


def test_a_task_that_is_surely_not_answered_is_known_from_the_first_pairs():
    short = study_of(null_subject, accuracy={"recall": 0.25})
    assert len(asked(short, 0.6).prompts.pairs) == 15
    for least, tasks in ((0, None), (0.6, ("reasoning",)), (0.3, None)):
        assert asked(short, least, tasks) is short
    assert asked(study_of(null_subject, accuracy={"recall": 0.5}), 0.6).prompts.pairs[15:]


def test_more_pairs_are_asked_until_a_task_is_surely_not_answered():
    many = crossed_set(pairs=160)
    found = asked(study_of(null_subject, many, accuracy={"recall": 0.42}), 0.6)
    assert 15 < len(found.prompts.pairs) < 160
    assert (
        len(asked(study_of(null_subject, many, accuracy={"recall": 0.6}), 0.6).prompts.pairs) == 160
    )


def test_what_decides_nothing_is_left_at_the_first_pairs_below_the_gate():
    short = study_of(null_subject, accuracy={"recall": 0.55})
    assert asked(short, 0.6) is short
    assert len(asked(short, 0.6, surely=False).prompts.pairs) == 15


def test_an_accuracy_about_the_gate_is_undecided():
    study = study_of(null_subject, accuracy={"recall": 0.5})
    found, reason = outcome(finding_of(competence_finding, study, 0.6))
    assert found is Outcome.INCONCLUSIVE
    assert reason.startswith("undecided: recall accuracy, made-crossed: 0.50 [0.39, 0.61]")


def test_competence_has_a_value_for_each_pair_and_their_mean_is_the_effect():
    finding = finding_of(competence_finding, study_of(null_subject, accuracy={"recall": 0.5}), 0.6)
    assert {e.name for e in finding.evidence} == set(finding.samples)
    for e in finding.evidence:
        values = finding.samples[e.name]
        assert len(values) == 40  # pairs, of two prompts a task each
        assert np.mean(list(values.values())) == pytest.approx(e.effect.value)


def test_competence_has_a_value_for_each_relation_where_the_materials_state_them():
    prompts = cells(40)
    finding = finding_of(competence_finding, study_of(null_subject, prompts), 0.6)
    relations = {item.relation for item in prompts.items}
    for e in finding.evidence:
        values = finding.samples[e.name]
        assert set(values) <= relations
        assert len(values) > 1
        assert np.mean(list(values.values())) == pytest.approx(e.effect.value, abs=0.05)


@pytest.mark.parametrize("domain", ["geography", "chemistry"])
def test_lookup_is_asked_plain_and_crossed(domain):
    plan = Plan(seed=0, items=8, permutations=9, resamples=9, twins=0)
    prompts = SETS[f"{domain}-crossed"](plan.items, plan.seed)
    finding = finding_of(competence_finding, study_of(null_subject, prompts, plan), 0.6)
    assert [e.name for e in finding.evidence] == [
        "recall accuracy, plain",
        "lookup accuracy, plain",
        "reasoning accuracy, plain",
        f"recall accuracy, {domain}-crossed",
        f"reasoning accuracy, {domain}-crossed",
        f"lookup accuracy, {crossed_controls(8, 0, domain)[0].name}",
    ]
    assert outcome(finding)[0] is Outcome.SUPPORTED
    deaf = study_of(null_subject, prompts, plan, accuracy={"lookup": 0.0})
    finding = finding_of(competence_finding, deaf, 0.6)
    assert sum(not e.passed for e in finding.evidence) == 2


def test_materials_without_answers_are_inconclusive():
    prompts = crossed_set()
    silent = replace(prompts, items=tuple(replace(i, distractors=()) for i in prompts.items))
    found, reason = outcome(finding_of(competence_finding, study_of(null_subject, silent), 0.6))
    assert found is Outcome.INCONCLUSIVE
    assert "have no distractors" in reason


def test_answers_that_are_not_numbers_are_an_error_and_not_wrong_answers():
    study = study_of(null_subject)
    answers = study.subject.answers

    def broken(prompts):
        found = answers(prompts)
        return replace(found, correct=np.full_like(found.correct, np.nan))

    study.subject.answers = broken
    with pytest.raises(ValueError, match="NaN"):
        finding_of(competence_finding, study, 0.6)


# Balance


def test_crossed_prompts_are_balanced_and_the_published_are_shown_not_to_be():
    finding = finding_of(validity.balance_finding, study_of(null_subject, crossed_set(20)), 0.55)
    assert outcome(finding)[0] is Outcome.SUPPORTED
    assert [e.effect.value for e in finding.evidence] == [0, 0, 0, 0.5]
    assert finding.controls[0].value > 0.9
    assert finding.controls[0].passed is None


def test_a_set_too_small_for_a_surface_classifier_is_inconclusive():
    finding = finding_of(validity.balance_finding, study_of(null_subject, plain_set(4)), 0.55)
    outcome, reason = judge(finding, Criterion.CONTROLLED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "made-plain is too small for a surface classifier: a class occurs in 4 groups" in reason


def test_uncrossed_prompts_of_other_lengths_are_not_balanced():
    finding = finding_of(validity.balance_finding, study_of(null_subject, plain_set(20)), 0.55)
    assert outcome(finding)[0] is Outcome.REFUTED
    assert not any(e.passed for e in finding.evidence)


def test_one_token_more_in_one_prompt_is_seen():
    prompts = crossed_set(20)
    longer = replace(prompts.items[0], prompt=prompts.items[0].prompt + "!")
    prompts = replace(prompts, items=(longer, *prompts.items[1:]))
    finding = finding_of(validity.balance_finding, study_of(null_subject, prompts), 0.55)
    assert [e.passed for e in finding.evidence[:3]] == [False, False, False]


# Causality


@pytest.mark.parametrize(
    ("before", "at_end", "holds"),
    [
        (0.0, 2.0, True),
        (1e-6, 2.0, True),
        (1e-4, 2.0, False),
        (NAN, 2.0, False),
        (0.0, 0.0, False),  # a label that is not read leaves nothing to compare with
        (0.0, NAN, False),
    ],
)
def test_nothing_may_differ_before_the_label_and_something_must_after(
    monkeypatch, before, at_end, holds
):
    difference = LabelDifference(before, at_end, compared=40)
    monkeypatch.setattr(validity, "label_difference", lambda *_: difference)
    finding = finding_of(validity.causality_finding, study_of(null_subject), TOLERANCE)
    assert outcome(finding)[0] is (Outcome.SUPPORTED if holds else Outcome.REFUTED)
    assert finding.evidence[0].n == 40
    assert at_end != 0 or np.isnan(finding.evidence[0].effect.value)


def test_uncrossed_prompts_have_no_position_before_the_label():
    finding = finding_of(validity.causality_finding, study_of(null_subject, plain_set()), TOLERANCE)
    found, reason = outcome(finding)
    assert found is Outcome.INCONCLUSIVE
    assert reason.startswith("made-plain is not crossed")


def test_a_token_that_sees_the_label_is_no_control(monkeypatch):
    difference = LabelDifference(0.0, 0.0, compared=0, causal=False)
    monkeypatch.setattr(validity, "label_difference", lambda *_: difference)
    found, reason = outcome(
        finding_of(validity.causality_finding, study_of(null_subject), TOLERANCE)
    )
    assert found is Outcome.INCONCLUSIVE
    assert reason.startswith("tokens of this model see those after them")


# Shuffled labels

CROSSED = "cells-crossed:lookup-reasoning"


def shuffled(*effects, prompts=None, shuffles=100):
    study = study_of(lambda p, _: made(p, *effects), prompts or cells(200, CROSSED), PLAN)
    return finding_of(validity.uniformity_finding, study, shuffles, 0.001)


SERVES = ("heads", (2, 3, 1), ("reasoning",), 2.5)


@pytest.mark.parametrize("effects", [(), (SERVES,)])
def test_shuffled_labels_are_uniform_with_and_without_an_effect(effects):
    finding = shuffled(*effects)
    assert outcome(finding)[0] is Outcome.SUPPORTED
    low, high = finding.evidence[1].effect.interval
    assert low <= 0.05 <= high


def test_stories_that_relations_share_are_no_independent_units_and_refute():
    prompts = cells(200, CROSSED)
    shared = replace(prompts, items=tuple(replace(i, pair=i.split) for i in prompts.items))
    assert outcome(shuffled(SERVES, prompts=shared))[0] is Outcome.REFUTED


def test_a_permutation_test_that_claims_too_much_is_refuted(monkeypatch):
    whole = stats.moderated_max

    def too_bold(contrasts, **how):
        return replace(whole(contrasts, **how), p_adjusted=np.array([how["seed"] % 20 + 1]) / 200)

    monkeypatch.setattr(validity.stats, "moderated_max", too_bold)
    finding = shuffled()
    assert outcome(finding)[0] is Outcome.REFUTED
    assert finding.evidence[1].effect.value == 0.5


def test_prompts_without_relations_leave_nothing_to_test_and_are_inconclusive():
    found, reason = outcome(finding_of(validity.uniformity_finding, study_of(null_subject), 9, 0.1))
    assert found is Outcome.INCONCLUSIVE
    assert "give the columns source, steps and relation" in reason
