"""Relations as values: questions that have one wording for known and for invented entities.

A relation is a TOML file of a few lines beside a table of facts, in `prompts/relations/`; a family
says what its invented entities are called and which links lead to them. `prompts/README.md` says
what the keys mean.
"""

import csv
import hashlib
import re
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.materials.domains import PROMPTS
from harness.materials.items import DISCOVERY, EVALUATION, MaterialsError

FOLDER = PROMPTS / "relations"
FAMILIES = "families"
MADE_UP, MATCHED = "made-up", "matched"  # lists of invented names; the second is a folder too
SALT = "193"  # with it both halves of the tables hold about as many facts and answers
REQUIRED = ("family", "statement", "question")
OPTIONAL = ("facts", "latent", "phrases", "neutral", "neutral_question")
PLACES = {
    "statement": {"entity", "answer"},
    "question": {"entity"},
    "neutral": {"entity", "answer"},
    "neutral_question": {"entity"},
}
ALIKE = 3  # letters


@dataclass(frozen=True, slots=True)
class Link:
    """How a new name leads to the one before it.

    Attributes:
        names: Invented names for the holder.
        text: The premise, with {holder} and {entity}.
        phrase: How the holder stands in a question, with {name}.
    """

    names: tuple[str, ...]
    text: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A question type.

    Attributes:
        name: That of its TOML file.
        family: What its entities are, a key of families.toml.
        names: Invented names for its entities.
        phrase: How an entity stands in a question, with {name}.
        links: From the nearest to the entity on.
        statement: A fact as a premise, with {entity} and {answer}.
        question: With {entity}, known or invented.
        facts: Answers by known entity.
        latent: Known entities by what leads to them without being told.
        neutral: Something that no model knows of a known entity; empty if there is none.
        neutral_question: What asks for it.
    """

    name: str
    family: str
    names: tuple[str, ...]
    phrase: str
    links: tuple[Link, ...]
    statement: str
    question: str
    facts: Mapping[str, str]
    latent: Mapping[str, str] = field(default_factory=dict)
    neutral: str = ""
    neutral_question: str = ""

    def ask(self, name: str, level: int = 0) -> str:
        """The question about an entity (level 0) or about the holder of so many links."""
        if level:
            phrase = self.links[level - 1].phrase.format(name=name)
            return _sentence(self.question.format(entity=phrase))
        return self.put(self.question, name)

    def put(self, text: str, name: str) -> str:
        """A sentence with {entity}, about an entity of this relation."""
        return _sentence(text.format(entity=self.phrase.format(name=name)))

    def state(self, entity: str, answer: str) -> str:
        """A fact as a premise."""
        return _sentence(self.statement.format(entity=entity, answer=answer))

    def ask_neutral(self, entity: str) -> str:
        """The question about what a story tells of a known entity."""
        return self.put(self.neutral_question, entity)

    def state_neutral(self, entity: str, answer: str) -> str:
        """What a story tells of a known entity."""
        return _sentence(self.neutral.format(entity=entity, answer=answer))

    def lead(self, level: int, holder: str, entity: str) -> str:
        """The premise by which a holder leads to the name before it."""
        return _sentence(self.links[level - 1].text.format(holder=holder, entity=entity))

    def tell(self, ladder: Sequence[str], answer: str) -> list[str]:
        """The premises from the last name of a ladder down to the answer of its first, in order."""
        links = range(len(ladder) - 1, 0, -1)
        told = [self.lead(k, ladder[k], ladder[k - 1]) for k in links]
        return [*told, self.state(ladder[0], answer)]


@cache
def half_of(name: str) -> str:
    """The split that an entity belongs to, in every relation; it depends on the name alone."""
    odd = hashlib.sha256(f"{SALT}/{name}".encode()).digest()[0] % 2
    return EVALUATION if odd else DISCOVERY


@cache
def load_relations(folder: Path = FOLDER, names: str = MADE_UP) -> tuple[Relation, ...]:
    """Every relation of a folder, by name.

    Args:
        folder: Where they are.
        names: `made-up`, or `matched`: names that tokenizers cut into as many pieces as known
            entities, where the folder `matched` has a list for the family.

    Raises:
        MaterialsError: If anything in it cannot be used; the message names file and row.
    """
    found = sorted(path.stem for path in folder.glob("*.toml") if path.stem != FAMILIES)
    if not found:
        raise MaterialsError(f"{folder} holds no relation: expected NAME.toml files.")
    return tuple(load_relation(name, folder, names) for name in found)


def load_relation(name: str, folder: Path = FOLDER, names: str = MADE_UP) -> Relation:
    """A relation of a folder; `names` as in `load_relations`.

    Left out of its facts: entities of several words, since invented names have one, and answers
    that begin like a word of the entity, which could be guessed from the question's letters.

    Raises:
        MaterialsError: If there is none of this name, or it cannot be used.
    """
    file = folder / f"{name}.toml"
    if not re.fullmatch("[a-z_]+", name):
        raise MaterialsError(f"{file.name}: a relation's name has small letters and _ alone.")
    raw = _toml(file)
    _check_keys(file, raw)
    table, _, column = raw.get("facts", name).partition(".")
    facts = {
        entity: answer
        for entity, answer in _facts(folder / f"{table}.csv", column).items()
        if answer and _can_be_asked(entity, answer)
    }
    latent = {}
    if "latent" in raw:
        latent = {
            holder: entity
            for holder, entity in _facts(folder / f"{raw['latent']}.csv", "").items()
            if entity in facts and _can_be_asked(holder, facts[entity])
        }
    if len(set(facts.values())) < 2:
        raise MaterialsError(
            f"{file.name}: {table}.csv leaves fewer than two answers to choose from; add facts."
        )
    family = _family(file, raw, folder)
    lists = _lists(folder, raw["family"], family, names)
    return Relation(
        name=name,
        family=raw["family"],
        names=lists[0],
        phrase=family["phrase"],
        links=_links(lists[1:], family, raw.get("phrases", ())),
        statement=raw["statement"],
        question=raw["question"],
        facts=facts,
        latent=latent,
        neutral=raw.get("neutral", ""),
        neutral_question=raw.get("neutral_question", ""),
    )


def _check_keys(file: Path, raw: Mapping[str, Any]) -> None:
    known = (*REQUIRED, *OPTIONAL)
    for key in raw:
        if key not in known:
            raise MaterialsError(f"{file.name}: {key!r} is no key; expected {', '.join(known)}.")
    for key in REQUIRED:
        if key not in raw:
            raise MaterialsError(f"{file.name}: {key!r} is missing.")
    if ("neutral" in raw) != ("neutral_question" in raw):
        raise MaterialsError(f"{file.name}: neutral and neutral_question go together.")
    for key, wanted in PLACES.items():
        if key in raw and _places(raw[key]) != wanted:
            told = " and ".join(f"{{{place}}}" for place in sorted(wanted, reverse=True))
            raise MaterialsError(f"{file.name}: {key} {raw[key]!r} must hold {told}.")


def _places(text: str) -> set[str]:
    try:
        return {place for _, place, _, _ in string.Formatter().parse(text) if place is not None}
    except ValueError:  # a brace that is not closed
        return set()


def _family(file: Path, raw: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    families = _toml(folder / f"{FAMILIES}.toml")
    if raw["family"] not in families:
        raise MaterialsError(
            f"{file.name}: there is no family {raw['family']!r} in {FAMILIES}.toml; "
            f"expected one of {', '.join(families)}."
        )
    found: Mapping[str, Any] = families[raw["family"]]
    if len(raw.get("phrases", ())) > len(found["links"]):
        raise MaterialsError(
            f"{file.name}: {len(raw['phrases'])} phrases for the {len(found['links'])} links "
            f"of the family {raw['family']!r}."
        )
    return found


def _links(
    lists: Sequence[tuple[str, ...]], family: Mapping[str, Any], phrases: Sequence[str]
) -> tuple[Link, ...]:
    """The family's links; a relation may phrase the holders in its question itself."""
    own = [*phrases, *(link["phrase"] for link in family["links"][len(phrases) :])]
    return tuple(
        Link(names, link["text"], phrase)
        for names, link, phrase in zip(lists, family["links"], own, strict=True)
    )


def _lists(folder: Path, name: str, family: Mapping[str, Any], names: str) -> list[tuple[str, ...]]:
    """Invented names of a family: for its entities, then for the holders of each link."""
    lists = []
    for level, plain in enumerate((family["names"], *(link["names"] for link in family["links"]))):
        matched = f"{MATCHED}/{name}{f'-{level}' if level else ''}"
        other = names == MATCHED and (folder / f"{matched}.txt").is_file()
        lists.append(_names(folder, matched if other else plain))
    return lists


def _facts(file: Path, column: str) -> dict[str, str]:
    """A column (or the second one) of a table by its first column."""
    rows = _rows(file)
    head = rows[0]
    if column and column not in head[1:]:
        raise MaterialsError(
            f"{file.name}: there is no column {column!r}; expected one of {', '.join(head[1:])}."
        )
    at = head.index(column) if column else 1
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(head):
            raise MaterialsError(
                f"{file.name}, row {number}: {len(row)} cells, and the head has {len(head)}."
            )
        if any(cell != cell.strip() for cell in row) or not row[0]:
            raise MaterialsError(f"{file.name}, row {number}: a name is empty or ends in a blank.")
        if row[0] in found:
            raise MaterialsError(f"{file.name}, row {number}: {row[0]!r} stands above already.")
        found[row[0]] = row[at]
    return found


def _rows(file: Path) -> list[list[str]]:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened))
    except (OSError, UnicodeDecodeError) as error:
        raise MaterialsError(f"{file.name} cannot be read: {error}.") from None
    if len(rows) < 2 or len(rows[0]) < 2:
        raise MaterialsError(f"{file.name}: expected a head of two columns or more, and rows.")
    return rows


def _can_be_asked(name: str, answer: str) -> bool:
    return " " not in name and not _beginnings(name) & _beginnings(answer)


def _beginnings(text: str) -> set[str]:
    return {word[:ALIKE].lower() for word in re.findall(r"\w+", text)}


def _names(folder: Path, name: str) -> tuple[str, ...]:
    try:
        return tuple((folder / f"{name}.txt").read_text(encoding="utf-8").split())
    except OSError:
        raise MaterialsError(f"{FAMILIES}.toml: there is no list of names {name}.txt.") from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MaterialsError(f"{file.name} cannot be read: {error}.") from None


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
