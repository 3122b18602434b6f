"""Every domain is built as geography is: exact crossings, derivable answers, facts that hold."""

import random
import re
from collections import Counter

import pytest

from fixtures.training import corpus
from fixtures.training.train import STAGES
from harness.materials import sets
from harness.materials.domains import DOMAINS, invented_names, load_domain
from harness.materials.files.crossing import cross_set
from harness.materials.files.reading import read_prompts
from harness.materials.items import DISCOVERY, EVALUATION, MaterialsError, paired
from harness.materials.sets import SETS, crossed_controls, draw_crossed, draw_plain
from harness.materials.stories import DISTRACTORS, is_held_out, recall_question
from harness.materials.surface import token_balance
from tests.support.material_checks import (
    CONTRASTS,
    TOKENIZERS,
    encode,
    load_tokenizer,
    surface_score,
)

NEW = [name for name in DOMAINS if name != "geography"]
TOO_FEW = ("kinship", "calendar")  # fewer facts than the default asks for


@pytest.fixture(scope="module", params=["grown", *TOKENIZERS[1:]])
def tokenizer(request):
    return load_tokenizer(request.param)


@pytest.fixture(params=NEW)
def domain(request):
    return request.param


# Crossing is exact


@pytest.mark.parametrize("tasks", CONTRASTS)
def test_crossed_tasks_do_not_differ_in_a_single_token(tokenizer, domain, tasks):
    prompts = draw_crossed(domain, 100, seed=2, tasks=tasks)
    assert len(prompts) == 400
    ids = encode(tokenizer, prompts)
    assert token_balance(prompts.items, ids, tasks).exact
    for rows in paired(prompts.items, tasks).values():
        at = [i for row in rows.values() for i in row]
        four = [prompts.items[i] for i in at]
        assert {(i.order, i.label) for i in four} == {(1, 1), (1, 2), (2, 1), (2, 2)}
        assert token_balance(four, [ids[i] for i in at], tasks).exact


def test_the_surface_tells_nothing_of_crossed_tasks(tokenizer, domain):
    assert 0.45 <= surface_score(tokenizer, draw_crossed(domain, 60)) <= 0.55


def test_wordings_frames_and_splits_are_crossed_with_each_other(domain):
    for prompts in (draw_plain(domain, 80), draw_crossed(domain, 80)):
        table = Counter((item.template, item.split) for item in prompts.items)
        assert len(table) == 8
        assert max(table.values()) == min(table.values())


# Items


def by_story(prompts):
    return [prompts.items[i : i + 3] for i in range(0, len(prompts), 3)]


def test_the_three_tasks_of_a_story_share_everything_but_the_question(domain):
    for story in by_story(draw_plain(domain)):
        assert [item.task for item in story] == list(sets.TASKS)
        assert len({(i.premises, i.pair, i.template, i.split) for i in story}) == 1
        assert story[1].entities[0] == story[2].entities[0]
        assert len({item.prompt.replace(item.question, "") for item in story}) == 1
        assert {item.domain for item in story} == {domain}


@pytest.mark.parametrize("hops", [2, 3])
def test_items_are_well_formed(domain, hops):
    for item in draw_plain(domain, hops=hops, seed=1).items:
        assert item.prompt[slice(*item.subject)] == item.entities[0]
        assert len(set(item.distractors)) == DISTRACTORS
        assert item.answer not in item.distractors
        assert "  " not in item.prompt
        assert (item.answer in item.prompt.split("Question")[0]) or item.task == "recall"
        if item.task == "recall":
            assert not set(item.distractors) & set(invented_names())
        else:
            assert set(item.distractors) <= set(invented_names())


def test_a_recalled_answer_stands_nowhere_in_its_prompt(domain):
    for prompts in (draw_plain(domain), draw_crossed(domain)):
        for item in prompts.items:
            if item.task == "recall":
                assert not re.search(rf"\b{re.escape(item.answer)}\b", item.prompt)


def test_an_answer_is_told_from_its_distractors_by_its_first_word(domain):
    for item in draw_plain(domain).items:
        assert item.answer.split("-")[0] not in {d.split("-")[0] for d in item.distractors}


def test_counterfactuals_differ_in_the_answer_and_not_in_length(domain):
    for item in draw_plain(domain).items:
        before, after = item.prompt.split(), item.counterfactual_prompt.split()
        assert item.counterfactual_answer != item.answer
        assert len(after) == len(before)
        changed = sum(a != b for a, b in zip(before, after, strict=True))
        most = 2 if item.task != "recall" else len(item.entities[0].split())
        assert 0 < changed <= most


# A reader of its own: what a question means, and what follows from the premises

PREMISES = {
    "chemistry": r"(\w+) is (?:a flask of|a compound of|an element in group) (\w+)\.",
    "kinship": r"(\w+) is the child of (\w+)\.",
    "calendar": r"(\w+) is the day before (\w+)\.",
    "arithmetic": r"(\w+) has (\d) more coins than (\w+)\.",
}
STEPS = {
    "kinship": {"great-grandparent": 3, "grandparent": 2, "parent": 1},
    "calendar": {"three days after": 3, "two days after": 2, "after": 1, "follows": 1},
}
NOUNS = ("flask", "compound", "element", "group")


def solve(domain: str, premises: str, question: str, start: str) -> str:
    """The answer by reading alone, in steps that are counted from the question's words."""
    found = re.findall(PREMISES[domain], premises)
    leads = {row[0]: row[-1] for row in found}
    if domain == "arithmetic":
        owed = int(re.search(r"\d", question)[0])
        more = {row[0]: int(row[1]) for row in found}
        while owed:
            owed -= more[start]
            start = leads[start]
        return start
    if domain == "chemistry":
        goal = next(noun for noun in re.findall(r"\w+", question) if noun in NOUNS)
        of = re.search(rf"(\w+) {start}\b", question)[1]
        hops = NOUNS.index(goal) - NOUNS.index(of)
    else:
        hops = next(n for phrase, n in STEPS[domain].items() if phrase in question)
    for _ in range(hops):
        start = leads[start]
    return start


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_answers_follow_from_the_premises_as_the_question_says(domain, hops):
    for item in draw_plain(domain, 100, hops=hops).items:
        if item.task == "recall":
            continue
        ask = (domain, item.question, item.entities[0])
        assert solve(domain, " ".join(item.premises), *ask[1:]) == item.answer
        assert solve(domain, item.counterfactual_prompt, *ask[1:]) == item.counterfactual_answer
        assert item.hops == (hops if item.task == "reasoning" else 1)


def test_no_two_ways_along_a_chain_have_the_same_sum():
    steps = [int(re.search(r"(\d) more", link)[1]) for link in load_domain("arithmetic").links]
    sums = [sum(steps[i:j]) for i in range(3) for j in range(i + 1, 4)]
    assert len(set(sums)) == len(sums) == 6


# Splits, sizes, seeds, names


def test_a_fact_is_not_asked_for_twice(domain):
    asked = [
        recall_question(load_domain(domain), fact, "a", random.Random(0)).text
        for fact in load_domain(domain).facts
    ]
    assert len(asked) == len(set(asked))


def test_splits_share_no_row_and_are_even(domain):
    rows = {(f.entity, f.answer): f.row for f in load_domain(domain).facts}
    halves = {DISCOVERY: set(), EVALUATION: set()}
    for recall, *_ in by_story(draw_plain(domain)):
        halves[recall.split].add(rows[recall.entities])
    assert not halves[DISCOVERY] & halves[EVALUATION]
    assert len(set(Counter(i.split for i in draw_plain(domain).items).values())) == 1


def test_a_small_domain_gives_what_it_has_and_no_more_can_be_asked_for(domain):
    for seed in range(3):
        found = len(draw_plain(domain, seed=seed).pairs)
        assert 130 <= found < 200 if domain in TOO_FEW else found == 200
        assert len(draw_crossed(domain, seed=seed).pairs) == found
    with pytest.raises(MaterialsError, match=f"--items 600 is more than {domain} has"):
        draw_plain(domain, 600)


def test_the_seed_decides_everything(domain):
    for draw in (draw_plain, draw_crossed):
        again = draw.__wrapped__(domain, 20, 3)
        assert again.hash == draw(domain, 20, 3).hash
        assert len({draw(domain, 20, seed).hash for seed in range(4)}) == 4


def test_a_domain_can_be_named_on_the_command_line(domain):
    assert SETS[domain](10, 1) == draw_plain(domain, 10, 1)
    assert SETS[f"{domain}-crossed"](10, 1) == draw_crossed(domain, 10, 1)
    assert SETS[f"{domain}-crossed"](10, 1).name == f"{domain}-crossed"


def test_control_crossings_are_of_the_same_stories(domain):
    main = draw_crossed(domain, 10)
    assert sets.domain_of(main) == domain
    assert sets.domain_of(draw_plain(domain, 10)) == domain
    for control in crossed_controls(10, 0, domain):
        assert control.pairs == main.pairs
        assert {i.premises for i in control.items} == {i.premises for i in main.items}
        assert control.name.startswith(f"{domain}-crossed:")


def test_a_file_that_has_a_domains_name_is_not_taken_for_its_set(tmp_path):
    for name in ("chemistry", "chemistry-crossed"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(
            '{"prompt": "Au is?", "task": "recall"}\n{"prompt": "1 + 1?", "task": "reasoning"}\n'
        )
        theirs = read_prompts(path)
        assert theirs.name == path.name
        assert sets.domain_of(theirs) is None
        assert sets.domain_of(cross_set(theirs)) is None
    assert sets.domain_of(sets.geography_published()) is None


def test_an_unknown_domain_is_an_error_that_names_the_others():
    with pytest.raises(MaterialsError, match="expected one of geography, chemistry"):
        load_domain("alchemy")


def test_two_rows_of_one_name_are_refused(monkeypatch):
    from harness.materials import domains

    twice = lambda _: ({"element": "iron", "symbol": "Fe", "number": "26"},) * 2  # noqa: E731
    monkeypatch.setattr(domains, "table_rows", twice)
    with pytest.raises(MaterialsError, match="'iron' is in two rows"):
        load_domain.__wrapped__("chemistry")


# Held out


@pytest.mark.parametrize("hops", [2, 3])
def test_every_reasoning_question_is_held_out_from_training(domain, hops):
    for item in draw_plain(domain, hops=hops).items:
        if item.task == "reasoning":
            assert is_held_out(*item.entities)


def test_training_never_asks_a_held_out_question(domain):
    rng = random.Random(1)
    patterns = [
        (template.start, re.compile(re.escape(text).replace(r"\{0\}", r"(\w+)")))
        for template in load_domain(domain).story
        if template.task == "reasoning"
        for text in template.wordings
    ]
    asked = 0
    for number in range(150):
        pieces = corpus.text(rng, STAGES[number % len(STAGES)].mix, (domain,))
        text = "".join(piece for piece, _ in pieces)
        for _, pattern in patterns:
            for question in pattern.finditer(text):
                asked += 1
                name = question[1]
                assert not is_held_out(name, solve(domain, text, question[0], name))
    assert asked > 100


# The embedded tokenizer, grown


def test_every_word_of_the_domains_is_one_token_and_texts_come_back():
    tokenizer = load_tokenizer("grown")
    prompts = [draw(name) for name in DOMAINS for draw in (draw_plain, draw_crossed)]
    texts = [f"{item.prompt} {item.answer}." for p in prompts for item in p.items]
    assert tokenizer.batch_decode(tokenizer(texts).input_ids) == texts
    words = {w for text in texts for w in re.findall(r"(?<= )[^\W\d]+(?![\w'-])", text)}
    assert len(words) > 850
    assert {word for word in words if len(tokenizer(f" {word}").input_ids) != 1} == set()
