"""Claims on processes under shuffled labels, on activations whose truth is known."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from harness import stats
from harness.calibration import from_activations
from harness.calibration.claims import claim_module
from harness.calibration.from_activations import (
    activation_entries,
    components_served,
    direction_separates,
    exchanged,
)
from harness.calibration.tally import Tally, enough, said, tallied
from harness.findings.processes.contrasts import Questions
from harness.findings.processes.finding import count_evidence
from harness.findings.processes.kinds import RETRIEVAL
from harness.findings.processes.measured import measure_model, places_of_answers
from harness.findings.processes.rule import ProcessRule
from harness.verdicts.evidence import State
from tests.support.made_cells import WEIGHTS, cells, made
from tests.support.synthetic import PLAN, study_of

RULE = ProcessRule(threshold_d=1.0, alpha=0.01, permutations=199, seed=0)
HEAD = ("heads", (2, 3, 1), WEIGHTS, 2.5)


@pytest.fixture(scope="module")
def study():
    """A model of which one head serves retrieval."""

    def make(prompts, twin):
        return made(prompts, HEAD, seed=100 + (twin or 0))

    return study_of(make, cells(), replace(PLAN, items=200))


@pytest.fixture(scope="module")
def retrieval(study):
    return measure_model(study, "head", RETRIEVAL, RULE, needed=(1, 16), gate=0.6)


def test_it_is_enough_to_see_no_error_in_368_or_three_in_less_than_200():
    assert not enough(0, 367)
    assert enough(0, 368)
    assert stats.binomial_interval(0, 368)[1] < 0.01 < stats.binomial_interval(0, 367)[1]
    assert not enough(1, 368)  # goes on to the end
    assert not enough(2, 100)
    assert enough(3, 199)
    assert not enough(3, 200)


def test_counting_stops_where_it_is_enough_for_every_rule():
    states = [State.HELD, State.UNDECIDED, State.HELD, State.HELD, State.HELD]
    rules = {"errs": lambda n: states[n], "fails": lambda _: State.FAILED}
    found = tallied(range(5), rules, clean=4)
    assert found == {"errs": Tally(held=3, undecided=1), "fails": Tally(failed=4)}
    assert found["errs"].to_json()["n"] == 3
    assert found["errs"].to_json()["of_all"]["share"] == 0.75


def test_what_is_there_is_gone_under_shuffled_labels(retrieval):
    found = components_served(retrieval, 10, 1)
    assert (found["h2"].model, found["h2"].shuffled.held) == (State.HELD, 0)
    assert (found["h4"].model, found["h4"].shuffled.held) == (State.HELD, 0)
    assert found["h2"].same_process.tries == 40
    assert found["h2"].same_process.held <= 1
    assert said(found["h2"])["p"]["n"] == 10
    assert said(found["h4"])["p"] is None


def test_what_no_seed_changes_is_counted_once(retrieval):
    pairs = [*from_activations._between_questions(retrieval, 2)]
    told = [*places_of_answers(retrieval)]
    found = components_served(retrieval, 1, 2)
    for claim in ("h2", "h4"):
        assert found[claim].same_process.tries == len(pairs) == 80
        assert found[claim].told.tries == len(told) == len(RETRIEVAL.cells)
    different = {drawn.evaluation.tobytes() for drawn in (*pairs, *told)}
    assert len(different) == len(pairs) + len(told)


def test_leaving_the_test_out_where_too_few_hold_changes_nothing(retrieval):
    drawn = [*from_activations._shuffled(retrieval, 5)]
    drawn += islice(from_activations._between_questions(retrieval, 1), 5)
    quick = [from_activations.serves(retrieval, d) for d in drawn]

    def slow(found, contrast):
        decisions = found.rule.decide(contrast.discovery, contrast.evaluation)
        table = found.rule.table(found.contrasts.cells, decisions, found.process.cells)
        return count_evidence(replace(found, decisions=decisions, model=table)).state

    assert quick == [slow(retrieval, d) for d in drawn]


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


def test_a_direction_is_gone_under_shuffled_labels():
    direction = ("resid", (1, 0), WEIGHTS, 6.0)
    study = study_of(lambda p, _: made(p, direction), cells(), replace(PLAN, items=200))
    found = direction_separates(study, RETRIEVAL, 10, 1)
    assert (found.model, found.shuffled.held, found.same_process.tries) == (State.HELD, 0, 40)


def test_a_gate_that_is_not_met_is_said_and_nothing_is_counted(study):
    few = replace(study.prompts.where(lambda item: item.relation == "capital"), name="mine")
    entries = [*activation_entries(replace(study, prompts=few), 10, 1)]
    assert {entry["claim"] for entry in entries} == {"h1", "h2", "h3", "h4", "h7"}
    for entry in entries:
        assert "relations" in entry["unmet"]
        assert (entry["shuffled"], entry["same_process"]) == (None, None)


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
