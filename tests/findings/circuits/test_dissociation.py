"""The findings of h5 on models whose causes are known."""

from dataclasses import replace

import numpy as np
import pytest

from harness.findings.circuits.dissociation import double_finding
from harness.findings.circuits.published import published_drop_finding
from harness.findings.circuits.rules import DissociationRule, RandomSets, Selection
from harness.findings.circuits.specific import specific_finding
from harness.findings.specialisation.rules import PublishedRule
from harness.materials.items import DISCOVERY, EVALUATION
from harness.verdicts.evidence import State
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.planted_circuits import (
    Planted,
    by_task,
    facts_set,
    heads,
    neurons,
    study_of,
    with_size,
)

DOSES = dict.fromkeys(("head", "neuron"), (1 / 8, 1 / 4, 1 / 2))
RULE = DissociationRule(
    selection=Selection(doses=DOSES, pairs=60, margin=0.10),
    alpha=0.05,
    margin=0.10,
    random_sets=RandomSets(count=100, pairs=20),
    other_sizes=RandomSets(count=20, pairs=10),
)
RECALL, REASONING = heads((1, 0), (2, 1)), heads((1, 2), (3, 3))
OF_NEURONS = neurons((1, 0), (2, 1), (2, 5), (3, 6)), neurons((1, 2), (2, 3), (3, 4), (3, 7))
COST = 0.8  # of the intact logit difference: one component costs no answer, two do


def apart(recall=RECALL, reasoning=REASONING, cost=COST, **options):
    """Each task has its own components."""
    costs = by_task(recall=dict.fromkeys(recall, cost), reasoning=dict.fromkeys(reasoning, cost))
    return Planted(costs, **options)


def together(members=(*RECALL, *REASONING)):
    """Both tasks have the same components."""
    both = dict.fromkeys(members, COST)
    return Planted(by_task(recall=both, reasoning=both))


def specific(study, target=None, kind="head", rule=RULE):
    target = target or study.prompts.tasks[0]
    finding = finding_of(specific_finding, study, kind, target, rule, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


def double(study, kind="head"):
    finding = finding_of(double_finding, study, kind, RULE, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


def everything(study, kind="head"):
    return [*(specific(study, t, kind)[1:] for t in study.prompts.tasks), double(study, kind)[1:]]


def row(finding, beginning):
    return next(e for e in finding.evidence if e.name.startswith(beginning))


def circuit(finding):
    return {(c.layer, c.index) for c in finding.components}


# What is there is found


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_a_double_dissociation_is_supported(kind):
    subject = apart() if kind == "head" else apart(*OF_NEURONS, cost=0.4)
    study = study_of(subject)
    assert everything(study, kind) == [(Outcome.SUPPORTED, "every requirement holds")] * 3


def test_the_planted_circuit_is_the_one_that_is_selected():
    result = finding_of(specific_finding, study_of(apart()), "head", "recall", RULE, gate=0.6)
    assert circuit(result) == {(1, 0), (2, 1)}
    assert all(c.effect == pytest.approx(COST, abs=0.05) for c in result.components)
    lost = row(result, "recall lost without its heads")
    assert (lost.effect.value, lost.n) == (1, 40)
    chance = row(result, "recall minus reasoning lost, against random sets")
    assert chance.p_adjusted == chance.floor == 1 / 92  # all sets of two of the 14 others
    assert chance.family.size == 91
    assert row(result, "reasoning spared").effect.value == 0
    assert [len(plot.panels) for plot in result.plots] == [1]


def test_one_sided_dissociations_are_told_apart():
    study = study_of(apart(reasoning=()))
    (recall, _), (reasoning, why), (both, _) = everything(study)
    assert (recall, reasoning, both) == (Outcome.SUPPORTED, Outcome.REFUTED, Outcome.REFUTED)
    assert why.startswith("reasoning lost without its heads: 0 [0, 0],")


# What is not there is refuted


def test_a_shared_circuit_is_refuted():
    study = study_of(together())
    outcomes = everything(study)
    assert [found for found, _ in outcomes] == [Outcome.REFUTED] * 3


def test_a_circuit_that_both_tasks_need_is_not_spared():
    shared = apart(recall=(*RECALL, *REASONING), reasoning=REASONING)
    shared.costs = by_task(
        recall=dict.fromkeys((*RECALL, *REASONING), 0.9),
        reasoning=dict.fromkeys((*RECALL, *REASONING), 0.7),
    )
    finding, found, why = specific(study_of(shared))
    assert found is Outcome.REFUTED
    # What costs reasoning more than the margin is selected last: recall has no circuit of its own.
    assert "recall lost without its heads: 0 [0, 0], needed > 0" in why
    assert not {(1, 0), (2, 1), (1, 2), (3, 3)} & circuit(finding)


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_a_model_without_causes_is_refuted(kind):
    study = study_of(Planted(spread=0.2))
    assert [found for found, _ in everything(study, kind)] == [Outcome.REFUTED] * 3


def test_a_model_in_which_nothing_does_anything_at_all_is_refuted():
    study = study_of(Planted(spread=0.0))
    assert [found for found, _ in everything(study)] == [Outcome.REFUTED] * 3


def test_random_sets_that_do_as_well_refute_it():
    anywhere = heads(*((layer, head) for layer in range(4) for head in range(4)))
    study = study_of(apart(recall=anywhere, reasoning=()))
    finding, found, why = specific(study)
    assert found is Outcome.REFUTED
    assert why.startswith("recall minus reasoning lost, against random sets")
    assert row(finding, "recall minus reasoning lost, against random sets").p_adjusted == 1
    secondary = row(finding, "recall lost, against random sets")
    assert (secondary.p, secondary.decisive) == (1, False)


def test_random_sets_that_break_both_tasks_do_not_count_against_a_selective_circuit():
    # Every other head is shared, and breaks both tasks: so does nearly any set of two.
    every = heads(*((layer, head) for layer in range(4) for head in range(4)))
    shared = dict.fromkeys((h for h in every if h not in (*RECALL, *REASONING)), 1.2)
    costs = by_task(
        recall=shared | dict.fromkeys(RECALL, COST),
        reasoning=shared | dict.fromkeys(REASONING, COST),
    )
    finding, found, why = specific(study_of(Planted(costs)))
    assert (found, why) == (Outcome.SUPPORTED, "every requirement holds")
    judged = row(finding, "recall minus reasoning lost, against random sets")
    assert (judged.effect.value, judged.threshold) == (1, 0)
    secondary = row(finding, "recall lost, against random sets")
    assert secondary.p > 0.3
    assert "95th percentile 1.00" in secondary.effect.method


def test_a_circuit_of_no_consequence_is_not_selective_though_random_sets_are_less_so():
    # Reasoning needs every head but two, recall none: the two differ from all random sets.
    idle = heads((1, 0), (2, 1))
    every = heads(*((layer, head) for layer in range(4) for head in range(4)))
    costs = by_task(reasoning=dict.fromkeys((h for h in every if h not in idle), 1.2))
    finding, found, why = specific(study_of(Planted(costs)))
    assert found is Outcome.REFUTED
    assert why.startswith("recall lost without its heads: 0 [0, 0],")
    assert row(finding, "recall minus reasoning lost, against random sets").passed


def test_noise_is_hardly_ever_supported():
    # Components cost each item something at random, and at times an answer.
    supported = [
        found is Outcome.SUPPORTED
        for seed in range(40)
        for found, _ in [
            judge(
                finding_of(
                    double_finding, study_of(Planted(spread=3.0, seed=seed)), "head", RULE, gate=0.6
                ),
                Criterion.CONTROLLED,
            )
        ]
    ]
    assert sum(supported) <= 1


def test_the_dissociation_tells_every_components_effect_and_marks_the_circuits():
    result = finding_of(double_finding, study_of(apart()), "head", RULE, gate=0.6)
    assert set(result.tables) == {"causal, recall", "causal, reasoning"}
    for table, planted in zip(result.tables.values(), (RECALL, REASONING), strict=True):
        strongest = np.argsort(-table.effect)[: len(planted)]
        found = {("head", int(table.layer[i]), int(table.index[i])) for i in strongest}
        assert found == set(planted)
    found = {(c.layer, c.index) for c in result.components}
    marked = {
        (int(t.layer[i]), int(t.index[i]))
        for t in result.tables.values()
        for i in np.flatnonzero(t.passed)
    }
    assert marked == found


def test_what_holds_on_discovery_facts_alone_is_refuted():
    def costs(item):
        own = {"recall": RECALL, "reasoning": REASONING}[item.task]
        return dict.fromkeys(own, COST if item.split == DISCOVERY else 0.0)

    finding, found, why = specific(study_of(Planted(costs)))
    assert circuit(finding) == {(1, 0), (2, 1)}
    assert found is Outcome.REFUTED
    assert why.startswith("recall lost without its heads: 0 [0, 0],")


def test_the_circuit_is_selected_without_the_evaluation_items():
    def costs(item):
        swap = item.split == EVALUATION
        own = (REASONING, RECALL) if (item.task == "recall") == swap else (RECALL, REASONING)
        return dict.fromkeys(own[0], COST)

    finding, _, why = specific(study_of(Planted(costs)))
    assert circuit(finding) == {(1, 0), (2, 1)}
    assert "reasoning spared: 1 [1, 1], needed < 0.1" in why


# What cannot be told is inconclusive


def test_an_intact_model_at_chance_is_inconclusive():
    study = study_of(apart(misses=lambda i: i.task == "recall" and int(i.pair[1:]) % 4 > 1))
    for found, why in everything(study):
        assert found is Outcome.INCONCLUSIVE
        assert why.startswith("recall accuracy 0.50 on made")


def test_too_few_evaluation_items_are_inconclusive():
    study = study_of(apart(), facts_set(38))
    for found, why in everything(study):
        assert found is Outcome.INCONCLUSIVE
        assert "19 recall items of the evaluation half are answered right, 20 are needed" in why


def test_too_few_discovery_items_are_inconclusive():
    prompts = facts_set(60, split=lambda pair: DISCOVERY if pair < 9 else EVALUATION)
    for kind in ("head", "neuron"):
        for found, why in everything(study_of(apart(), prompts), kind):
            assert found is Outcome.INCONCLUSIVE
            assert "9 recall facts of the discovery half are answered right, 10 are" in why


def test_items_too_few_to_prove_a_task_spared_are_inconclusive():
    _, found, why = specific(study_of(apart(), facts_set(50)))
    assert found is Outcome.INCONCLUSIVE
    assert why.startswith("reasoning spared: the smallest adjusted p this design can reach")


@pytest.mark.parametrize("only", [DISCOVERY, EVALUATION])
def test_one_split_alone_is_inconclusive(only):
    for found, why in everything(study_of(apart(), facts_set(split=lambda _: only))):
        assert found is Outcome.INCONCLUSIVE
        assert "circuits are chosen on discovery items and judged on evaluation items" in why


def test_a_split_that_lacks_one_task_is_inconclusive():
    prompts = facts_set()
    kept = prompts.where(lambda i: (i.task, i.split) != ("recall", DISCOVERY))
    _, found, why = specific(study_of(apart(), kept))
    assert found is Outcome.INCONCLUSIVE
    assert "made has no discovery items of recall:" in why


def test_materials_without_answers_are_inconclusive():
    bare = facts_set()
    bare = replace(bare, items=tuple(replace(i, answer="") for i in bare.items))
    for found, why in everything(study_of(apart(), bare)):
        assert found is Outcome.INCONCLUSIVE
        assert "have no answer" in why


@pytest.mark.parametrize(("layers", "width"), [(1, 1), (1, 2), (2, 1)])
def test_a_model_of_one_or_two_heads_is_inconclusive_and_no_error(layers, width):
    study = study_of(with_size(apart((("head", 0, 0),), ()), layers, width))
    _, found, why = specific(study)
    assert found is Outcome.INCONCLUSIVE
    if layers * width == 1:
        assert why.startswith("0 other sets of 1 heads")
    else:
        assert "the smallest adjusted p this design can reach is 0.5" in why
    assert double(study)[1] is Outcome.REFUTED


def test_materials_whose_first_tokens_all_coincide_are_inconclusive():
    subject = apart(unscorable=lambda i: i.task == "reasoning")
    for kind in ("head", "neuron"):
        for found, why in everything(study_of(subject), kind):
            assert found is Outcome.INCONCLUSIVE
            assert "0 reasoning facts of the discovery half are answered right" in why


# The margin


def losing(count, of=60):
    """Reasoning items of the evaluation half that fall with the recall circuit: `count` of `of`."""

    def costs(item):
        fragile = item.split == EVALUATION and int(item.pair[1:]) // 2 < count
        own = {"recall": RECALL, "reasoning": REASONING}[item.task]
        return dict.fromkeys((*own, *(RECALL if fragile else ())), COST)

    return study_of(Planted(costs), facts_set(2 * of))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_drop_clearly_below_the_margin_is_spared(count):
    finding, found, _ = specific(losing(count))
    spared = row(finding, "reasoning spared")
    assert spared.effect.value == pytest.approx(count / 60)
    assert spared.n == 60
    assert found is (Outcome.SUPPORTED if count < 2 else Outcome.INCONCLUSIVE)  # p .053 at two


def test_a_drop_of_exactly_the_margin_is_not_spared():
    finding, found, why = specific(losing(6))
    assert row(finding, "reasoning spared").effect.value == pytest.approx(0.1)
    assert row(finding, "reasoning spared").state is State.UNDECIDED
    assert found is Outcome.INCONCLUSIVE
    assert why.startswith("undecided: reasoning spared")


def test_a_drop_clearly_above_the_margin_is_not_spared():
    finding, found, why = specific(losing(20))
    assert row(finding, "reasoning spared").state is State.FAILED
    assert found is Outcome.REFUTED
    assert "reasoning spared: 0.33 [0.25, 0.43], needed < 0.1" in why


@pytest.mark.parametrize(
    ("recall", "expected"), [(8, Outcome.INCONCLUSIVE), (14, Outcome.SUPPORTED)]
)
def test_a_drop_above_0_and_one_below_the_margin_must_be_different_drops(recall, expected):
    """Of 100 facts the recall circuit costs recall some, and reasoning three others."""

    def costs(item):
        number = int(item.pair[1:]) // 2
        judged, of_recall = item.split == EVALUATION, item.task == "recall"
        falls = number < recall if of_recall else number >= 97
        own = RECALL if falls or (of_recall and not judged) else ()
        return dict.fromkeys(own if of_recall or judged else REASONING, COST)

    finding, found, why = specific(study_of(Planted(costs), facts_set(200)))
    assert row(finding, "recall lost without its heads").passed
    assert row(finding, "reasoning spared").passed
    apart_ = next(e for e in finding.evidence if e.name == "recall minus reasoning lost")
    assert (found, apart_.passed) == (expected, expected is Outcome.SUPPORTED)
    low = apart_.effect.interval[0]
    assert low == round(low, 9)  # 4e-17 is not above 0
    assert np.mean(list(finding.samples[apart_.name].values())) == pytest.approx(
        recall / 100 - 0.03
    )
    assert expected is Outcome.SUPPORTED or f"{apart_.name}: 0.050 [0, 0.11]" in why


# Headroom


def test_a_logit_difference_that_falls_where_no_answer_is_lost_is_undecided():
    finding, found, why = specific(study_of(apart(cost=0.3)))
    assert row(finding, "recall lost without its heads").effect.value == 0
    assert found is Outcome.INCONCLUSIVE
    hidden = "accuracy is 1.00 intact, which hides what is lost: answers that are kept lose 0.60 ["
    assert why.startswith("undecided: recall lost without its heads: 0 [0, 0], needed > 0;")
    assert hidden in why
    both, why = double(study_of(apart(cost=0.3)))[1:]
    assert (both, hidden in why) == (Outcome.INCONCLUSIVE, True)


def test_where_some_answers_are_wrong_without_an_edit_losing_none_refutes():
    def missed(item):
        return int(item.pair[1:]) % 10 < 2  # in both halves

    found, why = specific(study_of(apart(cost=0.3, misses=missed)))[1:]
    assert found is Outcome.REFUTED
    assert why.startswith("recall lost without its heads: 0 [0, 0], needed > 0")


def test_a_task_that_keeps_its_answers_and_loses_its_margin_is_not_known_to_be_spared():
    def costs(item):
        own = {"recall": RECALL, "reasoning": REASONING}[item.task]
        shared = RECALL if item.split == EVALUATION and item.task == "reasoning" else ()
        return dict.fromkeys(own, COST) | dict.fromkeys(shared, 0.2)

    finding, found, why = specific(study_of(Planted(costs)))
    kept = row(finding, "reasoning spared")
    assert (kept.effect.value, kept.state) == (0, State.UNDECIDED)
    assert found is Outcome.INCONCLUSIVE
    assert "answers that are kept lose 0.40" in why


# People's own materials


def test_a_file_sorted_by_task_with_names_of_its_own_is_judged_as_any_other():
    prompts = facts_set(tasks=("capital", "sum"), sort=True, alone=True)
    costs = by_task(capital=dict.fromkeys(RECALL, COST), sum=dict.fromkeys(REASONING, COST))
    study = study_of(Planted(costs), prompts)
    assert everything(study) == [(Outcome.SUPPORTED, "every requirement holds")] * 3


def test_one_answer_throughout_leaves_resampling_out_and_says_so():
    study = study_of(apart(), facts_set(answers=("yes",)))
    finding, found, _ = specific(study)
    assert found is Outcome.SUPPORTED
    flips = row(finding, "flip rate over ablations")
    assert "resample: a task has one answer throughout, so no other to take" in flips.effect.method
    assert flips.n == 2


def test_without_counterfactual_prompts_patching_is_left_out_and_said():
    finding, *_ = specific(study_of(apart()))
    flips = row(finding, "flip rate over ablations")
    assert "counterfactual: not applicable to every prompt" in flips.effect.method
    assert "resample: recall 1.00, reasoning 0.00, holds" in flips.effect.method
    assert (flips.n, flips.effect.value) == (3, 0)
    whole = facts_set(counterfactual_prompt="another")
    assert row(specific(study_of(apart(), whole))[0], "flip rate over ablations").n == 4


def test_several_items_of_a_fact_are_one_unit():
    study = study_of(apart(), facts_set(80, each=3))
    finding, found, _ = specific(study)
    assert found is Outcome.SUPPORTED
    assert row(finding, "recall lost without its heads").n == 40
    assert row(finding, "reasoning spared").n == 40
    _, found, why = specific(study_of(apart(), facts_set(30, each=3)))
    assert found is Outcome.INCONCLUSIVE
    assert "15 recall items of the evaluation half" in why


def test_items_that_cannot_be_lost_are_left_out_and_counted():
    subject = apart(
        misses=lambda i: i.id == "recall-1-0", unscorable=lambda i: i.id == "reasoning-3-0"
    )
    finding, found, _ = specific(study_of(subject))
    assert found is Outcome.SUPPORTED
    assert row(finding, "recall lost without its heads").n == 39
    assert row(finding, "reasoning spared").n == 39
    assert finding.notes[:2] == (
        "1 recall items are left out: the intact model misses them",
        "1 reasoning items are left out: no distractor differs from the answer in its first token",
    )


@pytest.mark.parametrize("pairs", [80, 1])
def test_a_third_task_is_shown(pairs):
    prompts = facts_set(80, also=("lookup",))
    kept = prompts.where(lambda i: i.task != "lookup" or int(i.pair[1:]) < 2 * pairs)
    finding, found, _ = specific(study_of(apart(), kept))
    assert found is Outcome.SUPPORTED
    assert row(finding, "lookup lost, secondary").effect.value == 0


def test_a_third_task_of_the_discovery_half_alone_is_no_error():
    prompts = facts_set(80, also=("lookup",))
    kept = prompts.where(lambda i: i.task != "lookup" or i.split == DISCOVERY)
    finding, found, _ = specific(study_of(apart(), kept))
    assert found is Outcome.SUPPORTED
    assert not [e for e in finding.evidence if e.name.startswith("lookup")]


# As published


def published(study):
    rule = PublishedRule(threshold_d=1.0, alpha=0.01, votes=1, correction="benjamini-hochberg")
    finding = finding_of(published_drop_finding, study, "head", rule, unchanged=0.05, gate=0.6)
    return finding, *judge(finding, Criterion.PUBLISHED)


def specialised(monkeypatch, places):
    """Heads that the published rule calls specialised, by task."""
    from harness.findings.circuits import published as module
    from tests.findings.circuits.test_circuits import circuit as circuit_of

    made = {t: circuit_of(*((p[1], p[2]) for p in of)) for t, of in places.items()}
    monkeypatch.setattr(module, "_of_type", lambda _table, task, _kind: made[task])


def test_the_published_drop_is_zeroed_heads_on_the_prompts_they_were_found_on(monkeypatch):
    specialised(monkeypatch, {"recall": RECALL, "reasoning": REASONING})
    finding, found, _ = published(study_of(apart()))
    assert found is Outcome.SUPPORTED
    values = {e.name: e.effect.value for e in finding.evidence}
    assert values == {
        "recall without the recall heads": 1,
        "reasoning without the recall heads": 0,
        "reasoning without the reasoning heads": 1,
        "recall without the reasoning heads": 0,
    }
    assert all(c.value < 0.2 for c in finding.controls)
    specialised(monkeypatch, {"recall": REASONING, "reasoning": RECALL})
    assert published(study_of(apart()))[1] is Outcome.REFUTED


def test_without_specialised_heads_or_answers_the_published_drop_is_inconclusive(monkeypatch):
    _, found, why = published(study_of(apart()))
    assert (found, "nothing to ablate" in why) == (Outcome.INCONCLUSIVE, True)
    specialised(monkeypatch, {"recall": RECALL, "reasoning": REASONING})
    mute = study_of(apart(unscorable=lambda i: i.task == "recall"))
    assert published(mute)[1:] == (Outcome.INCONCLUSIVE, "0 recall items are answered right")


def test_intervals_hold_their_values():
    finding, *_ = specific(losing(3))
    for e in finding.evidence:
        if e.effect.interval is not None and not np.isnan(e.effect.interval[0]):
            low, high = e.effect.interval
            assert low - 1e-9 <= e.effect.value <= high + 1e-9, e.name
