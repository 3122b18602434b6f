"""The materials are what the design says, under the tokenizers people use."""

import json
import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from transformers import AutoTokenizer, LlamaConfig, Qwen2Config

from fixtures.training import corpus
from harness.materials import sets
from harness.materials.domains import invented_names, load_domain
from harness.materials.items import (
    DISCOVERY,
    EVALUATION,
    Item,
    MaterialsError,
    PromptSet,
    paired,
)
from harness.materials.sets import (
    geography,
    geography_crossed,
    geography_published,
    no_process,
)
from harness.materials.stories import DISTRACTORS, is_held_out
from harness.materials.surface import token_balance
from tests.support.material_checks import (
    CONTRASTS,
    ROOT,
    SEEDS,
    TOKENIZERS,
    encode,
    load_tokenizer,
    surface_score,
)


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    return load_tokenizer(request.param)


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer("embedded")


@pytest.fixture(scope="module")
def plain():
    return geography()


# Crossing is exact


@pytest.mark.parametrize("tasks", CONTRASTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_crossed_tasks_do_not_differ_in_a_single_token(tokenizer, seed, tasks):
    prompts = geography_crossed(seed=seed, tasks=tasks)
    assert len(prompts) == 800
    ids = encode(tokenizer, prompts)
    assert token_balance(prompts.items, ids, tasks).exact
    for rows in paired(prompts.items, tasks).values():
        at = [i for row in rows.values() for i in row]
        assert len(at) == 4
        four = [prompts.items[i] for i in at]
        assert token_balance(four, [ids[i] for i in at], tasks).exact
        # The same two prompts but for the label: what stands before it is the same.
        assert {(i.order, i.label) for i in four} == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_the_surface_tells_nothing_of_crossed_tasks_and_all_of_published_ones(tokenizer):
    for tasks in CONTRASTS:
        assert 0.45 <= surface_score(tokenizer, geography_crossed(tasks=tasks)) <= 0.55
    assert surface_score(tokenizer, geography_published()) > 0.99


def test_the_plain_set_is_told_apart_by_its_questions(embedded):
    plain = geography(60)
    contrast = plain.where(lambda item: item.task in plain.tasks)
    assert surface_score(embedded, contrast) > 0.95


def test_wordings_frames_and_splits_are_crossed_with_each_other():
    for prompts in (geography(), geography_crossed()):
        table = Counter((item.template, item.split) for item in prompts.items)
        assert len(table) == 8
        assert max(table.values()) == min(table.values())


# The published set


def test_the_published_set_is_the_papers():
    published = json.loads((ROOT / "fixtures/published/fartale2025.json").read_text("utf-8"))
    prompts = geography_published()
    assert prompts.count() == {"recall": 30, "reasoning": 30}
    by_task = {t: [i for i in prompts.items if i.task == t] for t in ("recall", "reasoning")}
    for (country, capital, continent), recall, reasoning in zip(
        published["facts"], by_task["recall"], by_task["reasoning"], strict=True
    ):
        fields = {"country": country, "continent": continent}
        assert recall.prompt == published["templates"]["recall"].format(**fields)
        assert reasoning.prompt == published["templates"]["reasoning"].format(**fields)
        assert (recall.answer, reasoning.answer) == (capital, continent)
        assert recall.pair == reasoning.pair
    assert geography_published(7, 3) == prompts


def test_the_first_published_prompt_has_the_published_tokens():
    ids = load_tokenizer("qwen2.5")(geography_published().items[0].prompt).input_ids
    assert ids == [3838, 374, 279, 6722, 315, 9625, 30]


# Items


def by_story(prompts):
    return [prompts.items[i : i + 3] for i in range(0, len(prompts), 3)]


def test_the_three_tasks_of_a_story_share_everything_but_the_question(plain):
    for recall, lookup, reasoning in by_story(plain):
        assert [recall.task, lookup.task, reasoning.task] == list(sets.TASKS)
        assert recall.premises == lookup.premises == reasoning.premises
        assert len(recall.premises) == 9
        assert recall.pair == lookup.pair == reasoning.pair
        assert recall.template == lookup.template == reasoning.template
        assert lookup.entities[0] == reasoning.entities[0]
        assert (recall.hops, lookup.hops, reasoning.hops) == (0, 1, 2)
        for item in (recall, lookup, reasoning):
            without = item.prompt.replace(item.question, "")
            assert without == recall.prompt.replace(recall.question, "")


@pytest.mark.parametrize("hops", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_items_are_well_formed(seed, hops):
    for item in geography(seed=seed, hops=hops).items:
        assert item.prompt[slice(*item.subject)] == item.entities[0]
        assert item.subject[0] >= item.prompt.rfind(item.question) > 0
        assert len(set(item.distractors)) == DISTRACTORS
        assert item.answer not in item.distractors
        assert item.prompt == item.prompt.strip()
        assert "  " not in item.prompt
        if item.task == "recall":
            assert not re.search(rf"\b{re.escape(item.answer)}\b", item.prompt)
        else:
            assert item.answer in item.prompt


def test_crossed_items_are_well_formed():
    for item in geography_crossed().items:
        assert item.prompt[slice(*item.subject)] == item.entities[0]
        assert item.answer not in item.distractors
        if item.task == "recall":
            assert not re.search(rf"\b{re.escape(item.answer)}\b", item.prompt)
        asked = f"Question {item.label}: {item.question}"
        assert asked in item.prompt
        assert item.counterfactual_prompt == ""


def test_counterfactuals_differ_in_the_answer_and_not_in_length(plain):
    for item in plain.items:
        assert item.counterfactual_prompt != item.prompt
        assert item.counterfactual_answer != item.answer
        assert len(item.counterfactual_prompt.split()) == len(item.prompt.split())
        changed = sum(
            a != b
            for a, b in zip(item.prompt.split(), item.counterfactual_prompt.split(), strict=True)
        )
        assert changed <= (2 if item.task != "recall" else len(item.entities[0].split()))


# A reader of its own: what follows from the premises

PREMISE = re.compile(r"(\w+) (?:lives in|is a town in|is a country in) (\w+)\.")
KINDS = {"lives in": 0, "is a town in": 1, "is a country in": 2}
# What a question asks for, by the first of these words in it: the answer's level in a chain.
GOALS = {"continent": 3, "country": 2, "town": 1}


def walk(premises: str, start: str, hops: int) -> str:
    leads = dict(PREMISE.findall(premises))
    for _ in range(hops):
        start = leads[start]
    return start


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_answers_follow_from_the_premises_in_so_many_steps(hops):
    for item in geography(items=100, hops=hops).items:
        if item.task == "recall":
            continue
        story = " ".join(item.premises)
        assert len(PREMISE.findall(story)) == 9
        assert walk(story, item.entities[0], item.hops) == item.answer
        assert walk(item.prompt, item.entities[0], item.hops) == item.answer
        twin = walk(item.counterfactual_prompt, item.entities[0], item.hops)
        assert twin == item.counterfactual_answer
        goal = next(word for word in re.findall(r"\w+", item.question) if word in GOALS)
        start = next(kind for kind in KINDS if f"{item.entities[0]} {kind} " in story)
        assert KINDS[start] + item.hops == GOALS[goal]


def test_recall_answers_are_the_tabulated_facts(plain):
    facts = {(fact.entity, fact.answer) for fact in load_domain("geography").facts}
    for recall, _, _ in by_story(plain):
        assert recall.entities in facts
        twin = recall.counterfactual_prompt
        asked = {c for c, _ in facts if re.search(rf"\b{c}\b", twin)}
        assert any((country, recall.counterfactual_answer) in facts for country in asked)


# Splits, sizes, seeds


def test_splits_share_no_country_and_are_even(plain):
    countries = {DISCOVERY: set(), EVALUATION: set()}
    for recall, lookup, reasoning in by_story(plain):
        countries[recall.split].add(recall.entities[0])
        assert recall.split == lookup.split == reasoning.split
    assert not countries[DISCOVERY] & countries[EVALUATION]
    assert Counter(item.split for item in plain.items) == {DISCOVERY: 300, EVALUATION: 300}


@pytest.mark.parametrize("items", [1, 2, 30, 400])
def test_any_number_of_items_can_be_drawn(items):
    assert geography(items).count() == dict.fromkeys(sets.TASKS, items)
    crossed = geography_crossed(items)
    assert (len(crossed), len(crossed.pairs)) == (4 * items, items)
    assert len({item.id for item in crossed.items}) == 4 * items
    facts = [item.entities for item in geography(items).items if item.task == "recall"]
    asked = [item.question for item in geography(items).items if item.task == "recall"]
    assert len(facts) == len(set(zip(facts, asked, strict=True))) == items


@pytest.mark.parametrize("items", [0, -1, 10_000])
@pytest.mark.parametrize("make", [geography, geography_crossed])
def test_numbers_that_cannot_be_drawn_are_refused(make, items):
    with pytest.raises(MaterialsError, match=f"--items {items}"):
        make(items)


@pytest.mark.parametrize("hops", [0, 4])
def test_hops_a_chain_does_not_have_are_refused(hops):
    with pytest.raises(MaterialsError, match="hops"):
        geography(2, hops=hops)


@pytest.mark.parametrize("make", [geography, geography_crossed])
def test_the_seed_decides_everything(make):
    assert make(20, 3).hash == make(20, 3).hash
    assert len({make(20, seed).hash for seed in range(5)}) == 5


def test_geographys_items_are_those_the_embedded_models_were_judged_on():
    """Caches and recorded results are filed under these."""
    assert [
        geography(200, 0).hash,
        geography_crossed(200, 0).hash,
        geography(20, 3, hops=3).hash,
    ] == [
        "1de542d74ec86d2dba34cde9c9b75537e94b095c004ebfa1524ce771e51b10ce",
        "1c6422d35ee7d722c4672066158d5ac832a0dac4f4c8785ac51ae5248c77eb8c",
        "fcf825238c209d2b0cb46f85c4d365918cc9420da3a52291f1855c13e2994be9",
    ]


def test_what_only_cells_have_leaves_the_hashes_of_other_sets_as_they_were():
    assert [geography(30).hash, geography_crossed(30).hash, geography_published().hash] == [
        "2546fe9d41b995da1ba524727ad694b0b009236b786061d5ea03dc710e38d015",
        "341273ca47753fc5a00d9434f7fa4e6553feffc74d044ca76dd718c04f210556",
        "8965a88e5e259f65a7801cbc5d7ed0a4353c03d3d843c89c36b23f5d113aebcc",
    ]
    assert "relation" not in geography(1).items[0].to_json()


def test_control_crossings_are_of_the_same_stories():
    main = geography_crossed(10)
    for control in sets.crossed_controls(10):
        assert control.pairs == main.pairs
        assert {i.premises for i in control.items} == {i.premises for i in main.items}
        assert control.name != main.name


# Held out


def questions_of_two_hops_or_more():
    for template in load_domain("geography").story:
        if template.task == "reasoning":
            for text in template.wordings:
                yield re.compile(re.escape(text).replace(r"\{0\}", r"(\w+)"))


@pytest.mark.parametrize("hops", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_reasoning_question_is_held_out_from_training(seed, hops):
    for item in geography(seed=seed, hops=hops).items:
        if item.task == "reasoning":
            assert is_held_out(*item.entities)


def test_training_never_asks_a_held_out_question():
    """Neither of the two questions of a crossed block, whichever is answered."""
    from fixtures.training.train import STAGES

    rng = random.Random(0)
    patterns = list(questions_of_two_hops_or_more())
    asked = 0
    for number in range(300):
        pieces = corpus.text(rng, STAGES[number % len(STAGES)].mix)
        text = "".join(piece for piece, _ in pieces)
        leads = dict(PREMISE.findall(text))
        for pattern in patterns:
            for name in pattern.findall(text):
                if name in leads:  # else it is a real country
                    asked += 1
                    assert not is_held_out(name, chain(leads, name)[goal_of(pattern)])
    assert asked > 200


def chain(leads, name):
    """The names a name leads to, by level; the last of every chain is a continent, level 3."""
    invented_names = [name]
    while invented_names[-1] in leads:
        invented_names.append(leads[invented_names[-1]])
    return dict(zip(range(4 - len(invented_names), 4), invented_names, strict=True))


def goal_of(pattern):
    words = re.findall(r"\w+", pattern.pattern)
    return next(level for word, level in GOALS.items() if word in words)


def test_a_quarter_of_all_pairs_is_held_out():
    share = np.mean(
        [is_held_out(a, b) for a in invented_names() for b in invented_names() if a != b]
    )
    assert 0.2 < share < 0.3
    assert len(invented_names()) == len(set(invented_names()))


# The embedded tokenizer


def every_text():
    prompts = [geography(), geography_crossed(), geography_published()]
    return [f"{item.prompt} {item.answer}." for p in prompts for item in p.items]


def test_the_embedded_tokenizer_gives_texts_back(embedded):
    texts = [*every_text(), "Żółw 12 naïve\n\tcafé ½ 漢字", "x=f(a_b)  # two blanks", ""]
    assert embedded.batch_decode(embedded(texts).input_ids) == texts


def test_every_word_of_the_materials_is_one_token(embedded):
    """After a blank; what holds a hyphen or an apostrophe (Port-au-Prince) falls to pieces."""
    words = {w for text in every_text() for w in re.findall(r"(?<= )[^\W\d]+(?![\w'-])", text)}
    assert len(words) > 350
    assert {word for word in words if len(embedded(f" {word}").input_ids) != 1} == set()


@pytest.mark.parametrize("config", [Qwen2Config, LlamaConfig])
def test_the_embedded_tokenizer_comes_back_from_a_models_folder(embedded, tmp_path, config):
    from transformers import AutoModelForCausalLM

    small = config(
        vocab_size=len(embedded),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    AutoModelForCausalLM.from_config(small).save_pretrained(tmp_path)
    embedded.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    texts = every_text()
    ids = again(texts).input_ids
    assert ids == embedded(texts).input_ids
    assert again.batch_decode(ids) == texts
    assert (again.pad_token, again.eos_token) == (embedded.pad_token, embedded.eos_token)
    assert again.padding_side == "left"
    assert (len(again), again.eos_token_id) == (len(embedded), embedded.eos_token_id)


def asked(answer_of, told_of):
    """Ten questions of each class; the second is said to be read in the text."""
    items = [
        Item(
            id=f"{task}-{n}",
            task=task,
            prompt=f"{told_of(n)} What is the answer of {task} {n}?",
            pair=f"p{n}",
            answer=answer_of(n),
            source=source,
            steps=1,
        )
        for n in range(10)
        for task, source in (("recall", "weights"), ("lookup", "context"))
    ]
    return PromptSet("mine.jsonl", tuple(items), ("recall", "lookup"))


def test_two_recalled_questions_do_not_become_two_sources_by_their_labels():
    mislabelled = no_process(asked(lambda n: f"word{n}", lambda _: "Nothing is told."))
    assert "10 of 10 do not stand in their prompts, such as 'word0' of 'lookup-0'" in mislabelled
    assert not no_process(asked(lambda n: f"word{n}", lambda n: f"It is word{n}."))


def test_a_few_answers_for_all_need_not_stand_in_the_text():
    assert not no_process(asked(lambda n: ("yes", "no")[n % 2], lambda _: "Something is told."))


def test_tasks_that_a_file_does_not_ask_for_are_said_to_be_missing():
    """Steering takes lookup and reasoning from any file."""
    elsewhere = asked(lambda n: f"word{n}", lambda n: f"It is word{n}.")
    reason = no_process(replace(elsewhere, tasks=("lookup", "reasoning")))
    assert "does not say that it asks for reasoning" in reason
    assert "one process" not in reason
