"""What tells tasks apart without a model."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.findings.direction import surface_baselines
from harness.findings.direction.separation import Labelled
from harness.findings.direction.surface_baselines import auc_standard_error, prompt_lengths
from tests.support.synthetic import crossed_set, null_subject, plain_set, study_of


def found(prompts):
    study = study_of(null_subject, prompts)
    baselines = surface_baselines.surface_baselines(study, Labelled.of(study.prompts))
    return {baseline.name: baseline.separation for baseline in baselines}


def test_crossed_prompts_give_nothing_away():
    rows = found(crossed_set(20))
    assert list(rows) == ["prompt length alone", "words alone", "template alone"]
    assert [row.auc for row in rows.values()] == [0.5, 0.5, 0.5]
    assert rows["prompt length alone"].interval == (0.5, 0.5)


def test_length_words_template_and_domain_are_each_found_out():
    prompts = plain_set(20)
    rows = found(prompts)
    assert rows["prompt length alone"].interval == (1, 1)
    assert rows["words alone"].auc > 0.9
    assert "domain alone" not in rows
    named = tuple(replace(i, template=i.task, domain=i.task[:3]) for i in prompts.items)
    rows = found(replace(prompts, items=named))
    assert rows["template alone"].auc == rows["domain alone"].auc == 1


def test_the_shorter_task_may_be_either():
    prompts = plain_set(20)
    other = {"recall": "reasoning", "reasoning": "recall"}
    turned = tuple(replace(i, task=other[i.task]) for i in prompts.items)
    assert found(replace(prompts, items=turned))["prompt length alone"].auc == 1


def test_a_template_of_evaluation_alone_says_nothing():
    prompts = plain_set(20)
    items = tuple(replace(i, template=f"{i.split}-{i.task}") for i in prompts.items)
    assert found(replace(prompts, items=items))["template alone"].auc == 0.5


def test_prompts_of_a_third_task_are_left_out_of_the_words():
    prompts = plain_set(20)
    third = tuple(replace(i, id=f"{i.id}-3", task="lookup") for i in prompts.items)
    more = replace(prompts, items=(*prompts.items, *third))
    assert found(more)["words alone"] == found(prompts)["words alone"]


def test_lengths_are_in_tokens():
    study = study_of(null_subject, crossed_set(3), ids=lambda item: [0] * item.label)
    assert prompt_lengths(study).tolist() == [i.label for i in study.prompts.items]


@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_the_standard_error_is_that_of_exponential_scores(ratio):
    generator = np.random.default_rng(0)
    treated = generator.exponential(ratio, (30, 4000))
    aucs = stats.auc(treated, generator.exponential(1.0, (50, 4000)))
    true = ratio / (1 + ratio)
    assert aucs.mean() == pytest.approx(true, abs=0.01)
    assert auc_standard_error(true, 30, 50) == pytest.approx(aucs.std(), rel=0.05)
    assert auc_standard_error(1.0, 20, 20) == 0
