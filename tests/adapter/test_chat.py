"""Solved questions are turns of a chat, and positions are found in it."""

from itertools import pairwise

import numpy as np
import pytest

from harness.adapter import LoadOptions, Model
from harness.adapter.checks import PrefixCheck
from harness.adapter.positions import PositionMasks
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.models.specs import resolve
from tests.support import tiny_models
from tests.support.tiny_models import largest_difference

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content | trim }} <end>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
SINGLE = draw_cells("cells", 6).items
CROSSED = draw_cells("cells-crossed:recall-reasoning", 3).items
ITEMS = (*SINGLE[:8], *CROSSED[:8])


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("chat"), "qwen2")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu", chat_template=True))


@pytest.mark.parametrize("item", [SINGLE[0], CROSSED[0]], ids=["single", "crossed"])
def test_demonstrations_are_turns_with_the_story_in_the_first(chat, item):
    *before, last = item.messages
    story, first = before[0].split("\n", 1)
    assert story == item.premises[0].split("\n")[0]
    assert first.startswith("Question")
    assert before[1::2] == [answer for _, answer in item.turns]
    assert len(before) == 2 * 3
    assert item.question in last
    assert story not in last
    roles = ["user", "assistant"] * 3 + ["user"]
    text = "".join(f"<{r}> {m} <end>\n" for r, m in zip(roles, item.messages, strict=True))
    assert chat.encoder.text(item) == f"{text}<assistant> "


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_turns_are_the_prompt(item):
    *before, last = item.messages
    solved = "".join(f"{q} {a}\n" for q, a in zip(before[::2], before[1::2], strict=True))
    assert solved + last == item.prompt


def test_turns_are_part_of_the_address():
    prompts = draw_cells("cells", 6)
    without = prompts.where(lambda _: True)
    assert without.hash == prompts.hash
    assert all(item.to_json()["turns"] for item in prompts.items)


def test_without_demonstrations_the_prompt_is_one_message():
    for item in draw_cells("cells", 6, difficulty=Difficulty(shots=0)).items:
        assert item.messages == (item.prompt,)


def test_positions_are_found_in_the_turns(chat):
    encoder = chat.encoder
    ids = encoder.ids(ITEMS)
    texts = [encoder.text(item) for item in ITEMS]
    offsets = encoder.offsets(texts)
    masks = PositionMasks(encoder, ITEMS, ids)
    for number, item in enumerate(ITEMS):
        text, spans = texts[number], offsets[number]
        at = np.flatnonzero(masks.of("subject")[number])[-1]
        left, right = spans[at]
        assert item.entities[0].endswith(text[left:right].strip())
        assert text.rfind(item.question) < left < len(text)
        inside = masks.of("premises")[number]
        read = "".join(text[a:b] for (a, b), is_in in zip(spans, inside, strict=True) if is_in)
        assert "".join(read.split()) == "".join("".join(item.messages[:-1]).split())
        assert not any(is_in for is_in, (a, _) in zip(inside, spans, strict=True) if a >= left)


def test_turns_share_a_prefix(chat):
    apart = Model(chat.spec, chat.options, chat.engine, chat.tokenizer)
    apart.batcher.prefix_check = PrefixCheck(np.zeros(2), np.inf)
    trees = chat.batcher.trees(chat.encoder.ids(ITEMS))
    assert len(trees) < len(ITEMS) / 2
    assert largest_difference(chat.extract(ITEMS), apart.extract(ITEMS)) < 2e-5
    assert largest_difference(chat.score(ITEMS), apart.score(ITEMS)) < 2e-5
    for one, other in pairwise(SINGLE[:3]):
        assert one.messages[:-1] == other.messages[:-1]
