"""The manipulation check of steering: does the direction act on the prompts it was fitted on."""

from dataclasses import replace

import pytest

from harness.findings.steering.manipulation import manipulation_gates, other_answers
from harness.findings.steering.selection import SteeringStudy
from harness.interventions.interventions import ADD
from harness.materials.cell_sets import draw_cells
from harness.materials.items import EVALUATION, PromptSet
from tests.support.steering_toy import RULE, by_nothing, ruined, study
from tests.support.synthetic import crossed_set, plain_set


def answered(prompts: PromptSet) -> PromptSet:
    """Each task has an answer of its own; the other one's is among the wrong ones."""
    other = {"recall": "two", "reasoning": "one"}
    items = tuple(
        replace(i, answer={"recall": "one"}.get(i.task, "two"), distractors=(other[i.task], "no"))
        for i in prompts.items
    )
    return replace(prompts, items=items)


CROSSED = answered(crossed_set(80))


def lifts(here):
    """The further towards reasoning, the more likely its answer."""
    return here.along


def gates(law, prompts=CROSSED, sign=1):
    steering = SteeringStudy.fit(study(law, prompts), RULE)
    return manipulation_gates(steering, steering.along(ADD, (0,), sign))


def test_a_direction_that_lifts_the_other_answer_acts():
    (gate,) = gates(lifts)
    assert gate.met
    assert "ask for recall" in gate.reason
    assert "the answer of reasoning" in gate.reason


@pytest.mark.parametrize(("law", "sign"), [(by_nothing, 1), (ruined, 1), (lifts, -1)])
def test_what_leaves_ruins_or_lowers_the_answers_does_not_act(law, sign):
    (gate,) = gates(law, sign=sign)
    assert not gate.met
    assert "does not act on the prompts it was fitted on" in gate.reason


def test_the_other_answer_stands_against_those_of_neither_question():
    found = other_answers(CROSSED, 3)
    assert len(found.pairs) == 3
    assert {(i.task, i.split, i.answer) for i in found.items} == {("recall", EVALUATION, "two")}
    assert {i.distractors for i in found.items} == {("no",)}


def test_the_other_answer_is_that_of_the_same_prompt_with_the_other_label():
    prompts = draw_cells("cells-crossed:lookup-reasoning", 12, 3000)
    answers = {item.prompt: item.answer for item in prompts.items}
    found = other_answers(prompts, 20).items
    assert len({item.premises for item in found}) > len({item.pair for item in found})
    for item in found:
        before, _, _ = item.prompt.rpartition(str(item.label))
        assert item.answer == answers[f"{before}{3 - item.label}:"]


def test_questions_with_one_answer_say_nothing():
    same = replace(CROSSED, items=tuple(replace(i, answer="yes") for i in CROSSED.items))
    assert not other_answers(same, 3).items
    assert not gates(lifts, same)[0].met


def test_a_direction_of_plain_prompts_has_no_such_check():
    assert gates(lifts, answered(plain_set(80))) == ()
