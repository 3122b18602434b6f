"""Relations are read from their files, and a mistake in one is named with its file and row."""

import shutil
from itertools import pairwise

import pytest

from harness.materials.items import DISCOVERY, EVALUATION, MaterialsError
from harness.materials.relations import (
    FOLDER,
    MADE_UP,
    MATCHED,
    half_of,
    load_relation,
    load_relations,
)

OURS = load_relations()
METALS = "thing,metal\nNugget,gold\nSpoon,silver\nWire,copper\nAnvil,iron\n"
METAL = """\
family = "thing"
facts = "metal.metal"
statement = "The {entity} is made of {answer}."
question = "What is {entity} made of?"
"""


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped folder with one relation more."""
    copy = tmp_path / "relations"
    shutil.copytree(FOLDER, copy)
    (copy / "metal.csv").write_text(METALS, encoding="utf-8")
    (copy / "metal.toml").write_text(METAL, encoding="utf-8")
    return copy


def test_a_relation_is_a_table_and_a_few_lines(folder):
    metal = load_relation("metal", folder)
    assert metal.facts["Spoon"] == "silver"
    assert metal.ask("spoon") == "What is the spoon made of?"
    assert metal.ask("Dileb", 1) == "What is the thing that Dileb has made of?"
    assert metal.state("spoon", "silver") == "The spoon is made of silver."
    assert metal.lead(1, "Dileb", "spoon") == "Dileb has the spoon."
    assert len(load_relations(folder)) == len(OURS) + 1


def test_a_relation_may_phrase_holders_itself():
    capital = load_relation("capital")
    assert capital.ask("Krazis", 1) == "What is the capital of the country of Krazis?"
    assert load_relation("currency").ask("Krazis", 1) == "Which currency is used in Krazis?"


@pytest.mark.parametrize("relation", OURS, ids=lambda r: r.name)
def test_shipped_facts_can_be_asked(relation):
    for half in (DISCOVERY, EVALUATION):
        answers = {a for e, a in relation.facts.items() if half_of(e) == half}
        assert len(answers) >= 4
    for entity, answer in relation.facts.items():
        assert " " not in entity
        assert entity[:3].lower() != answer[:3].lower()
    assert set(relation.latent.values()) <= set(relation.facts)
    assert len(relation.links) == 3


def test_there_are_relations_enough():
    assert len(OURS) >= 12
    assert len([r for r in OURS if r.latent]) >= 8
    assert len({r.links for r in OURS}) >= 3  # story families


def lists_of(relations):
    """Invented names of entities and of the holders that lead to them in one step."""
    return {r.names for r in relations} | {r.links[0].names for r in relations}


@pytest.mark.parametrize("names", [MADE_UP, MATCHED])
def test_invented_names_are_in_no_table_and_in_one_list(names):
    relations = load_relations(names=names)
    lists = lists_of(relations)
    if names == MADE_UP:
        lists |= {link.names for r in OURS for link in r.links}
    else:
        assert not lists & lists_of(OURS)
    invented = [name.lower() for names in lists for name in names]
    assert len(set(invented)) == len(invented)
    known = {w.lower() for r in OURS for pair in r.facts.items() for w in " ".join(pair).split()}
    assert not known & set(invented)
    for some in lists:
        assert all(one < other for one, other in pairwise(some))
        assert {len([n for n in some if half_of(n) == h]) >= 20 for h in (DISCOVERY, EVALUATION)}


MISTAKES = [
    ("metal.toml", METAL + 'colour = "red"\n', "metal.toml: 'colour' is no key"),
    ("metal.toml", METAL.replace("question", "ask"), "metal.toml: 'ask' is no key"),
    ("metal.toml", METAL.replace('family = "thing"\n', ""), "metal.toml: 'family' is missing"),
    ("metal.toml", METAL.replace('"thing"', '"stuff"'), "no family 'stuff' in families.toml"),
    ("metal.toml", METAL.replace("{answer}", "it"), "must hold {entity} and {answer}"),
    ("metal.toml", METAL.replace("is {entity}", "is {x}"), "must hold {entity}"),
    ("metal.toml", METAL.replace("is {entity}", "is {entity"), "must hold {entity}"),
    ("metal.toml", METAL.replace(".metal", ".ore"), "metal.csv: there is no column 'ore'"),
    ("metal.toml", METAL.replace("metal.metal", "ores"), "ores.csv cannot be read"),
    ("metal.toml", METAL + 'neutral = "{entity} {answer}"\n', "go together"),
    ("metal.toml", METAL + 'phrases = ["", "", "", ""]\n', "4 phrases for the 3 links"),
    ("metal.toml", "family = ", "metal.toml cannot be read"),
    ("metal.csv", METALS + "Spoon,iron\n", "metal.csv, row 6: 'Spoon' stands above already"),
    ("metal.csv", METALS + "Bell\n", "metal.csv, row 6: 1 cells, and the head has 2"),
    ("metal.csv", METALS + "Bell ,bronze\n", "metal.csv, row 6: a name is empty or ends in"),
    ("metal.csv", "thing,metal\nSpoon,silver\n", "fewer than two answers"),
    ("metal.csv", "", "expected a head of two columns"),
]


@pytest.mark.parametrize(("file", "text", "said"), MISTAKES)
def test_mistakes_are_named_with_file_and_row(folder, file, text, said):
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(MaterialsError) as raised:
        load_relation("metal", folder)
    assert said in str(raised.value)
    assert str(raised.value).endswith(".")


def test_halves_do_not_depend_on_the_relation():
    assert {half_of("France"), half_of("Germany"), half_of("dog"), half_of("cat")} == {
        DISCOVERY,
        EVALUATION,
    }
