"""The findings of h1 to h3 on subjects whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings.gates import causal_answers, causal_gates, competence_gates
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import PublishedRule
from harness.materials.relabelling import flip_pairs
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.synthetic import (
    PLAN,
    crossed_set,
    noise,
    null_subject,
    plain_set,
    planted_subject,
    process_of,
    recall_rows,
    study_of,
)

BH = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")
BONFERRONI = PublishedRule(threshold_d=1.0, alpha=1e-4, votes=1, correction="bonferroni")


def outcome(result, criterion=Criterion.CONTROLLED):
    return judge(result, criterion)


def test_prompts_of_one_class_only_are_inconclusive():
    alone = plain_set(30).where(lambda item: item.task == "recall")
    result = published(study_of(null_subject, alone))
    outcome, reason = judge(result, Criterion.PUBLISHED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "holds 30 recall and 0 reasoning prompts: 2 or more of each are needed" in reason


def published(study, kind="head", rule=BH, needed=(1, 16), *, mixed=True):
    return finding_of(
        published_finding,
        study,
        kind,
        rule,
        needed=needed,
        mixed=mixed,
        published="583 of 784",
        variants={"stricter": replace(rule, alpha=1e-4)},
    )


def test_a_few_lucky_items_do_not_pass_the_gate():
    few = crossed_set(4)
    study = study_of(null_subject, few, accuracy={"recall": 0.75})
    _, recall, _ = competence_gates(study, 0.6)
    assert not recall.met
    said = "reaches the gate of 0.60 but is not clearly above guessing (0.50); ask more items"
    assert recall.reason.endswith(said)


def test_published_criteria_do_not_ask_what_the_tasks_differ_in():
    items = tuple(replace(item, source="", steps=0) for item in crossed_set(20).items)
    study = study_of(null_subject, replace(crossed_set(20), items=items))
    unmet = [gate.name for gate in causal_gates(study, 0.6) if not gate.met]
    assert unmet == ["process"]
    assert all(gate.met for gate in causal_answers(study, 0.6))


def test_the_gate_itself_is_enough_and_a_little_less_is_not():
    prompts = crossed_set(200)
    for share, met in ((0.6, True), (0.59, False)):
        study = study_of(null_subject, prompts, accuracy={"recall": share})
        gates = competence_gates(study, 0.6)
        assert [g.met for g in gates] == [True, met, True]


def test_the_run_may_set_the_gate_and_open_it_to_guessing():
    def gates(set_at, accuracy):
        plan = replace(PLAN, competence_gate=set_at)
        study = study_of(null_subject, plan=plan, accuracy={"recall": accuracy})
        return competence_gates(study, 0.6)

    assert not all(g.met for g in gates(None, 0.3))
    assert all(g.met for g in gates(0.0, 0.3))
    assert not all(g.met for g in gates(0.2, 0.3))  # not above guessing
    (_, recall, _) = gates(0.9, 0.8)
    assert not recall.met
    assert "the gate is 0.90" in recall.reason


# The published rule


def separated(prompts, twin):
    """Everything differs, in the model and in its twins: length alone would do that."""
    a = noise(prompts, twin or 0)
    return replace(
        a,
        heads=a.heads + 5 * recall_rows(prompts)[:, None, None, None],
        gates=a.gates + 5 * recall_rows(prompts)[:, None, None],
    )


def test_the_published_rule_is_supported_by_twins_too_which_is_noted_and_does_not_decide():
    result = published(study_of(separated, plain_set(30)))
    assert outcome(result, Criterion.PUBLISHED)[0] is Outcome.SUPPORTED
    assert [c.passed for c in result.controls] == [False, False, True]
    assert "2 of 2 untrained twins pass this criterion too" in result.notes
    assert result.evidence[0].effect.value == 16
    assert result.evidence[0].published == "583 of 784"
    assert not result.evidence[2].decisive


def test_what_is_not_counted_does_not_pass_in_the_table_either():
    """The report counts the components of the table; the verdict's count is the same number."""

    def tied(prompts, twin):
        a = noise(prompts, twin or 0)
        signs = np.zeros(a.heads.shape[-1])
        signs[:4] = 1, 1, -1, -1
        return replace(a, heads=a.heads + 5 * signs * recall_rows(prompts)[:, None, None, None])

    rule = replace(BH, votes=2)
    several = [published(study_of(tied, plain_set(30)), rule=rule, mixed=m) for m in (True, False)]
    for result in several:
        assert result.tables["model"].passed.sum() == result.evidence[0].effect.value
        assert len(result.components) == result.evidence[0].effect.value
    both, one_side = (result.tables["model"] for result in several)
    tied_heads = int((both.type == "mixed").sum())
    assert tied_heads > 0
    assert both.count - one_side.count == tied_heads == one_side.count_mixed
    said = several[1].evidence[0].effect.method
    assert f"{tied_heads} more with as many votes for either side, which do not count" in said


def test_the_published_rule_refutes_noise():
    result = published(study_of(null_subject, plain_set(30)))
    assert outcome(result, Criterion.PUBLISHED)[0] is Outcome.REFUTED
    assert np.isnan(result.evidence[1].effect.value)


def test_the_published_floor_is_mann_whitneys_times_the_family_of_bonferroni():
    assert BONFERRONI.floor([30, 30], 530_432) == pytest.approx(1.6e-5, rel=0.02)
    assert BONFERRONI.floor([24, 24], 530_432) > 1e-4
    assert BH.floor([24, 24], 784) == stats.mann_whitney_floor(24, 24)


def test_too_few_prompts_for_the_published_alpha_are_inconclusive_and_not_refuted():
    study = study_of(separated, plain_set(8))
    found, reason = outcome(published(study, "neuron", BONFERRONI, (1, 32)), Criterion.PUBLISHED)
    assert found is Outcome.INCONCLUSIVE
    assert reason.startswith("16 prompts can reach an adjusted p of 0.03 at best, needed <=")


def test_relabelling_exchanges_tasks_with_their_processes_within_pairs_and_nothing_else():
    prompts = crossed_set(30)
    other = flip_pairs(prompts, 0)
    flipped = {a.pair: a.task != b.task for a, b in zip(prompts.items, other.items, strict=True)}
    assert 5 < sum(flipped.values()) < 25
    for a, b in zip(prompts.items, other.items, strict=True):
        assert (a.task != b.task) == flipped[a.pair]
        assert (b.source, b.steps) == tuple(process_of(b.task).values())
        assert replace(b, task=a.task, **process_of(a.task)) == a


def test_a_shuffle_that_leaves_a_class_empty_finds_nothing():
    whole = plain_set(3)
    tasks = ("recall", "recall", "reasoning", "reasoning")
    items = [replace(i, task=t, pair=i.id) for i, t in zip(whole.items[:4], tasks, strict=True)]
    finding = published(study_of(null_subject, replace(whole, items=tuple(items))))
    outcome, reason = judge(finding, Criterion.PUBLISHED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "reach" in reason


def test_published_counts_do_not_depend_on_what_the_classes_are_called():
    whole = crossed_set(30)
    names = {"recall": "memory", "reasoning": "logic"}
    renamed = replace(
        whole,
        items=tuple(replace(i, task=names[i.task]) for i in whole.items),
        tasks=("memory", "logic"),
    )
    counts = [
        published(study_of(planted_subject, prompts)).evidence[0].effect.value
        for prompts in (whole, renamed)
    ]
    assert counts[0] == counts[1] > 0
