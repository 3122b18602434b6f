"""The training script learns; what it ships is what its card says."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixtures.training import corpus, train
from fixtures.training.tokenizer import grown, read_tokenizer, word_tokenizer
from harness.materials.domains import DOMAINS
from harness.materials.sets import geography, geography_crossed

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


def test_without_further_domains_training_reads_what_the_shipped_models_read():
    """Their commands are to give the same weights again."""
    digest = hashlib.sha256()
    for seed in range(3):
        rng = random.Random(seed)
        for number in range(60):
            pieces = corpus.text(rng, train.STAGES[number % 3].mix)
            digest.update(json.dumps([(text, task != "") for text, task in pieces]).encode())
    expected = "8bf10f88a14a48984dce4eb6a66deff68f85fa83a5970ad0e376d2b711329666"
    assert digest.hexdigest() == expected


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_the_vocabulary_of_its_domains_is_in_that_of_a_shipped_model(name):
    """Ids of the domains first; then come words of what it was taught since."""
    domains = card_of(name)["domains"]
    made = grown(word_tokenizer(corpus.vocabulary()), corpus.vocabulary(domains)).get_vocab()
    ids = read_tokenizer(FOLDERS[name]).get_vocab()
    assert made.items() <= ids.items()


# Further domains

BOTH = ("geography", "chemistry")


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_grown_vocabulary_keeps_old_ids_and_old_texts(name):
    old = read_tokenizer(FOLDERS[name])
    new = grown(old, corpus.vocabulary(DOMAINS))
    ids = new.get_vocab()
    assert all(ids[token] == i for token, i in old.get_vocab().items())
    assert len(new) > len(old)
    assert sorted(ids.values()) == list(range(len(new)))
    texts = [f"{i.prompt} {i.answer}." for p in (geography(), geography_crossed()) for i in p.items]
    assert new(texts).input_ids == old(texts).input_ids


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_shipped_model_goes_on_with_its_embeddings_and_the_same_answers(name):
    before = AutoModelForCausalLM.from_pretrained(FOLDERS[name])
    model, tokenizer = train.begin(train.RECIPES[name], DOMAINS, FOLDERS[name])
    old = before.get_input_embeddings().weight
    new = model.get_input_embeddings().weight
    assert len(new) == len(tokenizer) == model.config.vocab_size > len(old)
    assert torch.equal(new[: len(old)], old)
    assert model.get_output_embeddings().weight is new
    ids = tokenizer([item.prompt for item in geography(3).items], padding=True, return_tensors="pt")
    with torch.no_grad():
        was, now = before(**ids).logits, model(**ids).logits
    assert torch.allclose(now[..., : len(old)], was, atol=1e-4)


def test_a_small_model_learns_geography_and_goes_on_to_chemistry(tmp_path):
    recipe = replace(train.RECIPES["mini-llama"], **SMALL)
    settings = {"minutes": 1, "batch_size": 8, "peak_rate": 3e-2, "log": lambda _: None}
    model, tokenizer, card, _ = train.train(recipe, max_steps=10, **settings)
    assert card["domains"] == ["geography"]
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, larger, card, losses = train.train(
        recipe, max_steps=25, go_on_from=tmp_path, domains=BOTH, first_stage=0, **settings
    )
    assert card["domains"] == list(BOTH)
    assert len(larger) == model.config.vocab_size > len(tokenizer)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_every_domain_is_read_about_and_measured():
    rng = random.Random(0)
    texts = ["".join(p for p, _ in corpus.text(rng, {"lookup": 1.0}, BOTH)) for _ in range(60)]
    flasks = sum("flask" in text for text in texts)
    towns = sum("town" in text for text in texts)
    assert flasks > 15
    assert towns > 15
    assert not any("flask" in text and "town" in text for text in texts)
    model, tokenizer = train.begin(replace(train.RECIPES["mini-llama"], **SMALL), BOTH, None)
    found = train.measure(model, tokenizer, 2, seed=1, domains=BOTH)
    tasks = {"recall", "lookup", "reasoning", "x:recall", "x:lookup", "x:reasoning"}
    assert set(found) == tasks | {f"chemistry {task}" for task in tasks}


def test_a_stage_is_learnt_when_every_domain_has_learnt_it():
    stage = train.Stage({}, {"recall": 0.9, "x:recall": 0.5})
    reached = {"recall": 0.95, "x:recall": 0.6, "lookup": 0.0}
    assert stage.is_learnt(reached)
    assert stage.is_learnt(reached | {"chemistry recall": 0.9, "chemistry x:recall": 0.5})
    assert not stage.is_learnt(reached | {"chemistry recall": 0.89})
    assert not stage.is_learnt(reached | {"chemistry x:recall": 0.4})


def test_the_command_on_the_card_names_what_was_not_the_default():
    def command(*arguments):
        return train.command_for(train.parser().parse_args(["mini-qwen", *arguments]), 3, 40)

    plain = "python -m fixtures.training.train mini-qwen --seed 3 --steps 40"
    assert command("--minutes", "5") == command("--domains", "geography") == plain
    more = "--domains geography,chemistry --stage 2 --batch-size 8 --rate 0.001"
    assert command(*more.split()) == f"{plain} {more}"


def test_an_unknown_domain_is_refused(capsys):
    with pytest.raises(SystemExit):
        train.parser().parse_args(["mini-qwen", "--domains", "geography,alchemy"])
    assert "expected one of geography, chemistry" in capsys.readouterr().err


# What ships


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
    domains = card_of(name).get("domains", corpus.DOMAINS)
    found = train.measure(model, tokenizer, 20, 77, domains)
    for task, accuracy in card_of(name)["accuracy"].items():
        assert abs(found[task] - accuracy) < 0.15, (task, found[task], accuracy)
