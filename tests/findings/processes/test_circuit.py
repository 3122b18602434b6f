"""h5 on processes: a circuit is found on some relations and judged on other ones."""

import zlib

import numpy as np
import pytest

from harness.findings.processes.circuit import CircuitRule, Parts, rows_of_cells
from harness.findings.processes.circuit_finding import (
    named_circuit_finding,
    process_circuit_finding,
)
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL, cell_of
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Outcome
from tests.support.judging import evidence, finding_of, outcome, why
from tests.support.made_cells import cells
from tests.support.planted_circuits import Planted

RULE = CircuitRule(doses=(1 / 16, 1 / 8, 1 / 4), target=0.5, margin=0.1, alpha=0.05, draws=20)
PLAN = Plan(seed=0, items=100, resamples=199)
A, B, LATE = ("head", 1, 2), ("head", 2, 0), ("head", 3, 1)
N, M = ("neuron", 1, 3), ("neuron", 2, 5)


def found(costs, process=RETRIEVAL, kind="head", prompts=None, **planted):
    subject = Planted(costs=costs, **planted)
    study = Study(subject, prompts or cells(100), PLAN)
    return finding_of(process_circuit_finding, study, kind, process, RULE, gate=0.6)


def by_cell(**places):
    return lambda item: places.get(cell_of(item), {})


@pytest.mark.parametrize(("kind", "place"), [("head", A), ("neuron", N)])
@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_a_circuit_that_serves_a_process_in_all_relations_is_found(kind, place, process):
    finding = found(by_cell(**{process.cells[0]: {place: 0.8}}), process, kind)
    assert (outcome(finding), why(finding)) == (Outcome.SUPPORTED, "every requirement holds")
    assert place[1:] in [(c.layer, c.index) for c in finding.components]
    assert (finding.severity.supported, finding.severity.contrasts) == (0, RULE.draws)
    assert evidence(finding, "lost").effect.value == pytest.approx(1, abs=0.1)
    samples = finding.samples[evidence(finding, "lost").name]
    assert set(samples) == {
        i.relation for i in Parts.of(Study(Planted(), cells(100), PLAN)).judging.items
    }
    # Their mean is the effect, so that two releases are compared on the share that is judged.
    lost = evidence(finding, "lost").effect.value
    assert np.mean(list(samples.values())) == pytest.approx(lost, abs=0.02)


@pytest.mark.parametrize(
    ("other", "heights"),
    [
        ({"recall": {B: 0.3}, "lookup": {B: -0.5}, "reasoning": {B: -0.5}}, {}),
        ({"recall": {B: 0.8}, "lookup": {B: 0.2}, "reasoning": {B: 0.2}}, {"recall": 0.25}),
    ],
    ids=["what others gain", "nats that all cells lose"],
)
def test_the_search_ranks_components_as_circuits_are_judged(other, heights):
    """B would come first by the difference of shares; recall alone needs A."""
    costs = by_cell(**{**other, "recall": {**other["recall"], A: 0.5}})
    subject = Planted(costs, height=lambda item: heights.get(cell_of(item), 1.0))
    study = Study(subject, cells(100), PLAN)
    search = Search(study, "head", Parts.of(study).selection, RULE)
    rows = rows_of_cells(search.prompts, "recall")
    own, *others = (search.mean_cost(of) for of in rows)
    shares = own - np.max(others, axis=0)
    assert shares[B[1:]] > shares[A[1:]]
    assert search.ranking(rows).members[0] == A[1:]


def test_a_circuit_that_serves_the_relations_it_was_found_on_alone_is_no_process():
    searched = {i.relation for i in Parts.of(Study(Planted(), cells(100), PLAN)).selection.items}

    def costs(item):
        here = cell_of(item) == "recall" and item.relation in searched
        return {A: 0.8} if here else {B: 0.8} if cell_of(item) == "recall" else {}

    finding = found(costs)
    assert finding.severity is None
    assert not any(e.key == "selective" for e in finding.evidence)
    assert any("other circuits" in note and "were not measured" in note for note in finding.notes)
    assert next((c.layer, c.index) for c in finding.components) == A[1:]
    assert outcome(finding) is Outcome.REFUTED
    assert evidence(finding, "lost").effect.value == pytest.approx(0, abs=0.1)


def test_a_circuit_that_all_cells_need_is_refuted():
    both = by_cell(recall={A: 0.8}, lookup={A: 0.6}, reasoning={A: 0.6})
    finding = found(both)
    assert outcome(finding) is Outcome.REFUTED


def test_a_circuit_of_recall_that_lookup_needs_too_is_no_circuit_of_retrieval():
    finding = found(by_cell(recall={A: 0.8}, lookup={A: 0.5}))
    assert outcome(finding) is Outcome.REFUTED


def test_a_part_that_all_cells_share_does_not_hide_the_circuit_behind_it():
    """LATE costs recall most, also beyond lookup, but no circuit that holds it spares lookup."""
    finding = found(by_cell(recall={A: 0.42, B: 0.42, LATE: 0.6}, lookup={LATE: 0.15}))
    assert {(c.layer, c.index) for c in finding.components} == {A[1:], B[1:]}
    assert "those last that cost another cell much" in finding.notes[0]
    assert outcome(finding) is Outcome.SUPPORTED


def test_gains_do_not_pay_for_answers_that_are_lost():
    """Without A every second answer to lookup becomes wrong, and the others gain more."""
    prompts = cells(100)
    asked = [item.id for item in prompts.items if cell_of(item) == "lookup"]

    def costs(item):
        if cell_of(item) == "lookup":
            return {A: (1.5, -3.0)[asked.index(item.id) % 2]}
        return {A: 0.8} if cell_of(item) == "recall" else {}

    finding = found(costs, prompts=prompts)
    assert evidence(finding, "spared.lookup").passed
    assert evidence(finding, "kept.lookup").effect.value > 0.2
    assert evidence(finding, "kept.lookup").failed
    assert evidence(finding, "kept.reasoning").effect.value == 0
    assert outcome(finding) is Outcome.REFUTED


def test_a_share_of_no_loss_is_undefined_and_refutes_nothing():
    """Some neurons hold back what others say, so that all together cost recall nothing."""
    finding = found(by_cell(recall={N: 0.8, M: -1.0}), kind="neuron")
    assert np.isnan(evidence(finding, "lost").effect.value)
    assert outcome(finding) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("named", "comes_out"), [([A], Outcome.SUPPORTED), ([B, LATE], Outcome.REFUTED)]
)
def test_components_that_a_claim_names_are_judged_as_those_that_are_found(named, comes_out):
    study = Study(Planted(costs=by_cell(recall={A: 0.8}, reasoning={B: 0.8})), cells(100), PLAN)
    members = [place[1:] for place in named]
    finding = named_circuit_finding(study, "head", members, RETRIEVAL, RULE, gate=0.6)
    assert outcome(finding) is comes_out
    assert [(c.layer, c.index) for c in finding.components] == members
    assert "those that the claim names" in finding.notes[0]


def test_components_that_the_model_lacks_cannot_be_named():
    study = Study(Planted(), cells(100), PLAN)
    for members, words in (([(0, 99)], r"\(0, 99\) is named as a head"), ([], "nothing is named")):
        with pytest.raises(ValueError, match=words):
            named_circuit_finding(study, "head", members, RETRIEVAL, RULE, gate=0.6)


@pytest.mark.parametrize("beside", ["lookup", ""])
def test_a_head_that_stands_in_for_the_best_one_is_found(beside):
    """Without A another head does most of the work: neither costs much alone, both cost all."""

    def joint(item):
        return 0.6 if cell_of(item) in ("recall", beside) else 0.0

    finding = found(by_cell(recall={A: 0.25}), joint=joint, sets=([A], [LATE]))
    assert {A[1:], LATE[1:]} <= {(c.layer, c.index) for c in finding.components} or beside
    assert outcome(finding) is (Outcome.REFUTED if beside else Outcome.SUPPORTED)
    assert ("once more with L1 H2 ablated" in finding.notes[0]) is not bool(beside)


def test_a_small_loss_is_no_circuit():
    # One head of sixteen carries a tenth of what all carry.
    spread = {("head", layer, head): 0.05 for layer in range(4) for head in range(4)}
    finding = found(by_cell(recall=spread))
    assert evidence(finding, "lost").effect.value < 0.4
    assert outcome(finding) is Outcome.REFUTED


def test_all_of_next_to_nothing_is_no_circuit():
    finding = found(by_cell(recall={N: 0.04}), kind="neuron")
    assert evidence(finding, "lost").passed
    assert outcome(finding) is Outcome.REFUTED
    assert "recall lost of its own logit difference" in why(finding)


def test_noise_that_made_answers_right_by_luck_is_no_circuit():
    """Without the head right answers to reasoning lose no more than wrong ones gain."""

    def misses(item):
        return cell_of(item) == "reasoning" and zlib.crc32(item.id.encode()) % 100 < 35

    def costs(item):
        return {A: -0.9 if misses(item) else 0.35} if cell_of(item) == "reasoning" else {}

    finding = found(costs, COMPOSING, prompts=cells(400), misses=misses)
    assert evidence(finding, "lost").passed
    assert not evidence(finding, "falls").passed
    assert outcome(finding) is not Outcome.SUPPORTED


def test_a_model_in_which_nothing_matters_is_not_supported():
    assert outcome(found(lambda _: {})) is not Outcome.SUPPORTED


def test_the_search_never_sees_what_it_is_judged_on():
    parts = Parts.of(Study(Planted(), cells(100), PLAN))
    of = [
        (
            {i.relation for i in p.items},
            {i.split for i in p.items},
            {e for i in p.items for e in i.entities[:1]},
        )
        for p in (parts.selection, parts.judging)
    ]
    assert not of[0][0] & of[1][0]
    assert (of[0][1], of[1][1]) == ({"discovery"}, {"evaluation"})
    assert not of[0][2] & of[1][2]


@pytest.mark.parametrize("process", [RETRIEVAL, COMPOSING])
def test_a_model_that_misses_a_cell_is_inconclusive(process):
    finding = found(lambda _: {}, process, misses=lambda item: cell_of(item) == "lookup")
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "lookup accuracy 0.00" in why(finding)


def test_few_items_answered_right_are_inconclusive():
    few = cells(12)
    finding = found(by_cell(recall={A: 0.8}), prompts=few)
    assert outcome(finding) is Outcome.INCONCLUSIVE
