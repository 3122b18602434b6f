"""Written steps: where they end, what they answer, and how far they are right."""

import pytest

from harness.materials.items import Item
from harness.study.steps import read, read_steps

OPTIONS = ("Italy", "France", "New York", "New York City")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" The boss of A is B.\nAnswer: Italy", 0),
        (" A.\nAnswer: Italy\nQuestion: And C?\nSteps: C.\nAnswer: France", 0),  # goes on by itself
        (" A.\n\n**Answer:** New York City.", 3),
        (" The answer is France. No.\nANSWER : Italy", 0),
        (" Answer: Italy? Let me see.\nAnswer: France", 1),  # the last one counts
        (" A.\nAnswer: Italy or France", None),
        (" A.\nAnswer: unknown", None),
        (" A.\nAnswer: Spain", None),  # an answer elsewhere, and of no chain of this story
        (" A.\nAnswer: the France", None),
        (" A. So it is Italy", None),
        (" A.\nAnswer:", None),
        ("", None),
    ],
)
def test_a_text_answers_with_what_follows_its_last_answer_sign(text, expected):
    assert read_steps(text, OPTIONS)[1] == expected


def test_steps_are_counted_up_to_the_first_that_is_missing():
    item = Item(
        *("1", "reasoning", "?", "1"),
        entities=("Ada", "Bo", "Cleo", "Italy"),
        answer="Italy",
        distractors=("France",),
    )
    texts = (
        " Ada knows Bo. Bo knows Cleo. Cleo is from Italy.\nAnswer: Italy",
        " Ada knows Bo. Bo knows Cleo. Cleo is from Italy.\nAnswer: France",
        " Ada knows Bo. Bo knows Dan. Dan is from France.\nAnswer: France",
        " Ada knows Cleo. Cleo is from Italy.\nAnswer: Italy",
        " Ada knows Bo, Cleo.",
        " Ada knows Bobby.\nAnswer: Cleo",
    )
    found = read([item] * len(texts), texts)
    assert found.steps.tolist() == [3, 3, 1, 0, 2, 0]
    assert found.right.tolist() == [1, 0, 0, 1, 0, 0]
    assert found.parsed.tolist() == [1, 1, 1, 1, 0, 0]
