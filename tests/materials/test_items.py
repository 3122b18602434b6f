"""Prompt sets are values, and crossing two questions gives nothing away."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.materials.cell_sets import OF_PROCESSES, draw_cells
from harness.materials.items import (
    Item,
    MaterialsError,
    PromptSet,
    cross,
    paired,
    put,
    subject_span,
    together,
)
from harness.materials.surface import token_balance

A = Item("a", "recall", "?", "p", entities=("France", "Paris"), question="Capital of France?")
B = Item("b", "reasoning", "?", "p", question="Who lives there?", answer="Ann")
FRAME = "{premises} 1: {first} 2: {second} Answer {label}:"


def crossed(a=A, b=B, frame=FRAME):
    return cross(a, b, frame=frame, template="t", pair="p")


def test_crossing_asks_each_question_once_in_each_place():
    items = crossed()
    assert [(i.order, i.label, i.task) for i in items] == [
        (1, 1, "recall"),
        (1, 2, "reasoning"),
        (2, 1, "reasoning"),
        (2, 2, "recall"),
    ]
    assert items[0].prompt == "1: Capital of France? 2: Who lives there? Answer 1:"
    assert items[2].prompt == "1: Who lives there? 2: Capital of France? Answer 1:"
    assert [i.id for i in items] == ["p-11", "p-12", "p-21", "p-22"]


def test_crossed_subjects_point_at_the_entity_asked_about():
    for item in crossed():
        if item.task == "recall":
            assert item.prompt[slice(*item.subject)] == "France"
        else:
            assert item.subject is None


def test_items_with_different_premises_cannot_be_crossed():
    with pytest.raises(MaterialsError, match="'a' and 'b' cannot be crossed"):
        crossed(replace(A, premises=("Ann lives in Rome.",)))


QUESTIONS = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(deadline=None)
@given(QUESTIONS, QUESTIONS)
def test_any_two_questions_cross_into_balanced_characters(first, second):
    """Whatever is in them, braces too; under a tokenizer of single characters."""
    items = crossed(replace(A, question=first), replace(B, question=second))
    balance = token_balance(items, [[ord(c) for c in i.prompt] for i in items], (A.task, B.task))
    assert (balance.tokens, balance.lengths) == (0, 0)


def test_a_frame_without_premises_keeps_no_blank():
    assert put("{premises} Q: {question}", (), question="{x}?") == "Q: {x}?"
    assert put("{premises} Q: {question}", ("A.", "B."), question="x?") == "A. B. Q: x?"


def test_a_subject_is_looked_for_in_its_question():
    prompt = "Rome is big. Where is Rome? Answer:"
    assert prompt[slice(*subject_span(prompt, "Where is Rome?", "Rome"))] == "Rome"
    assert subject_span(prompt, "Where is Rome?", "Rome") == (22, 26)
    assert subject_span(prompt, "Where is Oslo?", "Oslo") is None
    assert subject_span(prompt, "Where is Rome?", "Oslo") is None


@pytest.mark.parametrize("field", [f for f in Item.__dataclass_fields__ if f != "subject"])
def test_every_field_of_an_item_shows_in_the_hash(field):
    old = getattr(A, field)
    kinds = {str: "other", tuple: ("other",), int: 7, type(None): 1.5}
    changed = replace(A, **{field: kinds[type(old)]})
    assert PromptSet("s", (changed,)).hash != PromptSet("s", (A,)).hash


def test_the_hash_holds_name_contrast_and_order():
    hashes = {
        PromptSet("s", (A, B)).hash,
        PromptSet("s", (B, A)).hash,
        PromptSet("other", (A, B)).hash,
        PromptSet("s", (A, B), ("reasoning", "recall")).hash,
    }
    assert len(hashes) == 4
    assert PromptSet("s", (A, B)).hash == PromptSet("s", (replace(A), B)).hash


def test_a_set_counts_and_selects():
    prompts = PromptSet("s", (A, B, replace(A, id="c", pair="q", template="t")))
    assert prompts.count() == {"recall": 2, "reasoning": 1}
    assert prompts.pairs == ("p", "q")
    recall = prompts.where(lambda item: item.task == "recall", "only")
    assert (len(recall), recall.name, recall.tasks) == (2, "only", prompts.tasks)


def test_pairs_need_both_tasks():
    items = (A, B, replace(A, id="c"), replace(A, pair="q"), replace(B, task="lookup"))
    assert paired(items, ("recall", "reasoning")) == {"p": {"recall": [0, 2], "reasoning": [1]}}


def test_sets_together_are_ordered_by_pair_and_say_where_each_item_is():
    one, other = (draw_cells(f"cells-crossed:{'-'.join(two)}", 16, 0) for two in OF_PROCESSES)
    whole, rows = together([one, other])
    for each, at in zip((one, other), rows, strict=True):
        assert tuple(whole.items[row] for row in at) == each.items
    assert len(whole) == len(one) + len(other)
    changes = sum(a.pair != b.pair for a, b in pairwise(whole.items))
    assert changes == len(whole.pairs) - 1
