"""Claims on processes under shuffled labels, on activations whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.calibration import processes
from harness.calibration.processes import Stage, claim_module, exchanged, shuffled_counts
from harness.findings.processes.contrasts import Questions
from harness.findings.processes.kinds import RETRIEVAL
from harness.findings.processes.measured import measure_model
from harness.findings.processes.rule import ProcessRule
from tests.support.made_cells import WEIGHTS, cells, made
from tests.support.synthetic import PLAN, study_of

RULE = ProcessRule(threshold_d=1.0, alpha=0.01, permutations=199, seed=0)
HEAD = ("heads", (2, 3, 1), WEIGHTS, 2.5)
STAGE = Stage(shuffles=10, seeds=1, items=200)


@pytest.fixture(scope="module")
def study():
    """A model of which one head serves retrieval."""

    def make(prompts, twin):
        return made(prompts, HEAD, seed=100 + (twin or 0))

    return study_of(make, cells(), replace(PLAN, items=200))


@pytest.fixture(scope="module")
def retrieval(study):
    return measure_model(study, "head", RETRIEVAL, RULE, needed=(1, 16), gate=0.6)


def test_a_head_that_is_there_is_gone_under_shuffled_labels(retrieval):
    assert retrieval.model.count == 1
    assert shuffled_counts(retrieval, 10) == [0] * 10


def test_labels_are_exchanged_by_block_and_never_lost(retrieval):
    items = retrieval.study.prompts.items
    questions = Questions.of(retrieval.contrasts.cells.values, items)
    questions = questions.rows(np.isin(questions.asked, RETRIEVAL.cells))
    asked = exchanged(questions, RETRIEVAL.cells, np.random.default_rng(0))
    moved = asked != questions.asked
    assert set(asked) == set(RETRIEVAL.cells)
    for block in np.unique(questions.block):
        assert len(set(moved[questions.block == block])) == 1
    assert 0.3 < moved.mean() < 0.7


def test_an_entry_says_what_was_counted(study, monkeypatch):
    claim = claim_module("h2")
    monkeypatch.setattr(claim, "NEEDED", (1, 16))
    entry = processes._entry(study, "head", RETRIEVAL, STAGE)
    assert (entry["count"], entry["bar"], entry["unmet"]) == (1, 1, None)
    assert (entry["shuffled"]["n"], entry["shuffled"]["count"]) == (10, 0)
    assert entry["same_process"]["n"] >= 40


def test_a_gate_that_is_not_met_is_said_and_nothing_is_counted(study):
    few = replace(study.prompts.where(lambda item: item.relation == "capital"), name="mine")
    entry = processes._entry(replace(study, prompts=few), "head", RETRIEVAL, STAGE)
    assert "relations" in entry["unmet"]
    assert (entry["count"], entry["shuffled"], entry["same_process"]) == (None, None, None)


def test_the_rules_are_those_of_the_claims():
    assert claim_module("h2").THRESHOLD_D == 1.0
    assert claim_module("h2") is claim_module("h2")
    assert claim_module("h5").rule.doses


def test_an_interval_of_an_auroc_holds_it_and_narrows_with_more_components():
    generator = np.random.default_rng(0)
    widths = []
    for count in (10, 1000):
        positive = np.arange(count) < count // 2
        score = generator.normal(size=count) + positive
        low, high = stats.auroc_interval(score, positive)
        auroc = stats.recovery(score, positive, positive).auroc
        assert 0 <= low < auroc < high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_an_auroc_without_an_overlap_is_certain():
    positive = np.array([True, True, False, False])
    assert stats.auroc_interval(np.array([3.0, 2.0, 1.0, 0.0]), positive) == (1.0, 1.0)


def test_the_interval_of_an_auroc_covers_the_truth():
    generator, covered = np.random.default_rng(1), 0
    truth = 0.7602  # of two normals of SD 1, one standard deviation apart
    for _ in range(100):
        positive = np.arange(120) < 40
        low, high = stats.auroc_interval(generator.normal(size=120) + positive, positive)
        covered += low < truth < high
    assert covered >= 88
