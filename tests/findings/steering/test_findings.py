"""The steering findings on stand-ins whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.findings.steering.added import steering_finding
from harness.findings.steering.corrections import correction_finding
from harness.findings.steering.pool import Pool
from harness.findings.steering.projected import projection_finding
from harness.findings.steering.selection import SteeringStudy
from harness.interventions.interventions import (
    ADD,
)
from harness.study.study import Study
from harness.verdicts.judge import Outcome
from harness.verdicts.plots import Plot
from tests.support.judging import finding_of
from tests.support.steering_toy import (
    GAP,
    PLAN,
    PROMPTS,
    RULE,
    WIDTH,
    Toy,
    by_any_move,
    by_nothing,
    costing,
    hurting_recall,
    less_sure,
    needed,
    needed_by_both,
    prompts_of,
    rising_either_way,
    row,
    ruined,
    shutting_recall,
    study,
    truly_and_less_than_elsewhere,
    verdict,
)

# Adding


def test_a_direction_that_steers_is_supported():
    found = finding_of(steering_finding, study(misses=0.3), RULE, 0.6)
    assert verdict(found) == (Outcome.SUPPORTED, "every requirement holds")
    first = found.evidence[0]
    assert first.effect.value == pytest.approx(
        GAP / 6 + GAP / (0.7 * 6 - 0.3), rel=0.05
    )  # dose 1 at one layer
    assert "add +1 at layer" in first.effect.method
    units = list(found.samples[first.name].values())
    assert (len(units), np.mean(units)) == (first.n, pytest.approx(first.effect.value, abs=0.02))
    for beginning in ("the same, against random", "reasoning gained by it, against random"):
        assert row(found, beginning).p_adjusted == pytest.approx(1 / 21)
    own = row(found, "reasoning gained by it").effect
    assert own.value == pytest.approx(GAP / (0.7 * 6 - 0.3), rel=0.05)
    assert row(found, "reasoning with room, gained").effect.value == pytest.approx(GAP, rel=0.05)
    assert row(found, "reasoning with room, lost").effect.value == pytest.approx(GAP, rel=0.05)
    assert row(found, "reasoning moved the wrong way").effect.value == 0
    assert row(found, "recall moved the wrong way").effect.value == 0
    assert found.notes[0].startswith("adding the direction (add +1 at layer")
    assert "helps reasoning and hurts recall" in found.notes[0]
    assert "hurts reasoning and helps recall" in found.notes[1]


def test_an_effect_that_any_direction_has_is_refuted():
    found = finding_of(steering_finding, study(by_any_move, misses=0.3), RULE, 0.6)
    outcome, reason = verdict(found)
    assert outcome is Outcome.REFUTED
    assert "against random directions" in reason
    assert found.evidence[0].passed
    assert found.controls[0].passed is False


def test_no_effect_is_refuted():
    outcome, reason = verdict(
        finding_of(steering_finding, study(by_nothing, misses=0.3), RULE, 0.6)
    )
    assert outcome is Outcome.REFUTED
    assert "change of logit difference: 0 [0, 0], needed > 0.01" in reason


@pytest.mark.parametrize(
    ("law", "why"),
    [
        (hurting_recall, "reasoning with room, gained"),
        (shutting_recall, "reasoning gained by it: 0.0"),
        (truly_and_less_than_elsewhere, "reasoning gained by it, against random ones"),
        (rising_either_way, "lost the other way"),
    ],
)
def test_reasoning_itself_must_rise_and_fall(law, why):
    found = finding_of(steering_finding, study(law, misses=0.3), RULE, 0.6)
    assert all(e.passed for e in found.evidence[:2])
    outcome, reason = verdict(found)
    assert outcome is Outcome.REFUTED
    assert why in reason
    assert ("with room, gained" in reason) == (law is hurting_recall)
    gained = row(found, "reasoning gained by it").effect
    assert gained.interval[0] <= gained.value + 1e-9 <= gained.interval[1] + 2e-9


def test_answers_that_are_all_right_have_no_room_to_rise():
    outcome, reason = verdict(finding_of(steering_finding, study(), RULE, 0.6))
    assert outcome is Outcome.INCONCLUSIVE
    assert "1.00 of discovery, where 0.3 to 0.9 leave room to rise and to fall" in reason


def test_ruining_both_tasks_is_not_steering():
    rule = costing(10.0)
    found = finding_of(steering_finding, study(ruined, misses=0.3), rule, 0.6)
    assert verdict(found)[0] is Outcome.REFUTED
    steering = SteeringStudy.fit(study(ruined), RULE)
    effects = steering.both(steering.evaluation_items(), [steering.along(ADD, (0, 1, 2))])
    assert effects.second.mean[0] - effects.first.mean[0] > 5  # nats: recall had more to lose
    assert effects.contrasts[0] == pytest.approx(0, abs=1e-3)


def test_the_share_that_goes_the_wrong_way_is_known():
    turned = {i.pair for i in PROMPTS.items if int(i.pair[1:]) % 8 == 1}  # a quarter of evaluation
    names = {f"{pair[1:]}-reasoning" for pair in turned}

    class Some(Toy):
        def read(self, items, edit_set=()):
            value, far = super().read(items, edit_set)
            return np.array([np.where([i.id in names for i in items], 12 - value, value), far])

    found = finding_of(steering_finding, Study(Some(misses=0.3), PROMPTS, PLAN), RULE, 0.6)
    share = row(found, "reasoning moved the wrong way")
    assert (share.effect.value, share.n) == (0.25, 60)
    left = found.plots[2].panels[0].series[1]
    below = sum(y for x, y in zip(left.x, left.y, strict=True) if x < -0.5)
    assert below == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("finding", "toy"), [(steering_finding, {"misses": 0.3}), (projection_finding, {"law": needed})]
)
def test_runs_are_compared_by_relation_where_the_materials_state_them(finding, toy):
    named = [replace(i, relation=f"relation {sum(map(ord, i.pair)) % 4}") for i in PROMPTS.items]
    stated = study(**toy, prompts=replace(PROMPTS, items=tuple(named)))
    samples, by_pair = (
        next(iter(finding_of(finding, s, RULE, 0.6).samples.values()))
        for s in (stated, study(**toy))
    )
    assert set(samples) == {f"relation {n}" for n in range(4)}
    of_one = [v for pair, v in by_pair.items() if sum(map(ord, pair)) % 4 == 1]
    assert samples["relation 1"] == pytest.approx(np.mean(of_one))


# Taking out


def test_a_direction_that_one_task_needs_is_supported():
    found = finding_of(projection_finding, study(needed), RULE, 0.6)
    assert verdict(found) == (Outcome.SUPPORTED, "every requirement holds")
    lost = found.evidence[0]
    assert lost.effect.value == pytest.approx(
        1.05, abs=0.01
    )  # all of it, and the wrong answer gains
    assert np.mean(list(found.samples[lost.name].values())) == pytest.approx(lost.effect.value)
    assert "accuracy 1.00 to 0.00" in lost.effect.method
    assert "hurts reasoning and does not move recall" in found.notes[0]
    assert row(found, "reasoning generated, project out").effect.value == 0
    assert row(found, "reasoning generated, intact").effect.value == 1
    assert "parsed 0.00" in row(found, "reasoning generated, project out").effect.method


@pytest.mark.parametrize(
    ("law", "why"), [(by_nothing, "reasoning lost"), (needed_by_both, "recall lost without it")]
)
def test_a_direction_that_none_or_both_need_is_refuted(law, why):
    outcome, reason = verdict(finding_of(projection_finding, study(law), RULE, 0.6))
    assert outcome is Outcome.REFUTED
    assert why in reason


# Correcting


def test_wrong_items_that_move_as_said_are_supported():
    found = finding_of(correction_finding, study(misses=0.5), RULE, 0.3)
    assert verdict(found) == (Outcome.SUPPORTED, "every requirement holds")
    assert found.evidence[0].effect.value == pytest.approx(GAP, rel=0.1)
    assert row(found, "reasoning items mended").effect.value == 1.0
    assert row(found, "reasoning items moved the wrong way").effect.value == 0
    assert "raises reasoning answers that were wrong" in found.notes[1]
    stays = row(found, "reasoning items answered right, lost by it")
    assert stays.effect.value == pytest.approx(-GAP / 6, rel=0.1)  # they gain too
    assert found.notes[1].endswith("of items that were right, accuracy 1.00 to 1.00")


@pytest.mark.parametrize("law", [by_any_move, by_nothing])
def test_wrong_items_that_any_direction_moves_are_refuted(law):
    assert (
        verdict(finding_of(correction_finding, study(law, misses=0.5), RULE, 0.3))[0]
        is Outcome.REFUTED
    )


def test_a_direction_that_makes_every_answer_less_sure_corrects_nothing():
    found = finding_of(correction_finding, study(less_sure, misses=0.5), RULE, 0.3)
    assert all(e.passed for e in found.evidence[:3])
    outcome, reason = verdict(found)
    assert outcome is Outcome.REFUTED
    assert "answered right, lost by it" in reason


def test_too_few_wrong_items_are_inconclusive():
    outcome, reason = verdict(finding_of(correction_finding, study(misses=0.1), RULE, 0.6))
    assert outcome is Outcome.INCONCLUSIVE
    assert "gets 6 evaluation and 3 discovery items wrong" in reason


@pytest.mark.parametrize(("right", "above"), [(0.2, False), (0.3, False), (0.5, True)])
def test_a_model_that_may_only_guess_has_nothing_to_activate(right, above):
    """Of 60 items a third may be right by guessing among four options."""
    items = tuple(i for i in study().prompts.items if i.task == "reasoning")[:60]
    toy = study(misses=1 - right)
    prompts = replace(toy.prompts, items=items)
    correct = toy.subject.answers(prompts).correct == 1
    assert correct.mean() == pytest.approx(right)
    pool = Pool(replace(toy, prompts=prompts), correct, "reasoning", "some")
    assert (len(items), pool.guessing) == (60, 0.25)
    assert pool.above_guessing is above


# Gates


@pytest.mark.parametrize("finding", [steering_finding, projection_finding, correction_finding])
def test_a_model_that_does_not_answer_is_inconclusive_and_not_steered(finding):
    asked = study(accuracy=0.25)
    outcome, reason = verdict(finding_of(finding, asked, RULE, 0.6))
    assert outcome is Outcome.INCONCLUSIVE
    assert "recall accuracy 0.27 on made-plain, first 30 pairs" in reason
    assert asked.subject.asked == []


@pytest.mark.parametrize("finding", [steering_finding, projection_finding, correction_finding])
def test_no_direction_in_any_layer_is_inconclusive(finding):
    class Flat(Toy):
        def drawn(self, item):
            return torch.ones(WIDTH) * len(item.answer)

    outcome, reason = verdict(
        finding_of(finding, Study(Flat(misses=0.5), PROMPTS, PLAN), RULE, 0.3)
    )
    assert outcome is Outcome.INCONCLUSIVE
    assert "there is no direction" in reason


def test_few_items_are_inconclusive():
    outcome, reason = verdict(
        finding_of(steering_finding, study(prompts=prompts_of(30)), RULE, 0.6)
    )
    assert outcome is Outcome.INCONCLUSIVE
    assert "15 reasoning pairs of the evaluation half can be scored, 20 are needed" in reason
    outcome, reason = verdict(
        finding_of(steering_finding, study(prompts=prompts_of(12)), RULE, 0.6)
    )
    assert "6 discovery pairs of a task: 10 are needed" in reason


# Figures


def test_figures_hold_plain_values():
    found = [
        finding_of(steering_finding, study(misses=0.3), RULE, 0.6),
        finding_of(projection_finding, study(needed), RULE, 0.6),
        finding_of(correction_finding, study(misses=0.5), RULE, 0.3),
    ]
    plots = [p for f in found for p in f.plots]
    assert [p.form for p in plots] == ["curve", "curve", "histogram", "curve", "histogram"]
    for plot in plots:
        again = Plot.from_json(json.loads(json.dumps(plot.to_json(), allow_nan=False)))
        assert json.dumps(again.to_json()) == json.dumps(plot.to_json())
    doses = plots[0].panels[1].series
    assert [s.role for s in doses] == ["random", "reasoning"]
    assert list(doses[1].x) == [-1.0, -0.5, 0.5, 1.0]
    assert np.all(np.diff(doses[1].y) > 0)
