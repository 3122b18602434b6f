"""Answers after their prompts: the last line of a prompt stands for all of it."""

import pytest

from harness.adapter.encoding import Encoder
from harness.materials.cell_sets import draw_cells
from tests.support.material_checks import load_tokenizer

SETS = ("cells@chains4-shots4-shuffled-steps2", "cells-crossed:recall-lookup", "cells")


@pytest.mark.parametrize("name", ["embedded", "qwen2.5", "llama-3.1", "gpt2"])
@pytest.mark.parametrize("chat", [False, True], ids=["", "chat"])
def test_an_answer_has_the_tokens_that_it_has_in_the_whole_text(name, chat):
    tokenizer = load_tokenizer(name)
    if chat and not tokenizer.chat_template:
        pytest.skip("it has no chat template")
    encoder, joint = Encoder(tokenizer, chat=chat), "" if chat else " "
    items = [item for drawn in SETS for item in draw_cells(drawn, 4, 0).items[:12]]
    words, prompts = [[i.answer, *i.distractors] for i in items], encoder.ids(items)
    found = encoder.continuations(items, prompts, words)
    for item, prompt, of, row in zip(items, prompts, words, found, strict=True):
        for word, ids in zip(of, row, strict=True):
            [whole] = encoder._encode([encoder.text(item) + joint + word])
            assert [*prompt, *ids] == whole
