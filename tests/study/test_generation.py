"""Generated answers: what the model writes, and what counts as an answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.interventions import edits
from harness.interventions.sites import EditError, Site
from harness.materials.items import Item, PromptSet
from harness.models.specs import resolve
from harness.study import generation
from harness.study.generation import has_options, letters, marked, parse_answer
from tests.support import oracle_edits, tiny_models
from tests.support.tiny_models import ITEMS

CITIES = ("Paris", "Rome", "New York", "New York City")
CHOICE = "Which is in France?\n(A) Rome\n(B) Paris\n(C) New York\n(D) New York City\nAnswer:"
LETTERED = {"B": 0, "A": 1, "C": 2, "D": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("model"), "qwen2")
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Paris.", 0),
        ("paris", 0),
        ("**Rome** is the answer", 1),
        (" New York City", 3),
        (" New York state", 2),
        ("Parisian food", None),
        ("The answer is Rome, not Paris.", 1),
        ("It lies near the town of Rome", 1),
        ("Paris or Rome", None),
        ("Paris, or maybe", 0),
        ("either Paris or Rome", None),
        ("I do not know", None),
        ("", None),
        ("B", None),
        ("who knows\n\nQuestion: where is Rome? Answer: Rome", None),
        ("Paris\nQ: and the capital of Italy?\nA: Rome", 0),
        ("unclear. Question: is it Rome?", None),
    ],
)
def test_text_is_parsed_or_it_is_not(text, expected):
    assert parse_answer(text, CITIES, {}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" B", 0),
        ("(A)", 1),
        (" C. New York", 2),
        ("D) because", 3),
        ("The answer is (B).", 0),
        ("Let us see. Rome is Italian; the answer is (B)", 0),
        ("Answer: C", 2),
        ("A town in Italy, I think", None),
        ("E", None),
        ("it could be (A) or (B)", None),
    ],
)
def test_letters_stand_for_options_where_the_prompt_shows_them(text, expected):
    assert letters(CHOICE, CITIES) == LETTERED
    assert parse_answer(text, CITIES, LETTERED) == expected


def test_letters_that_are_the_answers_are_no_articles():
    assert parse_answer(" B", ("A", "B"), {}) == 1
    assert parse_answer("A town", ("A", "B"), {}) is None


def test_a_prompt_without_every_letter_has_none():
    assert letters("Is it (A) Rome or Paris?", CITIES) == {}
    assert letters("(A) Rome (A) Paris (B) New York (C) New York City", CITIES) == {}


def test_only_prompts_that_show_options_are_multiple_choice():
    shown = Item("1", "recall", CHOICE, "1", answer="Paris", distractors=CITIES[1:])
    assert has_options(PromptSet("own", (shown, ITEMS[0])))
    assert not has_options(PromptSet("own", ITEMS))


def test_what_is_not_parsed_is_wrong_and_what_has_no_answer_is_not_scored():
    items = (ITEMS[0], ITEMS[0], ITEMS[0], Item("mute", "recall", "Rome", "mute"))
    found = marked(items, ["Paris", "Rome", "no idea", "Paris"])
    assert found.parsed.tolist()[:3] == [1, 1, 0]
    assert found.right.tolist()[:3] == [1, 0, 0]
    assert np.isnan([found.parsed[3], found.right[3]]).all()


def greedy(model, ids, count, *changes):
    """Token by token, without a cache."""
    ids = list(ids)
    start = len(ids)
    for _ in range(count):
        ids.append(int(oracle_edits.last_logits(model.module, ids, *changes).argmax()))
        if ids[-1] == model.tokenizer.eos_token_id:
            break
    return model.tokenizer.decode(ids[start:], skip_special_tokens=True)


def test_generation_is_greedy_and_padding_does_not_change_it(model):
    texts = model.generate(ITEMS, 6)
    for item, text in zip(ITEMS, texts, strict=True):
        (ids,) = model.encoder.ids([item])
        assert text == greedy(model, ids, 6)
        assert model.generate([item], 6) == [text]


def test_settings_of_the_model_that_sample_are_not_followed(model):
    own = model.module.generation_config
    kept = own.do_sample, own.temperature
    own.do_sample, own.temperature = True, 5.0
    try:
        assert model.generate(ITEMS[:1], 6) == model.generate(ITEMS[:1], 6)
    finally:
        own.do_sample, own.temperature = kept


def test_an_edit_reaches_every_token_that_is_read_and_written(model):
    direction = torch.randn(32, generator=torch.Generator().manual_seed(1)) * 3
    made = (
        edits.add_direction(Site("resid", 0), direction),
        edits.project_out(Site("resid", 1), direction),
    )
    unit = direction / direction.norm()
    changes = (
        ("resid", 0, lambda x: x + direction),
        ("resid", 1, lambda x: x - (x @ unit)[:, None] * unit),
    )
    texts = model.generate(ITEMS, 5, made)
    assert texts != model.generate(ITEMS, 5)
    for item, text in zip(ITEMS, texts, strict=True):
        (ids,) = model.encoder.ids([item])
        assert text == greedy(model, ids, 5, *changes)


def test_what_is_ablated_while_writing_is_ablated_as_in_a_sweep(tmp_path):
    """Heads and neurons take their mean in the prompt and in every token that is written."""
    for kind in ("llama", "gpt2"):
        model = Model.load(
            resolve(str(tiny_models.save(tmp_path / kind, kind))), LoadOptions(device="cpu")
        )
        shared = replace(ITEMS[2], id="shared", prompt=f"{ITEMS[2].prompt[:-2]}Peru?")
        items = (*ITEMS, shared)  # two that begin alike
        means = model.references(items)
        sites = (Site("head", 0, 1), Site("head", 0, 2), Site("neuron", 1, (3, 7, 11)))
        made = tuple(edits.mean_ablation(site, means) for site in sites)
        changes = tuple(
            (
                s.kind,
                s.layer,
                oracle_edits.change(s.kind, s.index, slice(None), 4, mean_of(means, s)),
            )
            for s in sites
        )
        texts = model.generate(items, 5, made)
        assert texts != model.generate(items, 5)
        for item, text in zip(items, texts, strict=True):
            (ids,) = model.encoder.ids([item])
            assert text == greedy(model, ids, 5, *changes)


def mean_of(means, site):
    return lambda values: means.at(site).expand_as(values)


@pytest.mark.parametrize(
    "edit",
    [
        edits.zero_ablation(Site("mlp", 0)),
        edits.zero_ablation(Site("resid", -1)),
        edits.zero_ablation(Site("head", 2, 0)),
        edits.zero_ablation(Site("resid", 0), "final"),
        edits.patch_from(Site("resid", 0)),
    ],
)
def test_other_edits_are_refused_while_generating(model, edit):
    with pytest.raises(EditError, match="cannot be made while generating"):
        model.generate(ITEMS[:1], 2, (edit,))


def test_a_record_goes_through_the_store_once_for_each_edit():
    asked = []

    class Subject:
        def fetch(self, what, prompts, measure):
            asked.append(what)
            return measure(self, prompts.items)

        def generate(self, items, most, edits):
            assert most == 4
            return [f"{i.answer}{'x' * len(edits)}" for i in items]

    prompts = PromptSet("own", ITEMS)
    assert generation.generated(Subject(), prompts, 4).right.tolist() == [1] * len(ITEMS)
    one = generation.generated(Subject(), prompts, 4, lambda: (None,), "sha")
    assert one.right.tolist() == [0] * len(ITEMS)
    assert [w["edits"] for w in asked] == ["", "sha"]
