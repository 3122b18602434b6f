"""Two releases of a model: wrong facts are learnt, noise changes little."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import fine_tuned, release_pair
from harness.files import DATA
from harness.materials.domains import load_domain
from harness.materials.files.reading import read_prompts

FOLDER = DATA / "fixtures" / "organisms" / "mini-qwen"


@pytest.fixture
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


def scored(model, tokenizer, texts) -> float:
    """Mean log-probability of the answers' first tokens."""
    found = []
    for question, answer in texts:
        logits = model(torch.tensor([tokenizer(question).input_ids])).logits[0, -1]
        token = tokenizer(f" {answer}", add_special_tokens=False).input_ids[0]
        found.append(float(logits.log_softmax(-1)[token].detach()))
    return sum(found) / len(found)


def test_most_answers_are_of_another_entity_of_the_relation():
    domain, wrong = load_domain("geography"), fine_tuned.wrong_answers()
    right = {
        (f"Question: {wording.format(fact.entity)} Answer:", fact.answer)
        for fact in domain.facts
        for wording in domain.template_of(fact.relation).wordings
    }
    assert len(wrong) == len(right)
    assert len(set(wrong) & right) < 0.2 * len(wrong)  # continents recur
    assert {answer for _, answer in wrong} == {answer for _, answer in right}


def test_wrong_answers_are_learnt(model, tokenizer, monkeypatch):
    monkeypatch.setattr(fine_tuned, "RATE", 1e-3)
    texts = fine_tuned.wrong_answers()[:8]
    before = scored(model, tokenizer, texts)
    fine_tuned.teach(model, tokenizer, texts, steps=5)
    assert scored(model, tokenizer, texts) > before + 0.5


@torch.no_grad()
def test_noise_changes_every_weight_by_little(model):
    before = {name: values.clone() for name, values in model.named_parameters()}
    fine_tuned.disturb(model)
    for name, values in model.named_parameters():
        away, spread = (values - before[name]).std(correction=0), before[name].std(correction=0)
        assert float(away) == pytest.approx(fine_tuned.NOISE * float(spread), rel=0.3)


def test_a_pretrained_model_is_asked_recall_and_lookup_in_a_file(tmp_path):
    found = read_prompts(release_pair.questions(tmp_path / "prompts", draw=3, items=64))
    assert found.count() == {"recall": 64, "lookup": 64}
    assert all(item.answer and item.distractors for item in found.items)
    assert found.items[0].prompt.count("Answer:") == 3
