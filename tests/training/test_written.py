"""Organisms that were written by hand are what their circuit.json says."""

import re
from dataclasses import replace
from functools import cache
from itertools import chain, product

import numpy as np
import pytest
import torch

from fixtures.training import known_verdicts, written
from fixtures.training.choices import chosen, shares
from fixtures.training.known_verdicts import WRITTEN
from fixtures.training.lesions import Lesions, Parts
from harness.calibration.settings import ON_ORGANISMS
from harness.files import DATA
from harness.findings.steering.manipulation import other_answers
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.materials.written_steps import with_steps
from harness.study.steps import read

ASKED = Difficulty(**ON_ORGANISMS)  # in runs too


@pytest.fixture(scope="module")
def built():
    """Builds an organism once for several tests, which take back what they do to it."""
    return cache(written.build)


def parts_of(known, name="apart"):
    made = WRITTEN[name]
    found = Parts.none(len(written.layers_of(made)), made.heads, written.NEURONS)
    for layer, head in known["heads"]:
        found.heads[layer, head] = True
    for layer, neurons in known["neurons"].items():
        found.neurons[int(layer), neurons] = True
    return found


@pytest.mark.parametrize("name", ["apart", "apart-layers", "apart-sink", "apart-through"])
def test_without_its_own_heads_or_neurons_a_process_is_lost_alone(name, built):
    model, tokenizer = built(name)
    items = [item for item in draw_cells("cells", 4, 3000, ASKED).items if item.task != "latent"]
    items = items[:9]  # of three stories
    lesions, of = Lesions(model), {"retrieval": "recall", "composing": "reasoning"}

    def right():
        hits = chosen(model, tokenizer, items)
        return shares((item.task, hits[item.id]) for item in items)

    assert right() == {"recall": 1, "lookup": 1, "reasoning": 1}
    for process, known in written.truth(name)["processes"].items():
        with lesions.everywhere(parts_of(known, name)):
            without = right()
        assert without.pop(of[process]) < 0.7
        assert min(without.values()) > 0.7
    lesions.remove()


def test_what_serves_some_cells_looks_at_a_word_there_and_at_no_word_in_the_others(built):
    model, tokenizer = built("apart-layers")
    at, _ = written.places_of(WRITTEN["apart-layers"])
    serves = {"recall": ("reads",), "lookup": ("hop", "says")}
    serves["reasoning"] = ("hop", "composes", "composes too")
    model.set_attn_implementation("eager")
    asked = {item.task: item.prompt for item in draw_cells("cells", 4, 3000, ASKED).items}
    for task, looks in serves.items():
        tokens = tokenizer(asked[task], return_tensors="pt")
        ends = torch.isin(tokens.input_ids[0], torch.tensor(tokenizer("Question.").input_ids))
        rows = model(**tokens, output_attentions=True).attentions
        for role in {*chain(*serves.values())}:
            for layer, head in at[role]:
                row = rows[layer][0, head, -1]
                seen = row[~ends].max() if role in looks else row[ends].sum()
                assert seen > 0.9, (task, role)
    model.set_attn_implementation("sdpa")


def test_heads_that_find_nothing_look_at_a_token_that_holds_nothing_and_write_nothing(built):
    model, tokenizer = built("apart-sink")
    at, _ = written.places_of(WRITTEN["apart-sink"])
    finds = {"recall": "reads", "reasoning": "composes"}
    model.set_attn_implementation("eager")
    asked = {item.task: item.prompt for item in draw_cells("cells", 4, 3000, ASKED).items}
    for task, role in product((*finds, "lookup"), finds.values()):
        tokens = tokenizer(asked[task], return_tensors="pt")
        run = model(**tokens, output_attentions=True, output_hidden_states=True)
        assert not any(stream[0, 0].any() for stream in run.hidden_states)
        for layer, head in at[role]:
            first = run.attentions[layer][0, head, -1, 0]
            assert first < 0.1 if finds.get(task) == role else first > 0.99, (task, role)
    model.set_attn_implementation("sdpa")


def test_neurons_that_are_no_process_s_say_the_answer_of_lookup_and_nothing_else(built):
    model, tokenizer = built("apart-through")
    items = draw_cells("cells", 4, 3000, ASKED).where(lambda item: item.task != "latent").items
    own = written.truth("apart-through")["processes"]["composing"]["neurons"]["3"]
    gone = Parts.none(len(written.ROLES), WRITTEN["apart-through"].heads, written.NEURONS)
    gone.neurons[3] = True
    gone.neurons[3, own] = False
    lesions = Lesions(model)
    with lesions.everywhere(gone):
        hits = chosen(model, tokenizer, items[:9])
    lesions.remove()
    right = shares((item.task, hits[item.id]) for item in items[:9])
    assert right.pop("lookup") < 0.7
    assert right == {"recall": 1, "reasoning": 1}


def test_composing_s_parts_say_what_is_recalled_where_retrieval_s_are_gone():
    model, tokenizer = written.build("apart-mends")
    items = draw_cells("cells", 4, 3000, ASKED).where(lambda item: item.task == "recall").items
    lesions, own = Lesions(model), written.truth("apart-mends")["processes"]
    parts = [parts_of(own[process], "apart-mends") for process in ("retrieval", "composing")]

    def right(gone):
        with lesions.everywhere(gone):
            hits = chosen(model, tokenizer, items)
        return sum(hits.values()) / len(hits)

    assert right(parts[0]) == right(parts[1]) == 1
    assert right(parts[0] | parts[1]) < 0.7
    lesions.remove()


def test_labels_choose_the_question():
    model, tokenizer = written.build("apart-llama")
    items = draw_cells("cells-crossed:recall-lookup", 2, 3000, ASKED).items
    assert all(chosen(model, tokenizer, items).values())


def test_one_that_mixes_facts_up_is_right_about_what_it_is_told_alone():
    model, tokenizer = written.build("mixed-up")
    items = [item for item in draw_cells("cells", 6, 3000).items if item.task != "latent"]
    hits = chosen(model, tokenizer, items)
    right = shares((item.task, hits[item.id]) for item in items)
    assert right.pop("recall") < 0.5
    assert right == {"lookup": 1, "reasoning": 1}


def test_of_a_known_name_it_answers_what_is_asked(built):
    model, tokenizer = built("apart")
    assert all(
        chosen(model, tokenizer, draw_cells("neutral-crossed", 2, 3000, ASKED).items).values()
    )


def test_the_flag_opens_composing_for_the_question_that_is_asked_and_for_the_other_one():
    model, tokenizer = written.build("steerable")
    plain = [
        i for i in draw_cells("cells", 6, 3000, ASKED).items if i.task in ("lookup", "reasoning")
    ]
    crossed = other_answers(draw_cells("cells-crossed:lookup-reasoning", 4, 3000, ASKED), 2).items

    def right(items, flag):
        step = torch.zeros(written.WIDTH)
        step[written.AT["composes"]] = flag
        added = model.model.layers[2].register_forward_hook(lambda *call: call[-1] + step)
        hits = chosen(model, tokenizer, items)
        added.remove()
        return shares((item.task, hits[item.id]) for item in items)

    assert right(plain, 2) == {"lookup": 1, "reasoning": 1}
    closed = right(plain, -2)
    assert right(plain, 0)["reasoning"] > closed["reasoning"]
    assert closed["lookup"] == 1
    assert right(crossed, 2)["lookup"] == 1
    assert right(crossed, 0)["lookup"] < 0.7


def test_of_three_steps_many_answers_are_wrong_for_want_of_the_flag_alone():
    model, tokenizer = written.build("steerable-further")
    drawn = draw_cells("cells", 12, 3000, replace(ASKED, steps=3))
    items = drawn.where(lambda item: item.task == "reasoning").items

    def right():
        hits = chosen(model, tokenizer, items)
        return sum(hits.values()) / len(hits)

    assert 0.3 < right() < 0.7
    step = torch.zeros(written.WIDTH)
    step[written.AT["composes"]] = 2
    model.model.layers[2].register_forward_hook(lambda *call: call[-1] + step)
    assert right() > 0.9


def texts_of(model, tokenizer, items):
    """What it writes after each prompt; all in one batch, whose mean a lesion writes."""
    asked = tokenizer([item.prompt for item in items], return_tensors="pt", padding=True)
    written_after = model.generate(**asked, max_new_tokens=12, do_sample=False)
    after = written_after[:, asked.input_ids.shape[1] :]
    return tokenizer.batch_decode(after, skip_special_tokens=True)


def test_it_writes_its_steps_and_without_composing_s_parts_another_answer_of_the_story(built):
    model, tokenizer = built("apart-writes")
    drawn = draw_cells("cells", 4, 3000, ASKED)
    kept = drawn.where(lambda item: item.task in ("lookup", "reasoning"))
    asked = with_steps(kept, 4, 3000).items
    intact = texts_of(model, tokenizer, asked)
    for item, text in zip(asked, intact, strict=True):
        assert text == f" {' '.join(item.entities[1:])}\nAnswer: {item.answer}"
    lesions = Lesions(model)
    with lesions.everywhere(parts_of(written.truth("apart-writes")["processes"]["composing"])):
        without = read(asked, texts_of(model, tokenizer, asked))
    lesions.remove()
    assert without.parsed.all()
    assert (without.steps == [len(item.entities) - 1 for item in asked]).all()
    lookup = np.array([item.task == "lookup" for item in asked])
    assert without.right[lookup].all()
    assert without.right[~lookup].mean() < 0.7


def test_without_its_flag_of_composing_right_steps_end_in_another_answer():
    model, tokenizer = written.build("apart-writes-light")
    drawn = draw_cells("cells", 4, 3000, ASKED)
    kept = drawn.where(lambda item: item.task in ("lookup", "reasoning"))
    asked = with_steps(kept, 4, 3000).items[:6]
    without_flag = torch.ones(written.WIDTH)
    without_flag[written.AT["composes"]] = 0
    model.model.layers[2].register_forward_hook(lambda *call: call[-1] * without_flag)
    without = read(asked, texts_of(model, tokenizer, asked))
    assert (without.steps == [len(item.entities) - 1 for item in asked]).all()
    lookup = np.array([item.task == "lookup" for item in asked])
    assert without.right[lookup].all()
    assert without.right[~lookup].mean() < 0.7


def test_of_latent_questions_the_answer_is_not_known(built):
    model, tokenizer = built("apart")
    items = [item for item in draw_cells("cells", 12, 3000, ASKED).items if item.task == "latent"]
    assert sum(chosen(model, tokenizer, items).values()) < 0.5 * len(items)


def test_of_what_knows_nothing_every_prediction_is_expected_not_to_be_supported():
    told = {place.partition("-")[0] for place in known_verdicts.expected(WRITTEN["labels-alone"])}
    asked = set()
    for file in (DATA / "hypotheses").glob("test_h*.py"):
        claim = file.stem.split("_")[1]
        _, *controlled = file.read_text(encoding="utf-8").split('criterion("controlled"')
        names = [re.search(r"def test_(\w+)\(", text)[1] for text in controlled]
        asked |= {f"{claim}/{name}" for name in names}
    assert told == {place for place in asked if not place.startswith("h0/")}


@pytest.mark.parametrize("name", ["apart", "apart-writes", "one-step-apart"])
def test_what_ships_of_a_reference_model_is_what_the_script_writes(
    name, tmp_path, built, monkeypatch
):
    monkeypatch.setattr(written, "build", built)
    written.write(tmp_path, name, whole=False)
    shipped = DATA / "fixtures" / "organisms" / name
    for file in ("circuit.json", "config.json"):
        text = [(folder / file).read_text(encoding="utf-8") for folder in (tmp_path, shipped)]
        assert text[0] == text[1], f"python -m fixtures.training.written {name} --known"


def test_every_claim_is_expected_to_be_supported_where_it_follows():
    told = known_verdicts.expected(WRITTEN["apart"])
    claims = {place.partition("/")[0] for place, said in told.items() if said == "supported"}
    assert claims == {f"h{number}" for number in range(1, 14)} - {"h10"}
    of_parts = {"h9", "h10", "h11"}
    for name, claims in (
        ("apart-writes", {"h14"}),
        ("apart-sink", of_parts),
        ("apart-through", of_parts),
    ):
        more = known_verdicts.expected(WRITTEN[name])
        assert {*more.values()} == {"supported"}
        assert {place.partition("/")[0] for place in more} == claims
    heads = WRITTEN["apart"].heads * len(written.ROLES)
    assert heads >= 5 * 8  # of fewer heads five are not few (h13)


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_no_head_is_used_twice_and_expectations_name_both_roles(name):
    at, _ = written.places_of(WRITTEN[name])
    used = [place for places in at.values() for place in places]
    assert len(used) == len(set(used))
    told = written.truth(name)
    assert set(told["expected"].values()) <= {"supported", "not supported"}
    assert (told["role"] == "positive") == ("supported" in told["expected"].values())


def test_two_neurons_pass_on_a_dimension_and_one_a_constant_too():
    mlp = torch.nn.Module()
    mlp.gate_proj, mlp.up_proj = (torch.nn.Linear(written.WIDTH, 4, bias=False) for _ in range(2))
    mlp.down_proj = torch.nn.Linear(4, written.WIDTH, bias=False)
    with torch.no_grad():
        mlp.down_proj.weight.zero_()
        opens = written.reads("knows", written.PASSES)
        written.write_neurons(mlp, [0, 1, 2, 3], opens, "pointed", "retrieved", 1.0)
    stream = torch.zeros(written.WIDTH)
    stream[written.AT["const"]], stream[written.AT["knows"]] = written.STEADY, 1
    stream[written.AT["pointed"]] = torch.linspace(-1, 1, written.CODE)
    x = stream * written.WIDTH**0.5 / written.STEADY
    gated = torch.nn.functional.silu(mlp.gate_proj(x)) * mlp.up_proj(x)
    told = mlp.down_proj(gated)[written.AT["retrieved"]]
    torch.testing.assert_close(told[:2], stream[written.AT["pointed"]][:2])
    assert (gated[::2] > 0).all() or (gated[1::2] < 0).all()
