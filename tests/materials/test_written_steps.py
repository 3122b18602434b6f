"""The cells with steps to write: the same questions, demonstrated with the story's sentences."""

from dataclasses import replace
from itertools import pairwise

import pytest

from harness.materials.cell_sets import draw_cells
from harness.materials.cells import DEMONSTRATED
from harness.materials.items import MaterialsError, stands_in
from harness.materials.written_steps import with_steps

SET = "cells@chains4-shots4-shuffled-steps3"


def test_steps_lead_through_the_story_from_the_name_asked_about_to_the_answer():
    drawn = draw_cells(SET, 40, 3)
    short = {item.id: item for item in drawn.items}
    made = with_steps(drawn, 40, 3)
    assert {item.task for item in made.items} == {*DEMONSTRATED}
    for item in made.items:
        before = short[item.id]
        story = item.prompt.partition("\n")[0]
        assert story == before.prompt.partition("\n")[0]
        assert item.prompt.endswith(f"\nQuestion: {before.question}\nSteps:")
        assert item.messages[-1] == f"Question: {before.question}\nSteps:"  # turns of a chat
        first, *_, last = item.entities
        assert first in item.question
        assert last == item.answer
        assert len(item.entities) == item.steps + 1
        if item.source == "context":
            told = story.replace("?", ".").split(". ")
            for one, other in pairwise(item.entities):
                assert any(stands_in(one, s) and stands_in(other, s) for s in told)
        assert len(item.turns) == len(before.turns) == 4
        for (_, solved), (_, answer) in zip(item.turns, before.turns, strict=True):
            steps, _, stated = solved.partition("\nAnswer: ")
            assert stated == answer
            sentences = [f"{s.removesuffix('.')}." for s in steps.split(". ")]
            assert answer in sentences[-1]
            assert len(sentences) == 1 or all(s in story for s in sentences)


def test_what_was_not_drawn_so_has_no_steps():
    drawn = draw_cells(SET, 16, 3)
    with pytest.raises(MaterialsError, match=r"steps to the answers of own\.csv are not known"):
        with_steps(replace(drawn, name="own.csv"), 16, 3)
    for name in ("cells-crossed:recall-lookup@", "cells:recall/capital-currency@"):
        other = draw_cells(f"{name}chains3-shots3-told-steps2", 6, 0)
        with pytest.raises(MaterialsError, match="are not known"):
            with_steps(other, 6, 0)
    strange = replace(drawn.items[0], id="strange")
    with pytest.raises(MaterialsError, match="seed 3 has no item 'strange'"):
        with_steps(replace(drawn, items=(strange,)), 16, 3)
