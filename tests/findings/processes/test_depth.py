"""h6 on processes: the depth of retrieval and of composing, on models whose costs are known."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings.processes.depth import HALVES, process_depth_finding
from harness.findings.processes.kinds import cell_of
from harness.study.plan import Plan
from harness.study.study import Study
from harness.verdicts.judge import Criterion, Outcome, judge
from tests.support.judging import finding_of
from tests.support.made_cells import cells
from tests.support.planted_circuits import Planted, facts_set, heads, with_size

PLAN = Plan(seed=0, items=100, resamples=199)
LAYERS = 6
EARLY, LATE = np.array([0.1, 0.5, 0.1, 0, 0, 0]), np.array([0, 0, 0, 0.1, 0.5, 0.1])
SHARED = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1])  # what reading the question costs every cell
NOTHING = np.zeros(LAYERS)


def planted(profile, layers=LAYERS, **options):
    """Costs by layer, in the first head of each; `profile` gives them for an item."""

    def costs(item):
        return dict(zip(heads(*((n, 0) for n in range(layers))), profile(item), strict=False))

    return with_size(Planted(costs, **options), layers, 2, 2)


def depths(recall=NOTHING, reasoning=NOTHING, lookup=NOTHING, shared=SHARED):
    """What each cell loses beyond what all lose."""
    own = {"recall": recall, "reasoning": reasoning, "lookup": lookup}
    return lambda item: shared + own.get(cell_of(item), NOTHING)


def found(subject, prompts=None):
    study = Study(subject, prompts or cells(100), PLAN)
    return finding_of(process_depth_finding, study, least=0.05, gate=0.6)


def outcome(finding):
    return judge(finding, Criterion.CONTROLLED)[0]


def why(finding):
    return judge(finding, Criterion.CONTROLLED)[1]


def evidence(finding, key):
    return next(e for e in finding.evidence if e.key == key)


def decision(finding, key):
    """What an interval says about its requirement."""
    e = evidence(finding, key)
    return stats.decided(*e.effect.interval, e.threshold, e.relation)


def test_retrieval_planted_before_composing_is_supported():
    finding = found(planted(depths(EARLY, LATE)))
    assert (outcome(finding), why(finding)) == (Outcome.SUPPORTED, "every requirement holds")
    difference = evidence(finding, "difference")
    assert difference.effect.value == pytest.approx(3, abs=0.2)
    assert difference.threshold == pytest.approx(0.3)
    assert (decision(finding, "difference"), decision(finding, "signed")) == ("held", "held")
    assert (difference.n, evidence(finding, "beyond").n) == (16, 3 * HALVES)
    units = finding.samples[difference.name]
    assert set(units) == {item.relation for item in cells(100).items}
    assert np.mean(list(units.values())) == pytest.approx(difference.effect.value, abs=0.1)
    assert [p.title for p in finding.plots] == [
        "what each layer causes",
        "patching from the counterfactual prompt",
    ]


def test_what_all_cells_lose_is_no_part_of_a_process():
    early = 8 * SHARED * (np.arange(LAYERS) == 0)
    finding = found(planted(depths(EARLY, LATE, shared=early)))
    assert evidence(finding, "difference").effect.value == pytest.approx(3, abs=0.2)


def test_retrieval_planted_after_composing_is_refuted():
    finding = found(planted(depths(LATE, EARLY)))
    assert decision(finding, "difference") is stats.Decision.FAILED
    assert outcome(finding) is Outcome.REFUTED


def test_processes_at_one_depth_are_refuted():
    finding = found(planted(depths(EARLY, EARLY)))
    assert decision(finding, "difference") is stats.Decision.FAILED
    assert outcome(finding) is Outcome.REFUTED


def test_a_difference_below_five_percent_of_the_depth_is_not_enough():
    later = np.array([0.1, 0.4, 0.2, 0, 0, 0])  # .14 layers
    finding = found(planted(depths(EARLY, later, shared=NOTHING), spread=0.002))
    assert 0.1 < evidence(finding, "difference").effect.value < 0.3
    assert decision(finding, "difference") is stats.Decision.FAILED
    assert decision(finding, "signed") is stats.Decision.HELD


def of_relation(item):
    """A layer that hangs on the relation alone."""
    return np.eye(LAYERS)[zlib.crc32(item.relation.encode()) % LAYERS]


def test_relations_at_different_depths_are_no_difference_of_process():
    finding = found(planted(lambda item: 0.5 * of_relation(item) * (cell_of(item) != "lookup")))
    assert outcome(finding) is not Outcome.SUPPORTED
    assert evidence(finding, "difference").effect.value == pytest.approx(0, abs=0.1)
    assert finding.severity.share > 0.3


def test_a_difference_within_those_of_questions_of_one_process_is_refuted():
    later = np.array([0, 0, 0.3, 0.4, 0, 0])

    def profile(item):
        return depths(EARLY, later, shared=NOTHING)(item) + 0.6 * of_relation(item)

    finding = found(planted(profile, spread=0.002))
    assert decision(finding, "difference") is stats.Decision.HELD
    assert evidence(finding, "beyond").failed
    assert outcome(finding) is Outcome.REFUTED


def test_one_process_alone_has_no_difference_of_depth():
    finding = found(planted(depths(EARLY), spread=0.0))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "the loss of layers costs reasoning not clearly more than lookup" in why(finding)


def held(finding):
    """Whether every requirement holds, those with an interval by all of it."""
    return bool(finding.evidence) and all(
        e.passed if e.effect.interval is None else decision(finding, e.key) == "held"
        for e in finding.evidence
        if e.decisive
    )


def noisy(seed, composing=1.0):
    """One depth for both; what layers cost reasoning varies wildly from item to item."""

    def profile(item):
        noise = composing if cell_of(item) == "reasoning" else 0.05
        drawn = np.random.default_rng([seed, zlib.crc32(item.id.encode())]).standard_normal(LAYERS)
        return depths(EARLY, EARLY)(item) + noise * drawn

    return planted(profile, seed=seed)


def test_equal_depths_are_hardly_ever_called_different():
    even = np.array([0.1, 0.3, 0.4, 0.3, 0.2, 0.1])
    alike = [found(planted(depths(even, even), spread=0.4, seed=seed)) for seed in range(20)]
    assert sum(map(held, alike)) <= 1
    assert sum(held(found(noisy(seed))) for seed in range(20)) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_a_process_within_the_noise_is_inconclusive(seed):
    finding = found(planted(depths(EARLY), spread=0.4, seed=seed))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "depth of composing is undefined" in why(finding)


@pytest.mark.parametrize("prompts", [cells(48, "cells-crossed:recall-lookup"), facts_set()])
def test_materials_without_the_three_cells_are_inconclusive(prompts):
    finding = found(planted(depths(EARLY, LATE)), prompts)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "give the columns source, steps and relation" in why(finding)


def test_too_few_relations_are_inconclusive():
    names = sorted({item.relation for item in cells(100).items})[:7]
    few = replace(cells(100).where(lambda item: item.relation in names), name="few")
    finding = found(planted(depths(EARLY, LATE)), few)
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "in 7 relations; 8 are needed" in why(finding)


def test_a_model_that_misses_a_cell_is_inconclusive():
    finding = found(planted(depths(), misses=lambda item: cell_of(item) == "lookup"))
    assert outcome(finding) is Outcome.INCONCLUSIVE
    assert "lookup accuracy 0.00" in why(finding)


def test_a_model_of_one_layer_has_no_order():
    finding = found(planted(lambda _: [0.5], layers=1))
    assert why(finding) == "the model has 1 layer: there is no order of layers"
