"""h11: a circuit that carries a process lifts its answer, one that is only needed does not."""

from dataclasses import replace

import numpy as np
import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.findings.processes.other_names import of_another_name
from harness.findings.processes.transfer import asked_otherwise, transfer_finding
from harness.materials.cell_sets import draw_cells
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.planted_circuits import Planted, heads

RULE = CircuitRule(doses=(1 / 16, 1 / 8, 1 / 4), target=0.5, margin=0.1, alpha=0.05, draws=20)
PLAN = Plan(seed=0, items=200, resamples=199)
A = ("head", 1, 2)
CROSSED = COMPOSING.cells[::-1]
EVERY = heads(*((layer, head) for layer in range(4) for head in range(4)))
OTHERS = dict.fromkeys((place for place in EVERY if place != A), 0.2)


@pytest.fixture(scope="module")
def prompts():
    return draw_cells("cells@chains4-shots4-shuffled-steps2", PLAN.items, PLAN.seed)


def found(prompts, process, moves, back=OTHERS, renamed=None, kind="head", **options):
    """A is needed for the process; patching moves what is stated by component, in shares."""

    def costs(item):
        if item.counterfactual_prompt and item.label:  # what is moved is gained
            there = moves if cell_of(item) == "lookup" else back
            if renamed is not None and about_another_name(item):
                there = renamed
            return {place: -share for place, share in there.items()}
        return {A: 0.8} if cell_of(item) == process.cells[0] else {}

    study = Study(Planted(costs=costs, **options), prompts, PLAN)
    finding = finding_of(transfer_finding, study, kind, process, RULE, gate=0.6)
    return finding, *judge(finding, Criterion.CONTROLLED)


def about_another_name(item):
    """Whether an item's counterfactual differs in more than the label."""
    one, other = item.prompt, item.counterfactual_prompt
    return len(one) != len(other) or sum(a != b for a, b in zip(one, other, strict=True)) > 1


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_a_circuit_that_carries_the_process_is_supported(prompts, process):
    finding, outcome, why = found(prompts, process, {A: 2.0})
    assert (outcome, why) == (Outcome.SUPPORTED, "every requirement holds")
    assert finding.evidence[0].effect.value == pytest.approx(1, abs=0.05)
    assert (finding.severity.supported, finding.severity.contrasts) == (0, RULE.draws)


def test_a_component_that_reads_the_label_carries_no_process(prompts):
    _, outcome, why = found(prompts, RETRIEVAL, {A: 2.0}, back={A: 2.0})
    assert outcome is Outcome.REFUTED
    assert why.startswith("the other way, from recall to lookup, moved by them")


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_a_component_that_says_which_process_is_asked_for_carries_nothing_of_it(prompts, process):
    """It moves the answer to the question of the prompt, and not that about another name."""
    _, outcome, why = found(prompts, process, {A: 2.0}, renamed=OTHERS | {A: -0.5})
    assert outcome is Outcome.REFUTED
    assert why.startswith(f"from {process.target} about another name, moved by them")


def test_where_no_other_name_can_be_asked_about_it_is_left_open(prompts):
    """Donors are not answered right: then it is not known what they carry."""

    def misses(item):
        return item.label > 0 and item.prompt == item.counterfactual_prompt

    finding, outcome, why = found(prompts, RETRIEVAL, {A: 2.0}, misses=misses)
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("undecided: from recall about another name, moved by them: not defined")
    renamed = next(e for e in finding.evidence if e.key == "renamed")
    assert renamed.effect.method.startswith("in 0 relations recall can be asked about another")


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_another_name_is_asked_about_in_the_same_story(prompts, process):
    own, pair = process.target, "-".join(process.cells if process is RETRIEVAL else CROSSED)
    drawn = draw_cells(f"cells-crossed:{pair}@chains4-shots4-shuffled-steps2", PLAN.items, 0)
    study = Study(Planted(longest=6), prompts, PLAN)
    relations = {item.relation for item in drawn.items}
    same = asked_otherwise(replace(study, prompts=drawn), process, relations)
    before = {item.id: item for item in same.items}
    others = of_another_name(study, same, own).items
    assert len(others) > len(same) / 3
    for item in others:
        old = before[item.id]
        assert item.prompt == old.prompt
        assert item.answer != old.answer
        assert old.answer in item.distractors
        lines = [each.counterfactual_prompt.split("\n") for each in (old, item)]
        (changed,) = [two for two in zip(*lines, strict=True) if two[0] != two[1]]
        assert changed[1] not in lines[1][:-3]  # it is not solved before
        names = [
            next(w for w in line.split() if w not in other)
            for line, other in ((changed[0], changed[1]), (changed[1], changed[0]))
        ]
        assert len({len(name.rstrip("?")) > 6 for name in names}) == 1


def test_a_share_of_no_movement_is_undefined_and_no_requirement_is_met_by_it(prompts):
    """The other way all components move the answer down, and A moves it up: a share of nothing."""
    back = {A: 0.5} | dict.fromkeys(OTHERS, -0.2)
    finding, outcome, _ = found(prompts, RETRIEVAL, {A: 2.0}, back=back)
    assert np.isnan(next(e for e in finding.evidence if e.key == "back").effect.value)
    assert outcome is Outcome.INCONCLUSIVE


def test_a_circuit_that_is_needed_and_carries_nothing_is_refuted(prompts):
    finding, outcome, why = found(prompts, RETRIEVAL, OTHERS)
    assert outcome is Outcome.REFUTED
    assert why.startswith("from lookup to recall, moved by the retrieval heads")
    assert any(
        "other circuits, the other way and another name were not measured" in note
        for note in finding.notes
    )


def test_where_patching_everything_moves_nothing_nothing_is_said(prompts):
    _, outcome, why = found(prompts, RETRIEVAL, {})
    assert outcome is Outcome.INCONCLUSIVE
    assert "patching all components moves the answer by" in why


def test_a_model_that_follows_no_label_cannot_show_it(prompts):
    subject = Planted(costs=lambda _: {A: 0.8}, misses=lambda item: bool(item.label))
    study = Study(subject, prompts, PLAN)
    finding = finding_of(transfer_finding, study, "head", RETRIEVAL, RULE, gate=0.6)
    assert "does not answer the crossed prompts" in judge(finding, Criterion.CONTROLLED)[1]


def test_patched_prompts_differ_in_the_label_alone():
    drawn = draw_cells("cells-crossed:recall-lookup@chains4-shots4-shuffled-steps2", 24, 0)
    study = Study(Planted(), drawn, PLAN)
    asked = asked_otherwise(study, RETRIEVAL, {item.relation for item in drawn.items}).items
    assert asked
    for item in asked:
        one, other = item.prompt, item.counterfactual_prompt
        assert [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b] == [
            len(one) - 2
        ]
        assert item.answer not in item.distractors
        assert len(item.distractors) == 2  # of four: neither question's answer
    assert {item.split for item in asked} == {"evaluation"}
    assert np.unique([cell_of(item) for item in asked]).tolist() == ["lookup"]
