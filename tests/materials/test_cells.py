"""In a contrast of cells nothing differs but the question: answers are balanced exactly."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import pytest

from harness.materials import cell_sets
from harness.materials.cell_sets import CONTRASTS, NAMES, draw_cells, parse
from harness.materials.cells import CELLS, SOURCE, demonstration_plan, fits, has_latent
from harness.materials.difficulty import Difficulty, parse_difficulty
from harness.materials.items import DISCOVERY, EVALUATION, MaterialsError
from harness.materials.known_stories import TURNS, friend
from harness.materials.relations import MADE_UP, MATCHED, half_of, load_relations
from harness.materials.surface import (
    refuse_if_told_apart,
    token_balance,
    transfer_between_relations,
)
from tests.materials.test_relations import METAL
from tests.support.material_checks import REAL, SEEDS, TOKENIZERS, encode, load_tokenizer

SETTINGS = [
    Difficulty(),
    Difficulty(shots=6),
    Difficulty(shots=0),
    Difficulty(shots=2, chains=2),
    Difficulty(shots=4, chains=4, order="shuffled"),
    Difficulty(shots=8, chains=4),
    Difficulty(order="shuffled", steps=4),
    Difficulty(names=MATCHED),
]
SAME_WORDS = ("cells:recall-lookup", "cells:latent-reasoning")
KNOWN = ("conflict", "neutral", "known")
SINGLE = (*(f"cells:{a}-{b}" for a, b in CONTRASTS), *KNOWN)
BALANCED = [
    (name, difficulty)
    for name in SINGLE
    for difficulty in SETTINGS
    if name != "cells:latent-reasoning" or difficulty.steps == 2
    # Two kinds cannot show every answer twice.
    if name not in KNOWN or difficulty.shots <= difficulty.chains
]
CROSSED = [name for name in NAMES if "crossed" in name]
RELATIONS = {relation.name: relation for relation in load_relations()}
drawn = cache(draw_cells)  # the same set for every tokenizer


def solved(item):
    """(question, answer) of the demonstrations, in order."""
    return re.findall(r"Question: (.*)\nAnswer: (.+)", item.premises[0])


def told(item):
    """The answers of the story, in its order."""
    story = item.premises[0].split("\n")[0]
    found = {answer: story.rfind(f" {answer}.") for answer in (item.answer, *item.distractors)}
    assert min(found.values()) > 0
    return sorted(found, key=found.get)


def facts_of(item):
    """What a contrast must not differ in, each with its name."""
    answers = told(item)
    shown = [answer for _, answer in solved(item)]
    yield "answer", item.answer
    yield "place", answers.index(item.answer)
    yield "last named", answers[-1] == item.answer
    yield "distractors", frozenset({item.answer, *item.distractors})
    yield "demonstrated", shown.count(item.answer)
    yield "demonstrated last", shown[-1:] == [item.answer]
    yield "places of demonstration", tuple(i for i, a in enumerate(shown) if a == item.answer)
    yield "premises", item.premises[0]
    yield "length", len(item.premises[0].split())


def block_counts(prompts):
    """By block and task, how often each fact occurs."""
    counts = {}
    for item in prompts.items:
        counts.setdefault((item.pair, item.task), Counter()).update(facts_of(item))
    return counts


@pytest.mark.parametrize(("name", "difficulty"), BALANCED, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_answers_are_balanced_in_every_block(name, difficulty, seed, monkeypatch):
    monkeypatch.setattr(cell_sets, "refuse_if_told_apart", lambda _: None)  # below
    prompts = draw_cells(name, 30, seed, difficulty)
    counts = block_counts(prompts)
    for block in prompts.pairs:
        one, other = (counts[block, task] for task in prompts.tasks)
        assert one == other


@pytest.mark.parametrize("seed", SEEDS)
def test_two_relations_in_a_cell_are_told_first_equally_often(seed):
    prompts = drawn("cells:recall/capital-food", 72, seed)
    first = Counter()
    for item in prompts.items:
        answers = (item.answer, *item.distractors)
        story = item.premises[0].split("\n")[0]
        starts = min(story.find(f" {answer}.") for answer in answers) < len(story) / 3
        first[item.task, item.split, starts] += 1
    assert len(set(first.values())) == 1
    for task in prompts.tasks:
        blocks = [i for i in prompts.items if i.task == task and i.pair == prompts.pairs[0]]
        assert sorted(i.answer for i in blocks) == sorted(
            (i.answer, *i.distractors)[0] for i in blocks
        )
        assert len({i.answer for i in blocks}) == 3


@pytest.mark.parametrize("difficulty", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_demonstrations_ask_nothing_that_is_asked_later(difficulty, seed):
    for item in drawn("cells", 60, seed, difficulty).items:
        questions = [question for question, _ in solved(item)]
        assert item.question not in questions
        assert len(set(questions)) == len(questions) == difficulty.shots
        shown = Counter(answer for _, answer in solved(item))
        each = difficulty.shots // difficulty.chains
        assert all(shown[a] == each for a in (item.answer, *item.distractors))


@pytest.mark.parametrize("steps", [2, 3, 4])
@pytest.mark.parametrize("order", ["told", "shuffled"])
def test_answers_follow_from_the_story_or_from_the_tables(steps, order):
    prompts = drawn("cells", 200, 1, Difficulty(order=order, steps=steps))
    for item in prompts.items:
        relation, name = RELATIONS[item.relation], item.entities[0]
        story = item.premises[0].split("\n")[0]
        assert item.source == SOURCE[item.task]
        assert item.prompt[slice(*item.subject)] == name
        if item.task == "recall":
            assert relation.facts[name] == item.answer
        elif item.task == "latent":
            assert relation.facts[relation.latent[name]] == item.answer
        if item.source == "weights":
            assert not re.search(rf"\b{re.escape(name)}\b", story)
            assert item.steps == (1 if item.task == "recall" else 2)
            continue
        sentences = re.findall(r"[^.]+\.", story)
        assert item.steps == (1 if item.task == "lookup" else steps)
        for _ in range(item.steps - 1):  # each name but the last is the only way on
            (on,) = (s for s in sentences if re.search(rf"\b{name}\b", s) and leads(s, name))
            (name,) = set(names_in(on)) - {name}
        assert any(name in s and s.endswith(f" {item.answer}.") for s in sentences)


INVENTED = {
    n for r in RELATIONS.values() for n in (*r.names, *(x for k in r.links for x in k.names))
}


def names_in(sentence):
    """Made-up names of a premise."""
    return [word for word in re.findall(r"\w+", sentence) if word in INVENTED]


def leads(sentence, holder):
    """Whether the premise leads on from this name."""
    relation_texts = {link.text for r in RELATIONS.values() for link in r.links}
    (other, *_) = [*(n for n in names_in(sentence) if n != holder), ""]
    texts = (t.format(holder=holder, entity=other) for t in relation_texts)
    return sentence.strip() in {t[0].upper() + t[1:] for t in texts}


@pytest.mark.parametrize("name", ["cells", "conflict", "neutral", "cells:latent/capital-opposite"])
def test_halves_share_no_name(name):
    for item in drawn(name, 200, 2).items:
        assert half_of(item.entities[0]) == item.split
    halves = Counter(i.split for i in drawn(name, 200, 2).items)
    assert len(set(halves.values())) == 1


def test_all_cells_ask_with_the_same_words():
    for relation in RELATIONS.values():
        words = {
            cell: re.sub(r"\bX\b", "", relation.ask("X", level))
            for cell, level in (("recall", 0), ("lookup", 0), ("reasoning", 1), ("latent", 1))
        }
        assert words["recall"] == words["lookup"]
        assert words["latent"] == words["reasoning"]


def saying(kind, relation):
    """What a story of known entities says of one, by entity and answer."""
    if kind == "known":
        return lambda entity, answer: relation.state(friend(relation, entity), answer)
    return relation.state if kind == "conflict" else relation.state_neutral


@pytest.mark.parametrize("kind", KNOWN)
def test_stories_of_known_entities_say_what_is_not_so_or_not_known(kind):
    for item in drawn(kind, 60).items:
        relation, (name, answer) = RELATIONS[item.relation], item.entities
        say = saying(kind, relation)
        assert (relation.facts[name] == answer) == (item.task == "recall")
        assert (say(name, answer) in item.premises[0]) == (item.task == "lookup")
        if kind == "conflict":
            opening = "In fact, " if item.task == "recall" else "According to the text, "
            assert item.question.startswith(opening)


@pytest.mark.parametrize("chains", [2, 3, 4])
def test_known_stories_are_about_entities_that_have_none_of_the_answers(chains):
    prompts = draw_cells("known", 60, 1, Difficulty(chains, chains))
    for item in prompts.items:
        story, facts = item.premises[0].split("\n")[0], RELATIONS[item.relation].facts
        say, answers = saying("known", RELATIONS[item.relation]), (item.answer, *item.distractors)
        told = [name for name in facts if any(say(name, answer) in story for answer in answers)]
        assert len(told) == chains
        assert not {facts[name] for name in told} & {*answers}
        asked = item.entities[0]
        assert len(re.findall(rf"\b{re.escape(asked)}\b", story)) == 1
        assert (asked in told) == (item.task == "lookup")


def test_known_stories_ask_both_questions_with_the_same_words_in_every_relation():
    prompts = draw_cells("known", 100, 1, Difficulty(2, 2))
    assert {item.relation for item in prompts.items} == set(RELATIONS)
    words = defaultdict(set)
    for item in prompts.items:
        asked = re.sub(rf"\b{re.escape(item.entities[0])}\b", "X", item.question)
        words[item.relation, item.task].add(asked)
    for relation in RELATIONS:
        (recall,), (lookup,) = (words[relation, task] for task in ("recall", "lookup"))
        phrase = "friend of the X" if "the X" in recall else "the friend of X"
        assert lookup == recall.replace("X", phrase)


@pytest.mark.parametrize("chains", [2, 3, 4])
def test_known_stories_tell_nothing_of_where_the_recalled_answer_is(chains):
    """In a block the name stands in one place, and its answer is told in each place once."""
    blocks = defaultdict(list)
    for item in draw_cells("known", 120, 1, Difficulty(chains, chains)).items:
        if item.task == "recall":
            story = item.premises[0].split("\n")[0]
            sentences = re.findall(r"[^.]+\.", story)
            named = [s for s in sentences if s.strip().startswith("Nothing is said about")]
            told = [s for s in sentences if s not in named]
            (place,) = (n for n, s in enumerate(named) if item.entities[0] in s)
            (answer,) = (n for n, s in enumerate(told) if item.answer in s)
            blocks[item.pair].append((place, answer, story.startswith("Nothing")))
    places, first = set(), set()
    for rows in blocks.values():
        assert sorted(answer for _, answer, _ in rows) == [*range(chains)]
        assert len({(place, begins) for place, _, begins in rows}) == 1
        places.add(rows[0][0])
        first.add(rows[0][2])
    assert places == {*range(chains)}
    assert first == {True, False}


@pytest.mark.parametrize("name", [*CROSSED, "cells-crossed:lookup/capital-young"])
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_crossed_cells_do_not_differ_in_a_single_token(tokenizer, name):
    tokenizer = load_tokenizer(tokenizer)
    for seed in SEEDS:
        prompts = drawn(name, 30, seed)
        ids = encode(tokenizer, prompts)
        assert token_balance(prompts.items, ids, prompts.tasks).exact
        four = prompts.items[:4]
        assert token_balance(four, ids[:4], prompts.tasks).exact
        assert {(i.order, i.label) for i in four} == {(1, 1), (1, 2), (2, 1), (2, 2)}
        assert prompts.grade == "A"


def test_crossed_demonstrations_show_how_labels_are_followed():
    for item in drawn("cells-crossed:recall-lookup", 30).items:
        rows = re.findall(
            r"Question 1: (.*)\nQuestion 2: (.*)\nAnswer to question (\d): (.+)", item.premises[0]
        )
        assert sorted(answer for *_, answer in rows) == sorted((item.answer, *item.distractors))
        assert item.prompt.endswith(f"Answer to question {item.label}:")


@pytest.mark.parametrize("name", ["cells", *KNOWN, "cells:recall/capital-workplace"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_counterfactual_asks_about_another_entity_with_another_answer_of_the_story(name, seed):
    for item in drawn(name, 60, seed).items:
        other = item.counterfactual_prompt
        assert other.startswith(item.premises[0])
        assert len(other.split()) == len(item.prompt.split())
        assert item.counterfactual_answer in item.distractors
        asked = other.rsplit("Question: ", 1)[1].removesuffix("\nAnswer:")
        left, right = (item.question.split(item.entities[0])[at] for at in (0, -1))
        assert asked.startswith(left)
        assert asked.endswith(right)
        about = asked.removeprefix(left).removesuffix(right)
        assert about != item.entities[0]
        if name not in KNOWN:  # of two kinds one is shown twice, about both other chains
            assert asked not in [question for question, _ in solved(item)]
        assert half_of(about) == item.split
        assert truth(item, about) == item.counterfactual_answer


def truth(item, name):
    """The answer that tables or story give for another entity."""
    relation = RELATIONS[item.relation]
    if item.source == "weights":
        return relation.facts[relation.latent[name] if item.task == "latent" else name]
    story = item.premises[0].split("\n")[0]
    sentences = [s.strip() for s in re.findall(r"[^.]+\.", story)]
    while True:
        held = [s for s in sentences if re.search(rf"\b{re.escape(name)}\b", s)]
        answers = [
            a for a in (item.answer, *item.distractors) for s in held if s.endswith(f" {a}.")
        ]
        if answers:
            return answers[0]
        (on,) = (s for s in held if leads(s, name))
        (name,) = set(names_in(on)) - {name}


# The surface


def test_words_of_some_relations_tell_nothing_of_another_one():
    for name in SAME_WORDS:
        for seed in SEEDS:
            found = transfer_between_relations(drawn(name, 60, seed))
            assert found.at_chance
            assert abs(found.auc - 0.5) <= 0.06


@pytest.mark.parametrize("tokenizer", REAL)
@pytest.mark.parametrize("name", SAME_WORDS)
def test_pieces_of_matched_names_tell_nothing_of_another_relation(tokenizer, name):
    tokenizer = load_tokenizer(tokenizer)
    prompts = drawn(name, 100, 0, Difficulty(names=MATCHED))
    found = transfer_between_relations(prompts, encode(tokenizer, prompts))
    assert found.at_chance
    assert abs(found.auc - 0.5) <= 0.05


def test_pieces_of_made_up_names_give_the_source_away():
    tokenizer = load_tokenizer("qwen2.5")
    prompts = drawn("cells:recall-lookup", 100, 0)
    found = transfer_between_relations(prompts, encode(tokenizer, prompts))
    assert found.low > 0.5


@pytest.mark.parametrize("tokenizer", REAL)
@pytest.mark.parametrize("half", [DISCOVERY, EVALUATION])
def test_matched_names_have_about_as_many_pieces_as_known_ones(tokenizer, half):
    tokenizer = load_tokenizer(tokenizer)

    def pieces(names):
        cut = [tokenizer(f" {name}", add_special_tokens=False).input_ids for name in names]
        return sum(map(len, cut)) / len(cut)

    def off(names):
        """Pieces that invented names have more than known ones, a mean over relations."""
        relations = load_relations(names=names)
        here = [
            [[name for name in some if half_of(name) == half] for some in (r.names, r.facts)]
            for r in relations
        ]
        return sum(pieces(invented) - pieces(known) for invented, known in here) / len(here)

    assert abs(off(MATCHED)) <= 0.2
    assert off(MADE_UP) >= 0.8


def test_a_set_that_words_tell_apart_is_refused():
    honest = drawn(SAME_WORDS[0], 60)
    refuse_if_told_apart(honest)

    def said(item):
        return item.prompt.replace("\nAnswer:", " Please!\nAnswer:")

    telling = tuple(
        replace(item, prompt=said(item)) if item.task == "recall" else item for item in honest.items
    )
    with pytest.raises(MaterialsError, match="words alone tell recall and lookup apart"):
        refuse_if_told_apart(replace(honest, items=telling))


def test_latent_is_no_partner_for_three_steps():
    with pytest.raises(MaterialsError, match="latent questions have 2 steps"):
        draw_cells("cells:latent-reasoning", 60, 0, Difficulty(steps=3))


# Names


@pytest.mark.parametrize("name", [*NAMES, "cells:lookup/food-young"])
def test_a_set_can_be_drawn_again_from_its_name(name):
    difficulty = Difficulty(order="shuffled")
    prompts = drawn(name, 12, 3, difficulty)
    assert prompts.name == f"{name}@{difficulty}"
    assert draw_cells(prompts.name, 12, 3) == prompts
    assert drawn(name, 12, 3).hash != prompts.hash
    assert drawn(name, 12, 4, difficulty).hash != prompts.hash
    assert parse_difficulty(str(difficulty)) == difficulty


def test_the_cells_of_a_contrast_are_those_of_the_whole_set():
    cells = drawn("cells", 60)
    assert {item.task for item in cells.items} == set(CELLS)
    two = drawn("cells:recall-lookup", 60)
    assert {i.prompt for i in two.items} <= {i.prompt for i in cells.items}
    assert cells.count()["recall"] == 60


@pytest.mark.parametrize("name", ["geography", "cells.jsonl", "mine/cells", "conflict.csv"])
def test_other_names_are_not_ours(name):
    assert parse(name) is None


WRONG = [
    ("cells:lookup-recall", "is no set"),
    ("cells:recall-recall", "is no set"),
    ("cells:recall/food-food", "is no set"),
    ("cells:guess/food-young", "is no set"),
    ("cells-crossed", "is no set"),
    ("conflict:recall-lookup", "is no set"),
    ("cells:recall/food-metal", "there is no relation 'metal'"),
    ("cells:latent/capital-birth", "there is no relation 'birth' for this cell"),
    ("cells@hard", "is no difficulty"),
    ("cells@chains3-shots4-told-steps2", "--shots 4 with --chains 3"),
]


@pytest.mark.parametrize(("name", "said"), WRONG)
def test_a_wrong_name_is_answered_with_what_is_expected(name, said):
    with pytest.raises(MaterialsError) as raised:
        draw_cells(name, 12)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "numbers",
    [
        *({"chains": 1}, {"chains": 9}, {"steps": 1}, {"steps": 5}),
        *({"order": "random"}, {"shots": -3}, {"shots": 9}, {"shots": 4, "chains": 2}),
    ],
)
def test_a_setting_that_is_none_is_refused(numbers):
    with pytest.raises(MaterialsError, match=f"--(?:{'|'.join(numbers)}) "):
        Difficulty(**numbers)


def test_more_shots_than_two_kinds_can_show_are_refused():
    import random

    with pytest.raises(MaterialsError, match="--shots 6 are too many"):
        demonstration_plan(random.Random(0), Difficulty(shots=6), TURNS)


def test_no_items_are_refused():
    with pytest.raises(MaterialsError, match="--items 0"):
        draw_cells("cells", 0)


# What a person adds


def test_a_relation_of_ones_own_is_drawn_like_ours(tmp_path):
    from harness.materials.relations import FOLDER

    for file in (*FOLDER.glob("families.toml"), *FOLDER.glob("*.txt")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    things = (f"thing{letter},metal{n % 5}" for n, letter in enumerate("abcdefghijklmnopqrst"))
    (tmp_path / "metal.csv").write_text("thing,metal\n" + "\n".join(things), encoding="utf-8")
    (tmp_path / "metal.toml").write_text(METAL, encoding="utf-8")
    prompts = draw_cells("cells", 30, folder=tmp_path)
    assert prompts.count() == {"recall": 30, "lookup": 30, "reasoning": 30}
    with pytest.raises(MaterialsError, match="no relation gives conflict"):
        draw_cells("conflict", 30, folder=tmp_path)


def test_every_shipped_relation_fits_the_default():
    assert all(fits(relation, Difficulty()) for relation in RELATIONS.values())
    assert sum(has_latent(relation, 3) for relation in RELATIONS.values()) >= 8
    assert {i.split for i in drawn("cells", 1).items} >= {DISCOVERY}
