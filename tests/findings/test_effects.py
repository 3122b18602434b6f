"""Sweeps from the store on a tiny model, and what is made of them."""

from dataclasses import replace

import numpy as np
import pytest

from harness.activations.swept import SweepResult
from harness.adapter import Model
from harness.findings import sweeps
from harness.findings.circuits.neuron_scores import neuron_scores
from harness.findings.effects import change_test, effects_on_correct, measured_effects, part
from harness.findings.sweeps import swept
from harness.interventions.donors import donors_of
from harness.interventions.interventions import (
    COUNTERFACTUAL,
    INTACT,
    MEAN,
    RESAMPLE,
    ZERO,
    Inputs,
    Intervention,
)
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, EVALUATION
from harness.materials.sets import geography
from harness.models.specs import LoadOptions, resolve
from harness.store.store import Store
from harness.study.study import Study
from harness.study.subject import Subject
from tests.support import tiny_models
from tests.support.planted_circuits import PLAN, Planted, by_task, facts_set, heads, study_of

PROMPTS = geography(20)
JUDGED = part(PROMPTS, EVALUATION, PROMPTS.tasks)  # 20 items, three shards of 8
CHOSEN = part(PROMPTS, DISCOVERY, PROMPTS.tasks)
ABLATIONS = (
    Intervention((Site("head", 0, 1), Site("head", 1, 2)), MEAN),
    Intervention((Site("mlp", 1),), ZERO),
    Intervention((Site("neuron", 0, (3, 7)),), RESAMPLE),
    Intervention((Site("attn", 0),), COUNTERFACTUAL, "subject"),
    INTACT,
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return resolve(str(tiny_models.save(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture(scope="module")
def model(spec):
    return Model.load(spec, LoadOptions(device="cpu"))


@pytest.fixture
def calls(monkeypatch):
    """Items of every sweep of the model; shards of eight."""
    monkeypatch.setattr(sweeps, "_SHARD", 8)
    made, real = [], Model.sweep

    def counted(self, items, *args, **options):
        made.append(len(items))
        return real(self, items, *args, **options)

    monkeypatch.setattr(Model, "sweep", counted)
    return made


@pytest.fixture
def new_subject(spec, model, tmp_path):
    """A subject with nothing in memory but the weights, over one store."""

    def make() -> Subject:
        subject = Subject(spec, LoadOptions(device="cpu"), Store(tmp_path))
        subject.__dict__["model"] = model
        return subject

    return make


def same(one: SweepResult, two: SweepResult) -> None:
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, two.arrays()[name], err_msg=name)


def test_a_stored_sweep_equals_the_models_own(new_subject, model, calls):
    found = swept(new_subject(), JUDGED, ABLATIONS, means_over=CHOSEN)
    reference = model.references(CHOSEN.items)
    whole = model.sweep(
        JUDGED.items,
        [a.edits(Inputs(reference)) for a in ABLATIONS],
        donors=donors_of(JUDGED.items),
    )
    assert calls == [8, 8, 4, 20]
    for name, array in whole.arrays().items():
        np.testing.assert_allclose(found.arrays()[name], array, atol=1e-5, err_msg=name)
    assert found.logit_difference.shape == (len(ABLATIONS), len(JUDGED))
    moved = np.abs(found.log_probability - found.clean_log_probability).max(1)
    assert (moved[:4] > 1e-4).all()
    assert moved[4] == 0


def test_a_run_that_two_questions_ask_for_is_made_once(new_subject, monkeypatch):
    sets, real = [], Model.sweep

    def counted(self, items, edit_sets, **options):
        sets.append(len(edit_sets))
        return real(self, items, edit_sets, **options)

    monkeypatch.setattr(Model, "sweep", counted)
    subject, (first, second, *_) = new_subject(), ABLATIONS
    alone = swept(subject, JUDGED, [first, first], means_over=CHOSEN)
    assert sets == [2]  # the intact run comes with it
    again = swept(subject, JUDGED, [INTACT, first], means_over=CHOSEN)
    assert sets == [2]
    np.testing.assert_array_equal(again.logit_difference[0], again.clean_logit_difference)
    both = swept(subject, JUDGED, [second, first], means_over=CHOSEN)
    assert sets == [2, 1]
    np.testing.assert_array_equal(both.logit_difference[1], alone.logit_difference[0])
    swept(subject, JUDGED, [first], means_over=PROMPTS)  # other means, another run
    assert sets == [2, 1, 1]


def test_a_second_call_measures_nothing(new_subject, calls):
    first = swept(new_subject(), JUDGED, ABLATIONS, means_over=CHOSEN)
    assert calls == [8, 8, 4]
    again = new_subject()
    del again.__dict__["model"]  # it must not even be loaded
    same(swept(again, JUDGED, ABLATIONS, means_over=CHOSEN), first)
    assert calls == [8, 8, 4]
    assert "model" not in vars(again)


def test_a_killed_sweep_resumes_where_it_stopped(new_subject, calls, monkeypatch):
    counted, real = Model.sweep, swept(new_subject(), JUDGED, ABLATIONS[:2], means_over=CHOSEN)
    calls.clear()

    def killed(self, items, *args, **options):
        if len(calls) == 1:
            raise KeyboardInterrupt
        return counted(self, items, *args, **options)

    subject = new_subject()
    monkeypatch.setattr(Model, "sweep", killed)
    with pytest.raises(KeyboardInterrupt):
        swept(subject, JUDGED, ABLATIONS, means_over=CHOSEN)
    assert calls == [8]
    monkeypatch.setattr(Model, "sweep", counted)
    found = swept(new_subject(), JUDGED, ABLATIONS, means_over=CHOSEN)
    assert calls == [8, 8, 4]
    np.testing.assert_allclose(found.correct[:2], real.correct)


def test_other_means_are_another_sweep_only_where_a_mean_is_written(new_subject, calls):
    subject = new_subject()
    for means in (CHOSEN, JUDGED):
        swept(subject, JUDGED, ABLATIONS[:1], means_over=means)
    assert len(calls) == 6
    for means in (CHOSEN, JUDGED):
        swept(subject, JUDGED, ABLATIONS[1:2], means_over=means)
    assert len(calls) == 9


def test_an_ablation_that_applies_to_no_prompt_gives_nan_and_not_zero(new_subject):
    bare = replace(
        JUDGED,
        items=tuple(replace(i, subject=None, counterfactual_prompt="") for i in JUDGED.items),
    )
    each = [
        Intervention((Site("mlp", 0),), MEAN, "subject"),
        Intervention((Site("mlp", 0),), COUNTERFACTUAL),
        Intervention((Site("mlp", 0),), MEAN),
    ]
    found = swept(new_subject(), bare, each, means_over=CHOSEN)
    assert found.applicable.any(1).tolist() == [False, False, True]
    scorable = found.scorable
    assert np.isnan(found.logit_difference[:2]).all()
    assert np.isfinite(found.logit_difference[2, scorable]).all()
    everything_right = replace(found, clean_correct=np.where(scorable, 1.0, np.nan))
    lost = effects_on_correct(everything_right, bare, "recall")
    assert np.isnan(lost.share_lost).tolist() == [True, True, False]
    assert np.isnan(lost.share[:2]).all()


def test_scores_are_stored(new_subject, monkeypatch):
    first = neuron_scores(new_subject(), CHOSEN)
    monkeypatch.setattr(Model, "path_scores", None)
    np.testing.assert_array_equal(neuron_scores(new_subject(), CHOSEN).scores, first.scores)


def test_components_are_chosen_and_judged_on_a_real_model(new_subject):
    found = measured_effects(Study(new_subject(), PROMPTS, PLAN), JUDGED, ABLATIONS[:1], CHOSEN)
    assert set(found) == {"recall", "reasoning"}
    for d in found.values():
        assert d.n + d.missed + d.unscored == 10
        assert d.after.shape == (1, len(d.before))


# Parts of the materials


def test_a_part_holds_each_tasks_first_pairs():
    prompts = facts_set(10, also=("lookup",))
    found = part(prompts, EVALUATION, prompts.tasks, 2)
    assert [i.id for i in found.items] == [
        *("recall-1-0", "reasoning-1-0", "recall-3-0", "reasoning-3-0"),
    ]
    assert {i.pair for i in found.items} == {"p1", "p3"}
    assert len(part(prompts, EVALUATION, prompts.tasks)) == 10
    assert part(prompts, EVALUATION, ("lookup",)).count() == {"lookup": 5}


def test_a_file_sorted_by_task_gives_both_tasks():
    prompts = facts_set(50, sort=True, alone=True)
    assert part(prompts, DISCOVERY, prompts.tasks, 5).count() == {"recall": 5, "reasoning": 5}


# Effects


def result(margins, after, scorable=None) -> SweepResult:
    """Of one row of margins, and one of margins after each ablation."""
    margins, after = np.array(margins, float), np.array(after, float)
    known = np.ones(len(margins), bool) if scorable is None else np.array(scorable)
    hidden = np.where(known, 0, np.nan)
    return SweepResult(
        log_probability=after,
        logit_difference=after + hidden,
        correct=np.where(np.isnan(after), np.nan, after > 0) + hidden,
        clean_log_probability=margins,
        clean_logit_difference=margins + hidden,
        clean_correct=(margins > 0) + hidden,
        scorable=known,
        applicable=~np.isnan(after),
        divergence=0 * after,
    )


def items_of(*pairs):
    one = facts_set(1).items[0]
    items = tuple(replace(one, id=str(n), pair=p) for n, p in enumerate(pairs))
    return replace(facts_set(1), items=items)


def test_only_answers_that_the_intact_model_gives_can_be_lost():
    found = effects_on_correct(
        result([2, 4, -1, 6], [[1, -4, 5, 6], [2, 4, -9, 6]], [True, True, True, False]),
        items_of("a", "b", "c", "d"),
        "recall",
    )
    assert found.lost.tolist() == [[0, 1], [0, 0]]
    assert found.share_lost.tolist() == [0.5, 0]
    assert found.logit_difference.tolist() == [[-1, -8], [0, 0]]
    assert found.scale == 3
    assert found.share.tolist() == [-1.5, 0]
    assert found.cost.tolist() == [1.5, 0]
    assert found.pairs.tolist() == ["a", "b"]
    assert (found.n, found.missed, found.unscored) == (2, 1, 1)
    assert found.before.tolist() == [1, 1, 0]
    assert found.after.tolist() == [[1, 0, 1], [1, 1, 0]]


def test_answers_that_are_gained_count_against_those_that_are_lost():
    found = effects_on_correct(
        result([1, 1, -1, -1], [[-1, -1, 1, 1]]), items_of("a", "b", "c", "d"), "recall"
    )
    test = change_test(found.before, found.after[0])
    assert (test.lost, test.gained, test.items) == (2, 2, 4)
    assert test.p == 1
    assert found.share_lost[0] == 1


def test_the_unit_is_the_pair_where_it_holds_several_items():
    found = effects_on_correct(
        result([2, 4, 1, 3, -1], [[-2, 4, 1, -1, -1]]), items_of("a", "a", "b", "c", "c"), "recall"
    )
    assert found.pairs.tolist() == ["a", "b", "c"]
    assert found.n == 3
    assert found.lost.tolist() == [[0.5, 0, 1]]
    assert found.logit_difference.tolist() == [[-2, 0, -4]]
    assert found.scale == pytest.approx((3 + 1 + 3) / 3)
    assert found.before.tolist() == [1, 1, 0.5]
    assert found.after.tolist() == [[0.5, 1, 0]]
    test = change_test(found.before, found.after[0])
    assert (test.lost, test.gained, test.items) == (2, 0, 3)


def test_values_that_do_not_apply_are_left_out_of_a_pairs_mean():
    found = effects_on_correct(
        result([2, 4, 1], [[-2, np.nan, np.nan]]), items_of("a", "a", "b"), "recall"
    )
    assert found.lost[0, 0] == 1
    assert np.isnan(found.lost[0, 1])
    assert found.share_lost.tolist() == [1]


def test_a_task_without_correct_answers_has_no_effect():
    found = effects_on_correct(result([-1, -2], [[1, 1]]), items_of("a", "b"), "recall")
    assert (found.n, found.missed) == (0, 2)
    assert np.isnan([found.scale, *found.share_lost, *found.share]).all()


def test_planted_costs_are_what_is_measured():
    planted = Planted(by_task(recall=dict.fromkeys(heads((1, 2)), 0.5)), spread=0.0)
    study = study_of(planted)
    each = [
        Intervention((Site("head", 1, 2),), MEAN),
        Intervention((Site("attn", 1),), ZERO),
        INTACT,
    ]
    found = measured_effects(study, study.prompts, each, study.prompts)
    assert found["recall"].cost == pytest.approx([0.5, 0.5, 0])
    assert found["reasoning"].share.tolist() == [0, 0, 0]
