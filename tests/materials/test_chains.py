"""The chains of a story, read back from its sentences, are those that were drawn."""

from dataclasses import replace

import pytest

from harness.findings.processes.kinds import cell_of
from harness.materials.cell_sets import draw_cells
from harness.materials.chains import chains_told
from harness.materials.difficulty import parse_difficulty
from harness.materials.items import MaterialsError


@pytest.mark.parametrize(
    "setting",
    ["chains3-shots3-shuffled-steps2", "chains4-shots0-told-steps3-matched"],
)
def test_every_question_is_about_a_name_of_its_answers_chain(setting):
    difficulty = parse_difficulty(setting)
    place = {"lookup": 0, "reasoning": difficulty.steps - 1}
    asked = [i for i in draw_cells(f"cells@{setting}", 96).items if cell_of(i) in place]
    assert len({item.relation for item in asked}) > 8
    for item in asked:
        chains = {chain.answer: chain.names for chain in chains_told(item, difficulty)}
        assert chains.keys() == {item.answer, *item.distractors}
        assert {len(names) for names in chains.values()} == {difficulty.steps}
        assert chains[item.answer][place[cell_of(item)]] == item.entities[0]


def test_a_story_that_does_not_tell_them_is_refused():
    difficulty = parse_difficulty("chains3-shots3-shuffled-steps2")
    item = draw_cells(f"cells@{difficulty}", 6).items[0]
    other = replace(item, premises=("Velm is a town.",))
    with pytest.raises(MaterialsError, match=r"0 names of its story lead to .*; expected 1"):
        chains_told(other, difficulty)
    with pytest.raises(MaterialsError, match="'weather' is no relation of the suite"):
        chains_told(replace(item, relation="weather"), difficulty)
