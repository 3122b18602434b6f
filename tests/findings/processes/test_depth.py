"""h6 on processes: the depth of retrieval and of composing, on models whose costs are known."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from harness import stats
from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.depth import (
    PROCESSES,
    _jackknife_half_width,
    process_depth_finding,
)
from harness.findings.processes.kinds import cell_of
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Outcome
from tests.support.judging import evidence, finding_of, outcome, why
from tests.support.made_cells import cells
from tests.support.planted_circuits import Planted, facts_set, heads, neurons, with_size

PLAN = Plan(seed=0, items=100, resamples=199)
RULE = CircuitRule(doses=(1 / 12, 1 / 6), target=0.5, margin=0.1, alpha=0.05, draws=20)
LAYERS = 6
EARLY, LATE = {0: 0.3, 1: 0.4}, {4: 0.4, 5: 0.3}  # share lost without a head, by layer


def planted(recall=None, reasoning=None, lookup=None, *, layers=LAYERS, of=heads, **options):
    """Each cell loses these shares without a component of its own in these layers."""
    each = {"recall": recall, "reasoning": reasoning, "lookup": lookup}

    def costs(item):
        at = list(each).index(cell_of(item)) if cell_of(item) in each else 0
        own = each.get(cell_of(item)) or {}
        own = own(item) if callable(own) else own
        return dict(zip(of(*((layer, at) for layer in own)), own.values(), strict=True))

    return with_size(Planted(costs, **options), layers, 4, 4)


def found(subject, prompts=None, plan=PLAN):
    study = Study(subject, prompts or cells(100), plan)
    return finding_of(process_depth_finding, study, RULE, least=0.05, beyond=0.5, gate=0.6)


def decision(finding):
    """What the interval says about the difference of depths."""
    e = evidence(finding, "difference")
    return stats.decided(*e.effect.interval, e.threshold, e.relation)


def searched():
    """Relations that circuits are found on."""
    return sorted({item.relation for item in cells(100).items})[::2]


@pytest.mark.parametrize("of", [heads, neurons])
def test_retrieval_planted_before_composing_is_supported(of):
    finding = found(planted(EARLY, LATE, of=of))
    assert (outcome(finding), why(finding)) == (Outcome.SUPPORTED, "every requirement holds")
    difference = evidence(finding, "difference")
    assert difference.effect.value == pytest.approx(4.43 - 0.57, abs=0.1)
    assert difference.threshold == pytest.approx(0.3)
    assert (difference.n, evidence(finding, "beyond").n) == (8, len(PROCESSES) * RULE.draws)
    units = finding.samples[difference.name]
    assert not set(units) & set(searched())
    assert np.mean(list(units.values())) == pytest.approx(difference.effect.value, abs=0.1)
    assert [p.title for p in finding.plots] == [
        "where the circuits act",
        "patching from the counterfactual prompt",
    ]


def test_heads_and_neurons_make_one_circuit():
    def costs(item):
        own = {
            "recall": {**dict.fromkeys(heads((0, 0)), 0.2), **dict.fromkeys(neurons((2, 0)), 0.2)}
        }
        return (own | {"reasoning": dict.fromkeys(heads((5, 1)), 0.4)}).get(cell_of(item), {})

    finding = found(with_size(Planted(costs), LAYERS, 4, 4))
    assert evidence(finding, "difference").effect.value == pytest.approx(4, abs=0.2)


def test_what_every_cell_loses_is_no_part_of_a_process():
    """Layer 2 costs every cell: a whole layer's loss would say that both processes lie there."""

    def costs(item):
        own = {"recall": heads((0, 0)), "reasoning": heads((5, 1))}.get(cell_of(item), [])
        return dict.fromkeys(heads((2, 2)), 2.0) | dict.fromkeys(own, 0.3)

    finding = found(with_size(Planted(costs), LAYERS, 4, 4))
    assert evidence(finding, "difference").effect.value == pytest.approx(5, abs=0.2)


def test_heads_that_only_hamper_the_other_cells_are_no_circuit_of_retrieval():
    """Without those of layer 1 lookup and reasoning are better, and recall is as it was."""

    def costs(item):
        hampered = dict.fromkeys(heads((1, 0), (1, 1)), -0.3) if cell_of(item) != "recall" else {}
        own = dict.fromkeys(heads((5, 1)), 0.6) if cell_of(item) == "reasoning" else {}
        return hampered | own

    finding = found(with_size(Planted(costs), LAYERS, 4, 4))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "not clearly by a loss of its own" in why(finding)


def test_heads_that_cost_every_cell_as_many_nats_are_no_circuit_of_composing():
    def height(item):
        return 0.4 if cell_of(item) == "reasoning" else 1.0

    def costs(item):
        own = dict.fromkeys(heads((0, 0), (1, 0)), 0.3) if cell_of(item) == "recall" else {}
        return own | dict.fromkeys(heads((4, 1), (5, 1)), 0.15 / height(item))

    finding = found(with_size(Planted(costs, height=height), LAYERS, 4, 4))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "the circuit of composing costs" in why(finding)


def test_retrieval_planted_after_composing_is_refuted():
    finding = found(planted(LATE, EARLY))
    assert decision(finding) is stats.Decision.FAILED
    assert outcome(finding) is Outcome.REFUTED


def test_processes_at_one_depth_are_refuted():
    finding = found(planted(EARLY, EARLY))
    assert decision(finding) is stats.Decision.FAILED
    assert outcome(finding) is Outcome.REFUTED


def test_a_difference_below_five_percent_of_the_depth_is_not_enough():
    finding = found(planted({1: 0.5, 2: 0.2}, {1: 0.4, 2: 0.25}, spread=0.002))
    assert 0.05 < evidence(finding, "difference").effect.value < 0.3
    assert decision(finding) is stats.Decision.FAILED


def test_a_difference_within_those_of_one_process_in_other_questions_is_not_supported():
    """Each relation is recalled in another layer: halves of them lie apart as well."""

    def somewhere(item):
        return {zlib.crc32(item.relation.encode()) % LAYERS: 0.5}

    finding = found(planted(somewhere, LATE, spread=0.002))
    assert evidence(finding, "beyond").state == "undecided"
    assert outcome(finding) is not Outcome.SUPPORTED


def test_circuits_whose_order_is_the_reverse_where_they_were_found_are_not_supported():
    early, late = {0: 0.5, 5: 0.2}, {0: 0.2, 5: 0.5}

    def turned(item):
        return item.relation in searched()

    finding = found(
        planted(
            lambda item: late if turned(item) else early,
            lambda item: early if turned(item) else late,
            spread=0.002,
        )
    )
    assert evidence(finding, "difference").passed
    beyond = evidence(finding, "beyond")
    assert beyond.effect.value < -1
    assert beyond.failed
    assert outcome(finding) is Outcome.REFUTED


def test_the_interval_of_a_mean_by_the_jackknife_is_students():
    values = np.random.default_rng(0).normal(0, 2, 8)
    left_out = (values.sum() - values) / 7
    student = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert _jackknife_half_width(left_out) == pytest.approx((student.high - student.low) / 2)


def test_circuits_of_the_relations_they_were_found_on_have_no_depth():
    def only(own):
        return lambda item: own if item.relation in searched() else {}

    finding = found(planted(only(EARLY), only(LATE), spread=0.0))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "in the relations it is judged on" in why(finding)


def test_a_circuit_that_reads_the_text_has_no_depth_of_composing():
    nearly = {layer: 0.8 * share for layer, share in LATE.items()}

    def reads():
        return dict(zip(heads(*((layer, 1) for layer in LATE)), nearly.values(), strict=True))

    subject = planted(EARLY, LATE)
    own = subject.costs
    mixed = replace(subject, costs=lambda i: reads() if cell_of(i) == "lookup" else own(i))
    finding = found(mixed)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "its depth may be that of reading" in why(finding)


def test_one_process_alone_has_no_difference_of_depth():
    finding = found(planted(EARLY, spread=0.0))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "the circuit of composing costs reasoning 0.00 of the logit difference" in why(finding)


def test_equal_depths_are_hardly_ever_called_different():
    even = {2: 0.3, 3: 0.3}
    alike = [found(planted(even, even, spread=0.4, seed=seed)) for seed in range(10)]
    assert not any(outcome(each) is Outcome.SUPPORTED for each in alike)


@pytest.mark.parametrize("seed", range(5))
def test_a_process_within_the_noise_is_not_supported(seed):
    finding = found(planted(EARLY, spread=0.4, seed=seed))
    assert outcome(finding) is not Outcome.SUPPORTED


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (
            cells(48, "cells-crossed:recall-lookup"),
            "no prompts of reasoning (source context, steps",
        ),
        (facts_set(), "give the columns source, steps and relation"),
    ],
)
def test_materials_without_the_three_cells_are_inconclusive(prompts, said):
    finding = found(planted(EARLY, LATE), prompts)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert said in why(finding)


def test_too_few_relations_are_inconclusive():
    names = sorted({item.relation for item in cells(100).items})[:7]
    few = replace(cells(100).where(lambda item: item.relation in names), name="few")
    assert outcome(found(planted(EARLY, LATE), few)) is Outcome.INCONCLUSIVE


def test_a_model_that_misses_a_cell_is_inconclusive():
    finding = found(planted(misses=lambda item: cell_of(item) == "lookup"))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "lookup accuracy 0.00" in why(finding)


def test_a_model_of_one_layer_has_no_order():
    finding = found(planted({0: 0.5}, layers=1))
    assert why(finding) == "the model has 1 layer: there is no order of layers"
