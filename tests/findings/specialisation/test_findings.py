"""The findings of h1 to h3 on subjects whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings.gates import competence_gates
from harness.findings.specialisation.cells import controlled_cells
from harness.findings.specialisation.held_out import SHUFFLES, controlled_finding
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import ControlledRule, PublishedRule
from harness.findings.specialisation.secondary import pooled_by_group
from harness.materials.items import EVALUATION
from harness.materials.relabelling import flip_pairs
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.synthetic import (
    PLAN,
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

RULES = {
    "layer": ControlledRule(threshold_d=0.5, alpha=0.01, permutations=199, seed=0),
    "head": ControlledRule(threshold_d=1.0, alpha=0.01, permutations=199, seed=0),
    "neuron": ControlledRule(threshold_d=1.0, alpha=0.01, permutations=199, seed=0),
}
NEEDED = {"layer": (1, 4), "head": (1, 16), "neuron": (1, 32)}
BH = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")
BONFERRONI = PublishedRule(threshold_d=1.0, alpha=1e-4, votes=1, correction="bonferroni")


def controlled(study, kind="head", gate=0.6, **rule):
    rule = replace(RULES[kind], **rule)
    return finding_of(controlled_finding, study, kind, rule, needed=NEEDED[kind], gate=gate)


def outcome(result, criterion=Criterion.CONTROLLED):
    return judge(result, criterion)


def test_prompts_of_one_class_only_are_inconclusive():
    alone = plain_set(30).where(lambda item: item.task == "recall")
    result = published(study_of(null_subject, alone))
    outcome, reason = judge(result, Criterion.PUBLISHED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "holds 30 recall and 0 reasoning prompts: 2 or more of each are needed" in reason


def published(study, kind="head", rule=BH, needed=(1, 16)):
    return finding_of(
        published_finding,
        study,
        kind,
        rule,
        needed=needed,
        mixed=True,
        published="583 of 784",
        variants={"stricter": replace(rule, alpha=1e-4)},
    )


@pytest.mark.parametrize("kind", RULES)
def test_a_subject_that_knows_the_task_is_supported_and_one_that_does_not_is_not(kind):
    result = controlled(study_of(planted_subject), kind)
    assert outcome(result) == (Outcome.SUPPORTED, "every requirement holds")
    assert [(c.layer, c.index) for c in result.components] == [
        {"layer": (1, None), "head": (2, 3), "neuron": (3, 5)}[kind]
    ]
    assert set(result.tables) == {"model", "twin 1", "twin 2"}
    null = controlled(study_of(null_subject), kind)
    assert outcome(null)[0] is Outcome.REFUTED
    assert not null.components


def test_twins_that_show_the_same_refute_it():
    def everyone(prompts, twin):
        return planted(noise(prompts, twin or 0), prompts)

    result = controlled(study_of(everyone))
    assert [c.passed for c in result.controls] == [False, False, True]
    found, reason = outcome(result)
    assert found is Outcome.REFUTED
    assert "untrained twin 1: 1" in reason


def test_a_model_that_does_not_answer_is_inconclusive_whatever_is_found():
    for subject in (planted_subject, null_subject):
        study = study_of(subject, accuracy={"reasoning": 0.25})
        found, reason = outcome(controlled(study))
        assert found is Outcome.INCONCLUSIVE
        assert reason == "reasoning accuracy 0.25 on made-crossed, the gate is 0.60"


def test_a_few_lucky_items_do_not_pass_the_gate():
    few = crossed_set(4)
    study = study_of(null_subject, few, accuracy={"recall": 0.75})
    recall, _ = competence_gates(study, 0.6)
    assert not recall.met
    assert recall.reason.endswith("the gate is 0.60 and clearly above guessing")


def test_the_gate_itself_is_enough_and_a_little_less_is_not():
    prompts = crossed_set(200)
    for share, met in ((0.6, True), (0.59, False)):
        study = study_of(null_subject, prompts, accuracy={"recall": share})
        gates = competence_gates(study, 0.6)
        assert [g.met for g in gates] == [met, True]


def test_the_run_may_set_the_gate_and_open_it_to_guessing():
    def gates(set_at, accuracy):
        plan = replace(PLAN, competence_gate=set_at)
        study = study_of(null_subject, plan=plan, accuracy={"recall": accuracy})
        return competence_gates(study, 0.6)

    assert not all(g.met for g in gates(None, 0.3))
    assert all(g.met for g in gates(0.0, 0.3))
    assert not all(g.met for g in gates(0.2, 0.3))  # not above guessing
    (recall, _) = gates(0.9, 0.8)
    assert not recall.met
    assert "the gate is 0.90" in recall.reason


def test_materials_that_cannot_be_scored_are_inconclusive_and_say_what_to_add():
    prompts = crossed_set()
    silent = replace(prompts, items=tuple(replace(i, answer="") for i in prompts.items))
    found, reason = outcome(controlled(study_of(planted_subject, silent)))
    assert found is Outcome.INCONCLUSIVE
    assert reason.endswith(
        f"of the {len(prompts)} prompts of made-crossed, {len(prompts)} have no answer; "
        "give each prompt an answer and distractors, or options"
    )
    open_gate = replace(PLAN, competence_gate=0.0)
    opened = controlled(study_of(planted_subject, silent, open_gate))
    assert outcome(opened)[0] is Outcome.SUPPORTED
    note = "not every prompt has an answer and distractors: competence was not measured"
    assert note in opened.notes


@pytest.mark.parametrize("templates", [1, 3])
def test_uncrossed_materials_of_few_templates_are_inconclusive(templates):
    for kind in RULES:
        study = study_of(planted_subject, plain_set(40, templates))
        found, reason = outcome(controlled(study, kind))
        assert found is Outcome.INCONCLUSIVE
        assert f"can reach is {0.5 ** (templates - 1):.2g}, above alpha 0.01" in reason


def test_too_few_permutations_are_inconclusive():
    found, reason = outcome(controlled(study_of(planted_subject), permutations=50))
    assert found is Outcome.INCONCLUSIVE
    assert "use more items or permutations" in reason


def test_numbers_of_the_strongest_effect_are_those_of_held_out_pairs():
    study = study_of(planted_subject)
    evidence = controlled(study).evidence[1]
    c = contrast_of("head", study.activations, study.prompts)
    decided = RULES["head"].decide(c)
    cell = decided.strongest
    pairs = np.flatnonzero(c.split == EVALUATION)
    alone = stats.bootstrap_d(
        c.cells.values[:, cell], c.treated[pairs], c.control[pairs], resamples=99, seed=0
    )
    # The plant is negative; both are told in the direction of discovery.
    assert evidence.effect.value == pytest.approx(-decided.d[cell])
    assert evidence.effect.value == pytest.approx(-float(alone.value))
    assert evidence.effect.interval == pytest.approx((-float(alone.high), -float(alone.low)))
    low, high = evidence.effect.interval
    assert 1 < low < evidence.effect.value < high
    assert evidence.n == len(pairs) == 20
    assert evidence.p_adjusted == decided.p[cell] <= 0.01
    assert evidence.family.size == decided.selected.sum() < len(decided.d)
    assert evidence.family.name == "heads x metrics selected on discovery"
    assert evidence.floor == 1 / 200


@pytest.mark.parametrize("kind", sorted(RULES))
@pytest.mark.parametrize("make", [planted_subject, null_subject])
def test_the_units_of_the_strongest_effect_are_held_out_pairs_and_their_mean_is_the_effect(
    kind, make
):
    study = study_of(make)
    finding = controlled(study, kind)
    strongest = finding.evidence[1]
    units = finding.samples[strongest.name]
    held_out = {i.pair for i in study.prompts.items if i.split == EVALUATION}
    assert set(units) == held_out
    assert np.mean(list(units.values())) == pytest.approx(strongest.effect.value)


def test_the_strongest_effect_is_not_chosen_by_how_it_fares_on_evaluation():
    # Two heads: (0, 0) is stronger on discovery and holds less well, (1, 1) the other way round.
    prompts = crossed_set(60)
    rows = recall_rows(prompts)
    half = rows_of(prompts, lambda i: i.split == EVALUATION)

    def make(prompts, twin):
        a = noise(prompts, 3 + (twin or 0))
        if twin is not None:
            return a
        for where, size in ((rows & ~half, 6.0), (rows & half, 0.3)):
            a = plant(a, "heads", (0, 0, 1), where, size)
        return plant(a, "heads", (1, 1, 1), rows, 3.0)

    result = controlled(study_of(make, prompts))
    count, strongest = result.evidence[:2]
    assert count.passed
    assert "layer 0 head 0" in strongest.name
    assert not strongest.passed
    assert outcome(result)[0] is Outcome.REFUTED


def test_a_strongest_effect_that_turned_its_sign_is_negative_and_fails():
    prompts = crossed_set(60)
    half = rows_of(prompts, lambda i: i.split == EVALUATION)
    rows = recall_rows(prompts)

    def make(prompts, twin):
        a = plant(noise(prompts, twin or 0), "heads", (0, 0, 1), rows & ~half, -4.0)
        return plant(a, "heads", (0, 0, 1), rows & half, 4.0)

    strongest = controlled(study_of(make, prompts)).evidence[1]
    low, high = strongest.effect.interval
    assert low < strongest.effect.value < high < -1
    assert not strongest.passed


def test_where_nothing_was_chosen_the_p_is_that_of_discovery_over_all_cells_and_says_so():
    study = study_of(null_subject)
    evidence = controlled(study).evidence[1]
    decided = RULES["head"].decide(contrast_of("head", study.activations, study.prompts))
    assert not decided.selected.any()
    assert evidence.p_adjusted == decided.p_discovery[decided.strongest] > 0.01
    assert evidence.family.size == len(decided.d) == 80
    assert "on discovery, where none was selected" in evidence.family.name


def test_shuffled_labels_are_a_control_with_an_exact_interval():
    control = controlled(study_of(planted_subject)).controls[-1]
    assert control.name == "shuffled labels, share that reach the bar"
    assert control.passed is True
    assert control.value <= 0.05
    k = round(control.value * SHUFFLES)
    assert control.interval == stats.binomial_interval(k, SHUFFLES)


def test_beside_a_count_stand_groups_and_firing_rates_that_decide_nothing():
    def fires(prompts, twin):
        a = planted_subject(prompts, twin)
        a.gates[:, 3, 5] = np.where(recall_rows(prompts), 1.0, -1.0)
        return a

    heads = controlled(study_of(planted_subject)).evidence
    assert [e.name for e in heads[2:]] == ["key-value groups that hold"]
    neurons = controlled(study_of(fires), "neuron").evidence
    assert neurons[2].effect.value == 1.0
    assert not any(e.decisive for e in (*heads[2:], *neurons[2:]))


def test_groups_are_the_mean_of_the_heads_that_share_keys():
    a = noise(crossed_set(4), 0)
    pooled = pooled_by_group(a, 2).heads
    assert np.allclose(pooled[:, :, 1], a.heads[:, :, 2:].mean(2), atol=1e-6)


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
    assert reason.startswith("16 prompts can reach an adjusted p of 0.03 at best, above alpha")


def test_relabelling_exchanges_tasks_within_pairs_and_nothing_else():
    prompts = crossed_set(30)
    other = flip_pairs(prompts, 0)
    flipped = {a.pair: a.task != b.task for a, b in zip(prompts.items, other.items, strict=True)}
    assert 5 < sum(flipped.values()) < 25
    for a, b in zip(prompts.items, other.items, strict=True):
        assert (a.task != b.task) == flipped[a.pair]
        assert replace(b, task=a.task) == a


def test_constant_values_are_counted_in_a_note():
    def still(prompts, twin):
        a = planted_subject(prompts, twin)
        a.heads[:, 0] = 1.0
        return a

    result = controlled(study_of(still))
    assert outcome(result)[0] is Outcome.SUPPORTED
    assert any(n.startswith("20 of 80 values are the same on every") for n in result.notes)
    a = still(crossed_set(), None)
    assert controlled_cells("head", a).constant == 20


def test_untrained_subjects_are_never_supported():
    """Many untrained models and twins of them, with answers at chance and without answers."""
    prompts = crossed_set(30)
    silent = replace(prompts, items=tuple(replace(i, answer="") for i in prompts.items))
    plan = replace(PLAN, twins=1)
    for seed in range(12):

        def make(prompts, twin, seed=seed):
            return noise(prompts, 50 * seed + (twin or 0), main=5.0, draw="unequal")

        for kind in RULES:
            bare = controlled(study_of(make, silent, replace(plan, competence_gate=0.0)), kind)
            assert outcome(bare)[0] is Outcome.REFUTED
        guesses = study_of(make, prompts, plan, accuracy={"recall": 0.25, "reasoning": 0.25})
        assert outcome(controlled(guesses))[0] is Outcome.INCONCLUSIVE


def test_materials_without_pairs_are_inconclusive_and_say_what_to_do():
    whole = crossed_set(20)
    alone = replace(whole, items=tuple(replace(i, pair=i.id) for i in whole.items), crossed=False)
    finding = controlled(study_of(null_subject, alone))
    outcome, reason = judge(finding, Criterion.CONTROLLED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "--crossed" in reason


def test_uneven_pairs_are_inconclusive_and_name_the_pair():
    whole = plain_set(20, templates=10)
    more = replace(whole.items[5], id="one more")  # pair p2 holds two prompts of its task now
    finding = controlled(study_of(null_subject, replace(whole, items=(*whole.items, more))))
    outcome, reason = judge(finding, Criterion.CONTROLLED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "pair 'p2' holds 1 recall and 2 reasoning prompts; every pair needs 1 of each" in reason


@pytest.mark.parametrize(("pairs", "few"), [(1, "1 in discovery, 0 in"), (5, "2 in evaluation;")])
def test_two_pairs_in_a_split_are_inconclusive(pairs, few):
    finding = controlled(study_of(null_subject, plain_set(pairs)))
    outcome, reason = judge(finding, Criterion.CONTROLLED)
    assert outcome is Outcome.INCONCLUSIVE
    assert few in reason


def test_a_shuffle_that_leaves_a_class_empty_finds_nothing():
    whole = plain_set(3)
    tasks = ("recall", "recall", "reasoning", "reasoning")
    items = [replace(i, task=t, pair=i.id) for i, t in zip(whole.items[:4], tasks, strict=True)]
    finding = published(study_of(null_subject, replace(whole, items=tuple(items))))
    outcome, reason = judge(finding, Criterion.PUBLISHED)
    assert outcome is Outcome.INCONCLUSIVE
    assert "reach" in reason


def test_an_effect_between_prompts_that_are_alike_has_no_samples():
    def alike(prompts, twin):
        found = noise(prompts, 100 + (twin or 0))
        if twin is None:
            found.heads[:] = recall_rows(prompts)[:, None, None, None]
        return found

    result = controlled(study_of(alike))
    assert np.isinf(result.evidence[1].effect.value)
    assert result.samples == {result.evidence[1].name: {}}


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
