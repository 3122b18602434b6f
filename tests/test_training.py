"""The training script learns; what it ships is what its card says."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixtures.organisms import corpus, train
from fixtures.organisms.tokenizer import word_tokenizer

FOLDERS = {name: Path(train.HERE) / name for name in train.RECIPES}
SMALL = {"layers": 1, "heads": 2, "kv_heads": 1, "width": 32, "mlp": 32, "offsets": (1, 3)}


@pytest.mark.parametrize("name", sorted(train.RECIPES))
def test_the_loss_falls_within_a_few_steps(name):
    recipe = replace(train.RECIPES[name], **SMALL)
    settings = {"minutes": 1, "batch_size": 8, "peak_rate": 1e-1, "max_steps": 25}
    *_, losses = train.train(recipe, **settings, log=lambda _: None)
    assert len(losses) == 25
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_same_seed_trains_the_same_model():
    recipe = replace(train.RECIPES["mini-qwen"], **SMALL)
    settings = {"minutes": 1, "batch_size": 4, "peak_rate": 1e-2, "max_steps": 4}
    first, second = (train.train(recipe, **settings, log=lambda _: None)[-1] for _ in range(2))
    assert first == second


def test_a_structured_start_looks_back_by_its_offsets():
    tokenizer = word_tokenizer(corpus.vocabulary())
    model = train.build(train.RECIPES["mini-qwen"], tokenizer)
    model.set_attn_implementation("eager")
    ids, _ = corpus.batch(random.Random(0), tokenizer, 1, {"lookup": 1.0})
    pattern = model.model(input_ids=ids, output_attentions=True).attentions[0]
    for head, offset in enumerate(train.RECIPES["mini-qwen"].offsets):
        assert pattern[0, head, 40, 40 - offset] > 0.5


def card_of(name):
    return json.loads((FOLDERS[name] / "card.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_the_card_names_these_weights(name):
    weights = (FOLDERS[name] / "model.safetensors").read_bytes()
    assert card_of(name)["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert len(weights) < 10e6
    assert card_of(name)["command"] in (FOLDERS[name] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_model_below_the_bar_is_named_in_the_readme(name):
    readme = (train.HERE.parent.parent / "README.md").read_text(encoding="utf-8")
    accuracy = card_of(name)["accuracy"]
    knows = min(accuracy["recall"], accuracy["lookup"]) >= 0.95
    follows = min(accuracy.values()) >= 0.90
    assert (knows and follows) or f"`{name}` is below the bar" in readme


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_the_shipped_model_answers_as_its_card_says(name):
    tokenizer = AutoTokenizer.from_pretrained(FOLDERS[name])
    model = AutoModelForCausalLM.from_pretrained(FOLDERS[name])
    # Materials of a seed that neither training nor the card used.
    found = train.measure(model, tokenizer, 80, seed=77)
    for task, accuracy in card_of(name)["accuracy"].items():
        assert abs(found[task] - accuracy) < 0.15, (task, found[task], accuracy)
