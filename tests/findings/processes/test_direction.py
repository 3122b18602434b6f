"""h7: a direction of a process separates relations that it was not fitted on."""

from dataclasses import replace

import numpy as np
import pytest

from harness.findings.gates import process_gate
from harness.findings.processes.direction import (
    ProcessDirectionRule,
    Separated,
    Unit,
    process_direction_finding,
    separated,
    separation_evidence,
)
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.materials.sets import draw_crossed
from harness.verdicts.judge import Outcome
from tests.support.judging import finding_of, outcome, why
from tests.support.made_cells import TWO_STEPS, WEIGHTS, cells, made
from tests.support.synthetic import PLAN, crossed_set, study_of

RULE = ProcessDirectionRule(auc=0.75, alpha=0.01, permutations=1000, seed=0)


def stream(prompts, *effects, seed):
    """A residual stream in which relations differ by more than the effects."""
    found = made(prompts, seed=seed)
    names = sorted({item.relation for item in prompts.items})
    at = np.array([names.index(item.relation) for item in prompts.items])
    shift = 2.5 * np.random.default_rng(3).standard_normal((len(names), *found.resid.shape[1:]))
    resid = found.resid + shift[at]
    for asked, layer, size in effects:
        resid[[cell_of(item) in asked for item in prompts.items], layer, 0] += size
    return replace(found, resid=resid.astype(np.float32))


def found(*effects, process=RETRIEVAL, twin_effects=(), prompts=None):
    def make(prompts, twin):
        planted = effects if twin is None else twin_effects
        return stream(prompts, *planted, seed=100 + (twin or 0))

    study = study_of(make, prompts or cells(), replace(PLAN, items=200))
    return finding_of(process_direction_finding, study, process, RULE, gate=0.6)


@pytest.mark.parametrize(("process", "asked"), [(RETRIEVAL, WEIGHTS), (COMPOSING, TWO_STEPS)])
def test_a_direction_that_all_relations_share_is_supported(process, asked):
    finding = found((asked, 2, 2.5), process=process)
    assert outcome(finding) is Outcome.SUPPORTED
    separation, same = finding.evidence[:2]
    assert "layer 2" in separation.effect.method
    assert separation.effect.value == pytest.approx(
        np.mean(list(finding.samples[separation.name].values()))
    )
    assert separation.effect.value > same.threshold > 0.5
    other = COMPOSING if process is RETRIEVAL else RETRIEVAL
    assert outcome(found((asked, 2, 2.5), process=other)) is not Outcome.SUPPORTED


def test_relations_that_differ_are_no_direction_of_a_process():
    finding = found()
    assert outcome(finding) is Outcome.REFUTED
    assert finding.controls == ()


@pytest.mark.parametrize(("size", "said"), [(0.8, Outcome.SUPPORTED), (-2.5, Outcome.REFUTED)])
def test_a_direction_separates_the_second_set_and_what_is_left_of_it_is_shown(size, said):
    def make(prompts, _twin):
        there = size if prompts.name.startswith("neutral") else 2.5
        return stream(prompts, (WEIGHTS, 2, there), seed=100)

    study = study_of(make, cells(), replace(PLAN, items=200, twins=0))
    finding = finding_of(process_direction_finding, study, RETRIEVAL, RULE, gate=0.6)
    assert outcome(finding) is said
    left = next(e for e in finding.evidence if e.name == "separation that is left there")
    assert left.effect.value == pytest.approx(size / 2.5, abs=0.15)
    assert not left.decisive


def test_own_prompts_have_no_second_set_which_leaves_retrieval_open():
    shipped = cells(name="cells-crossed:recall-lookup")
    finding = found((WEIGHTS, 2, 2.5), prompts=replace(shipped, name="mine.jsonl"))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "mine.jsonl has no second set" in why(finding)


def test_the_interval_of_an_auc_ends_at_one():
    aucs = np.array([1.0, 0.7, 1.0, 0.7])
    low, high = separation_evidence(Separated(0, aucs, aucs), RETRIEVAL, RULE).effect.interval
    assert low < aucs.mean()
    assert high == 1.0


def test_twins_that_have_it_too_refute_it():
    effect = (WEIGHTS, 2, 2.5)
    finding = found(effect, twin_effects=[effect])
    assert outcome(finding) is Outcome.REFUTED
    assert [c.passed for c in finding.controls] == [False] * PLAN.twins


def test_two_questions_of_one_process_decide_nothing():
    finding = found(prompts=cells(48, "cells:recall/capital-currency"))
    assert outcome(finding) is Outcome.INCONCLUSIVE


def test_a_unit_has_no_part_in_the_direction_it_is_judged_along():
    generator = np.random.default_rng(0)

    def side(shift):
        return generator.normal(0, 0.1, (12, 1, 3)) + shift

    # Each unit differs along an axis of its own, and nothing is shared.
    units = [
        Unit((side(np.eye(3)[at]), side(0.0)), (side(np.eye(3)[at]), side(0.0))) for at in range(3)
    ]
    assert separated(units).auc == pytest.approx(0.5, abs=0.25)
    shared = [Unit((side(1.0), side(0.0)), (side(1.0), side(0.0))) for _ in range(3)]
    assert separated(shared).auc == 1


def test_of_layers_that_separate_alike_the_one_with_the_largest_d_is_taken():
    generator = np.random.default_rng(0)

    def side(shift):
        return generator.normal(0, 0.1, (12, 3, 4)) + shift * np.array([1, 3, 2])[:, None]

    units = [Unit((side(1.0), side(0.0)), (side(1.0), side(0.0))) for _ in range(3)]
    assert separated(units).layer == 1


@pytest.mark.parametrize(
    "name", ["cells:recall/capital-currency", "cells-crossed:lookup/food-tool"]
)
def test_no_claim_is_made_about_two_questions_of_one_process(name):
    gate = process_gate(cells(48, name))
    assert not gate.met
    assert "questions of one process" in gate.reason


def test_tasks_that_differ_in_source_or_steps_may_be_judged():
    for name in ("cells:recall-lookup", "cells-crossed:lookup-reasoning", "cells"):
        assert process_gate(cells(48, name)).met
    assert process_gate(crossed_set()).met
    assert process_gate(draw_crossed("geography", 10)).met


@pytest.mark.parametrize("lacking", [{"source": ""}, {"steps": 0}])
def test_no_claim_is_made_about_tasks_that_do_not_say_what_they_ask(lacking):
    prompts = crossed_set()
    items = (replace(prompts.items[0], **lacking), *prompts.items[1:])
    gate = process_gate(replace(prompts, items=items))
    assert not gate.met
    assert "made-crossed does not say where the answers of recall and reasoning come" in gate.reason
    assert "columns source and steps" in gate.reason
