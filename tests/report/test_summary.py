"""The opening paragraph: what steering did, in the words that the numbers carry."""

import pytest

from harness.report.summary import steering, summary
from tests.support.sample_records import sample, steered

UP, NOUGHT, DOWN = (0.5, 0.2, 0.8), (0.1, -0.2, 0.4), (-6.2, -7.5, -5.1)
ROUNDING = (-4e-5, -8e-5, -2e-6)


def said(*records):
    return " ".join(steering(records)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("reasoning", "recall", "words"),
    [
        (UP, DOWN, "it helps reasoning and hurts recall ("),
        (UP, NOUGHT, "it helps reasoning and does not move recall ("),
        (DOWN, DOWN, "it hurts both tasks ("),
        (UP, UP, "it helps both tasks ("),
        (NOUGHT, NOUGHT, "it moves neither task ("),
        (UP, ROUNDING, "it helps reasoning and does not move recall ("),
    ],
)
def test_steering_helps_hurts_or_moves_nothing_by_its_intervals(reasoning, recall, words):
    text = said(steered("mini", "refuted", reasoning, recall))
    assert f"on mini {words}reasoning " in text
    assert text.startswith("Steering towards reasoning (change of the logit difference in nats,")
    assert text.endswith("and at no loss of reasoning, is refuted on mini.")


def test_the_numbers_stand_beside_the_words():
    text = said(steered("mini", "supported", UP, DOWN))
    assert "(reasoning +0.50 [+0.20, +0.80], recall −6.20 [−7.50, −5.10])" in text


def test_models_are_told_apart_and_those_that_agree_are_taken_together():
    text = said(
        steered("a", "refuted", NOUGHT, NOUGHT),
        steered("b", "refuted", DOWN, DOWN),
        steered("c", "supported", UP, NOUGHT),
    )
    assert "on a it moves neither task" in text
    assert "; on b it hurts both tasks" in text
    assert text.endswith("is refuted on a and on b and supported on c.")


def test_what_could_not_be_judged_says_so():
    text = said(steered("mini", "inconclusive", None, None))
    assert "on mini it was not judged" in text
    assert text.endswith("is inconclusive on mini.")


def test_a_run_without_steering_says_nothing_of_it():
    assert steering(sample()) == []
    assert summary([], [], [], []) == []
