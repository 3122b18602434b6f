"""The BERT and the T5 are asked in training as the suite asks; what ships is as its card says."""

import hashlib
import json
import random
from dataclasses import replace

import pandas as pd
import pytest
import torch

from fixtures.training import cell_corpus, train_both_ways
from fixtures.training.both_ways_networks import MARKS, SHAPES, build, words_tokenizer
from fixtures.training.both_ways_texts import asked_text, padded
from fixtures.training.train import HERE
from harness.adapter import LoadOptions, Model
from harness.materials.cell_sets import draw_cells
from harness.materials.cells import DEMONSTRATED
from harness.materials.difficulty import SHUFFLED, Difficulty
from harness.models.specs import resolve
from tests.support.inner_runs import run_hypotheses

SHIPPED = sorted(name for name in SHAPES if (HERE / name).is_dir())


def begun(name):
    torch.manual_seed(0)
    tokenizer = words_tokenizer(cell_corpus.vocabulary(), SHAPES[name].kind)
    rng = random.Random(0)
    drawn = [asked_text(rng, tokenizer, cell_corpus.cell_text(rng)) for _ in range(3)]
    batch = padded(drawn, tokenizer.pad_token_id)
    return build(SHAPES[name], tokenizer, batch.ids.tolist()).eval(), tokenizer, batch


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_answer_that_is_asked_for_does_not_stand_in_the_text(name):
    tokenizer = words_tokenizer(cell_corpus.vocabulary(), SHAPES[name].kind)
    question = ("\nQuestion: Where is Rome?\nAnswer:", "")
    pieces = [question, (" Italy", "recall"), question, (" Italy", "recall")]
    ids, asked = asked_text(random.Random(0), tokenizer, pieces)
    (at,) = asked
    assert tokenizer.decode([asked[at]]) == "Italy"
    assert asked[at] not in ids
    assert tokenizer.decode([ids[at]]) == ("[MASK]" if name == "mini-bert" else "[SEP]")


@torch.no_grad()
def test_a_decoder_that_is_asked_several_things_gives_what_it_gives_to_each_alone():
    model, tokenizer, batch = begun("mini-t5")
    assert set(MARKS) & set(tokenizer.convert_ids_to_tokens(batch.ids[batch.row, batch.at]))
    together = train_both_ways.logits_of(model, batch)
    for number in range(len(batch.answers)):
        one = replace(batch, row=batch.row[[number]], at=batch.at[[number]])
        alone = train_both_ways.logits_of(model, one)
        torch.testing.assert_close(alone[0], together[number], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_answers_in_the_suite_as_its_card_says(name):
    card = json.loads((HERE / name / "card.json").read_text(encoding="utf-8"))
    weights = (HERE / name / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["weights_sha256"]
    model = Model.load(resolve(name), LoadOptions(device="cpu"))
    prompts = draw_cells("cells", 24, 78, Difficulty(4, 4, SHUFFLED))
    right = model.score(prompts.items).correct
    stated = card["accuracy_cells"]["chains4-shots4-shuffled-steps2"]
    known = [cell for cell in DEMONSTRATED if stated[cell] > 0.9]
    assert {"recall", "lookup"} <= set(known)
    for cell in known:
        asked = [item.task == cell for item in prompts.items]
        assert right[asked].mean() >= 0.85, cell


def test_a_verdict_says_in_which_stack_its_components_are(tmp_path):
    told = ("--items=64", "--chains=4", "--shots=4", "--order=shuffled")  # not found by asking
    options = ("--model=mini-t5", *told, "--twins=1", "--no-controls", "--gate=none")
    where = (f"--report={tmp_path / 'report.html'}", f"--cache-dir={tmp_path}")
    status, said = run_hypotheses(["test_h2_heads.py"], "-kheads_serve_retrieval", *options, *where)
    assert status == 0, said
    table = pd.read_parquet(tmp_path / "components.parquet")
    found = table[table.passed.eq(True)]["stack"]
    assert not found.empty
    assert found.str.startswith("encoder").all()  # no cross-attention head
    assert table["stack"].str.startswith("decoder").any()
