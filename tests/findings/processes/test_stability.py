"""h4 on processes: components hold in other relations, and are found again with other entities."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings.processes.held_out import held_out_relations_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.findings.processes.redrawn import drawn_again, redrawn_entities_finding
from harness.findings.processes.rule import ProcessRule
from harness.materials.items import DISCOVERY
from harness.verdicts.judge import Outcome
from tests.support.judging import finding_of, outcome, why
from tests.support.made_cells import TWO_STEPS, WEIGHTS, cells, in_relation, made
from tests.support.synthetic import PLAN, crossed_set, null_subject, study_of

RULE = ProcessRule(threshold_d=1.0, alpha=0.01, permutations=500, seed=0)
ITEMS = replace(PLAN, items=200, resamples=199, twins=1)
HEAD, OTHER = ("heads", (2, 3, 1)), ("heads", (0, 1, 1))


def model_with(*effects, twin_effects=()):
    def make(prompts, twin):
        planted = effects if twin is None else twin_effects
        return made(prompts, *planted, seed=100 + (twin or 0))

    return make


def in_other_relations(make, process=RETRIEVAL, prompts=None):
    study = study_of(make, prompts or cells(), ITEMS)
    return finding_of(
        held_out_relations_finding, study, "head", process, RULE, folds=5, share=0.8, gate=0.6
    )


def with_other_entities(make, process=RETRIEVAL, prompts=None):
    study = study_of(make, prompts or cells(), ITEMS)
    return finding_of(
        redrawn_entities_finding,
        study,
        "head",
        process,
        RULE,
        needed=(1, 16),
        jaccard=0.8,
        gate=0.6,
    )


BOTH = (in_other_relations, with_other_entities)


def decision(finding):
    """What the interval of the first requirement says."""
    first = finding.evidence[0]
    return stats.decided(*first.effect.interval, first.threshold, first.relation)


@pytest.mark.parametrize("measure", BOTH)
@pytest.mark.parametrize(("process", "asked"), [(RETRIEVAL, WEIGHTS), (COMPOSING, TWO_STEPS)])
def test_a_component_that_serves_a_process_is_stable(measure, process, asked):
    finding = measure(model_with((*HEAD, asked, 3.0)), process)
    assert (outcome(finding), why(finding)) == (Outcome.SUPPORTED, "every requirement holds")
    assert finding.evidence[0].effect.value == 1
    assert decision(finding) is stats.Decision.HELD
    assert [c.passed for c in finding.controls] == [True]


@pytest.mark.parametrize("measure", BOTH)
def test_relations_that_differ_alone_have_nothing_to_find(measure):
    finding = measure(model_with())
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "serves retrieval" in why(finding)


@pytest.mark.parametrize("measure", BOTH)
def test_one_process_shows_nothing_of_the_other(measure):
    assert outcome(measure(model_with((*HEAD, WEIGHTS, 3.0)), COMPOSING)) is Outcome.INCONCLUSIVE


def test_components_that_turn_in_the_relations_left_out_do_not_hold():
    # One head for each part left out: too few relations turn for it to be found with any other.
    names = sorted({item.relation for item in cells().items})
    effects = []
    for at, (_, left_out) in enumerate(stats.grouped_folds(names, 5, RULE.seed)):
        place = (at % 4, at // 4, 1)
        effects.append(("heads", place, WEIGHTS, 3.0))
        effects += [("heads", place, in_relation(names[r], WEIGHTS), -9.0) for r in left_out]
    finding = in_other_relations(model_with(*effects))
    assert finding.evidence[0].effect.value == 0
    assert decision(finding) is stats.Decision.FAILED
    assert outcome(finding) is Outcome.REFUTED


def test_effects_near_the_bar_are_not_decided():
    effects = [("heads", (layer, head, 1), WEIGHTS, 1.3) for layer in range(3) for head in range(3)]
    finding = in_other_relations(model_with(*effects))
    low, high = finding.evidence[0].effect.interval
    assert low <= finding.evidence[0].effect.value <= high
    assert decision(finding) is stats.Decision.UNDECIDED


def test_other_components_with_other_entities_are_refuted():
    first = {item.prompt for item in made_prompts().items}

    def make(prompts, twin):
        here = next(iter(prompts.items)).prompt in first
        place = HEAD if here else OTHER
        effects = [(*place, WEIGHTS, 3.0)] if twin is None else []
        return made(prompts, *effects, seed=100 + (twin or 0))

    finding = with_other_entities(make)
    assert finding.evidence[0].effect.value == 0
    assert decision(finding) is stats.Decision.FAILED
    assert outcome(finding) is Outcome.REFUTED


def test_twins_that_find_nothing_are_not_asked_again():
    asked = []

    def make(prompts, twin):
        if twin is not None:
            asked.append(prompts.hash)
        return made(prompts, *([(*HEAD, WEIGHTS, 3.0)] if twin is None else []), seed=100)

    finding = with_other_entities(make)
    assert [c.passed for c in finding.controls] == [True]
    assert len(set(asked)) == 1
    twin_too = with_other_entities(lambda prompts, _: made(prompts, (*HEAD, WEIGHTS, 3.0)))
    assert [c.passed for c in twin_too.controls] == [False]


def made_prompts():
    """The crossed set that the study of all cells is shown by."""
    return cells(200, "cells-crossed:recall-lookup")


@pytest.mark.parametrize("name", ["cells", "cells-crossed:recall-lookup"])
def test_a_redraw_is_the_same_set_with_other_items(name):
    study = study_of(null_subject, cells(100, name), ITEMS)
    again = drawn_again(study)
    assert (again.prompts.name, len(again.prompts)) == (study.prompts.name, len(study.prompts))
    assert not {i.prompt for i in study.prompts.items} & {i.prompt for i in again.prompts.items}


@pytest.mark.parametrize("measure", BOTH)
def test_twins_that_are_as_stable_refute_it(measure):
    effect = (*HEAD, WEIGHTS, 3.0)
    finding = measure(model_with(effect, twin_effects=[effect]))
    assert outcome(finding) is Outcome.REFUTED
    assert "control untrained twin 1" in why(finding)


@pytest.mark.parametrize("measure", BOTH)
def test_materials_that_say_nothing_about_relations_are_inconclusive(measure):
    finding = measure(null_subject, prompts=crossed_set())
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "columns source, steps and relation" in why(finding)


def test_nine_relations_are_too_few_to_leave_some_out():
    names = sorted({item.relation for item in cells().items})[:9]
    few = replace(cells().where(lambda item: item.relation in names), name="few")
    finding = in_other_relations(model_with((*HEAD, WEIGHTS, 3.0)), prompts=few)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "in 9 relations: with one of 5 parts left out, fewer than 8 are left" in why(finding)


def test_a_file_is_not_drawn_again():
    prompts = replace(made_prompts(), name="mine.csv")
    finding = with_other_entities(model_with((*HEAD, WEIGHTS, 3.0)), prompts=prompts)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "mine.csv cannot be drawn again" in why(finding)


def test_an_effect_on_discovery_entities_alone_is_not_found():
    def which(prompts):
        return np.array([i.split == DISCOVERY and cell_of(i) in WEIGHTS for i in prompts.items])

    finding = in_other_relations(model_with((*HEAD, which, 3.0)))
    assert outcome(finding) is Outcome.INCONCLUSIVE
