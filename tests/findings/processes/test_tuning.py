"""h10: a circuit that holds one ability alone is supported, one that others need as well is not."""

from dataclasses import replace

import numpy as np
import pytest

from harness.findings.circuits.circuits import Circuit
from harness.findings.processes.circuit import CircuitRule, Parts
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.findings.processes.tuning import Tuning, TuningRule, to_unlearn
from harness.findings.processes.tuning_finding import tuning_finding
from harness.findings.sweeps import swept
from harness.interventions.interventions import INTACT
from harness.interventions.steps import Steps
from harness.materials.cell_sets import draw_cells
from harness.models.specs import LoadOptions, resolve
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.planted_circuits import Planted

RULE = TuningRule(
    circuit=CircuitRule(doses=(1 / 16, 1 / 8), target=0.5, margin=0.1, alpha=0.05, draws=10),
    lost=0.5,
    steps=Steps(size=0.05, most=20, poor=0.25, good=0.75, left=0.1),
)
PLAN = Plan(seed=0, items=100, resamples=199)
A = ("head", 1, 2)


@pytest.fixture(scope="module")
def prompts():
    return draw_cells("cells@chains4-shots4-shuffled-steps2", PLAN.items, PLAN.seed)


def serving(*cells):
    """A serves these cells in all relations."""
    return lambda item: {A: 0.8} if cell_of(item) in cells else {}


def found(prompts, process, costs, **more):
    subject = Planted(costs=costs, **more)
    study = Study(subject, prompts, PLAN)
    finding = finding_of(tuning_finding, study, "head", process, RULE, gate=0.6)
    return subject, finding, *judge(finding, Criterion.CONTROLLED)


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_a_circuit_of_one_ability_is_supported(prompts, process):
    target = process.cells[0]
    subject, finding, outcome, why = found(prompts, process, serving(target))
    assert (outcome, why) == (Outcome.SUPPORTED, "every requirement holds")
    by_key = {e.key: e.effect.value for e in finding.evidence}
    assert by_key["lost"] == pytest.approx(0.8, abs=0.05)
    assert by_key["spared.lookup"] == pytest.approx(0, abs=0.05)
    assert (finding.severity.supported, finding.severity.contrasts) == (0, 10)
    parts = Parts.of(Study(subject, prompts, PLAN))
    stories = {item.relation: item.pair for item in reversed(parts.selection.items)}.values()
    asked = (item for item in parts.selection.items if item.pair in stories)
    wanted = {item.id for item in asked if cell_of(item) == target}
    first, *others = subject.tuned
    assert first == (wanted, [(1, 2)], {"like": [(1, 2)], "steps": RULE.steps})
    assert len(others) == 22  # itself on fewer stories, two sorts of ten, all parameters
    assert others[-1][1] is None
    for items, members, how in others:  # the same items, steps as long, no more than it needed
        steps = replace(RULE.steps, most=2) if members else RULE.steps
        assert (items, how) == (wanted, {"like": [(1, 2)], "steps": steps})


def test_a_circuit_that_other_abilities_need_is_refuted(prompts):
    """It looks as if it served recall alone where it is found, and does not elsewhere."""
    parts = Parts.of(Study(None, prompts, PLAN))
    elsewhere = {item.relation for item in parts.judging.items}
    also = serving("recall", "lookup")
    subject, finding, outcome, why = found(
        prompts,
        RETRIEVAL,
        lambda item: (also if item.relation in elsewhere else serving("recall"))(item),
    )
    assert outcome is Outcome.REFUTED
    assert why.startswith("lookup lost by it: 0.8")
    assert len(subject.tuned) == 1
    assert any("other circuits were not measured" in note for note in finding.notes)


def test_where_other_relations_do_not_need_the_circuit_there_is_none_to_tune(prompts):
    parts = Parts.of(Study(None, prompts, PLAN))
    here = {item.relation for item in parts.selection.items}
    subject, _, outcome, why = found(
        prompts,
        RETRIEVAL,
        lambda item: serving("recall")(item) if item.relation in here else {("head", 0, 0): 0.6},
    )
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("no circuit of retrieval to follow: without the 1 heads found, short")
    assert not subject.tuned


def test_what_cannot_be_tuned_is_inconclusive(prompts):
    fixed = "its weights are not in memory"
    subject, _, outcome, why = found(prompts, RETRIEVAL, serving("recall"), fixed=fixed)
    assert outcome is Outcome.INCONCLUSIVE
    assert why == "the heads of this model cannot be tuned: its weights are not in memory"
    assert not subject.tuned


def test_answers_of_a_tuned_model_are_never_those_of_the_model(tmp_path):
    drawn = draw_cells("cells@chains4-shots4-shuffled-steps2", 200, 0)
    compared = Parts.of(Study(None, drawn, PLAN)).compared
    first = compared.where(lambda item: "-0-" in item.id)

    def subject():
        return Subject(resolve("mini-qwen"), LoadOptions(device="cpu"), Store(tmp_path))

    def measured(subject):
        study = Study(subject, first, PLAN)
        head = Circuit("head", np.array([1]), np.array([2]))
        tuning = Tuning(study, head, to_unlearn(study, first, "recall"), RULE.steps)
        return [tuning.of(None, first, most).lost("recall") for most in (8, 0)]

    one, other = subject(), subject()
    before = swept(one, first, [INTACT]).logit_difference
    tuned, untouched = measured(one)
    assert tuned > 0.1
    assert untouched == pytest.approx(0, abs=1e-6)
    again = one.model.sweep(first.items, [()])  # of the model itself, not what was kept of it
    np.testing.assert_array_equal(again.logit_difference, before)
    assert measured(other) == [tuned, untouched]
    np.testing.assert_array_equal(swept(other, first, [INTACT]).logit_difference, before)
    assert "model" not in vars(other)
