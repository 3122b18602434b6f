"""Domains: stored facts and wordings, read from `prompts/`.

A domain is a TOML file of wordings with one or more tables of facts; `prompts/README.md` explains
the keys. Invented names and the frames around questions are the same in all domains.
"""

import csv
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.files import DATA
from harness.materials.items import MaterialsError

PROMPTS = DATA / "prompts"
WORDINGS = ("a", "b")


@dataclass(frozen=True, slots=True)
class Fact:
    """A stored fact.

    Attributes:
        row: What the fact is about, such as a country; all facts of a row fall into one split.
        entity: What the question names: usually the row, otherwise another cell of it.
        relation: What is asked about the entity, such as its capital.
        answer: Its answer.
    """

    row: str
    entity: str
    relation: str
    answer: str


@dataclass(frozen=True, slots=True)
class RecallTemplate:
    """A question for a stored fact.

    Attributes:
        relation: Its name in the domain.
        wordings: One text for each of `WORDINGS`; {0} is the entity.
        also: Further wrong answers of the right type, which are the answer of no fact.
    """

    relation: str
    wordings: tuple[str, ...]
    also: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoryTemplate:
    """A question for the name that is `hops` links after level `start` of a chain."""

    task: str  # lookup or reasoning
    start: int
    hops: int
    wordings: tuple[str, ...]

    @property
    def kind(self) -> str:
        """`start+hops`, unique in a domain."""
        return f"{self.start}+{self.hops}"


@dataclass(frozen=True)
class Domain:
    """A topic of materials.

    Attributes:
        name: As on the command line.
        about: Its facts and stories, in one line.
        tables: Names of the files with its facts.
        links: The premise from each level of a chain to the next; {0} and {1} are names.
        recall: Questions for stored facts.
        story: Questions for names in a chain.
        rows: What the facts are about, in the order of the tables.
        facts: Every stored fact that can be asked for, row by row.
    """

    name: str
    about: str
    tables: tuple[str, ...]
    links: tuple[str, ...]
    recall: tuple[RecallTemplate, ...]
    story: tuple[StoryTemplate, ...]
    rows: tuple[str, ...]
    facts: tuple[Fact, ...]

    @property
    def levels(self) -> int:
        """Names in a chain."""
        return len(self.links) + 1

    def template_of(self, relation: str) -> RecallTemplate:
        """How facts of this relation are asked for."""
        return next(template for template in self.recall if template.relation == relation)


@cache
def invented_names() -> tuple[str, ...]:
    """The invented names, in the order of names.txt."""
    return tuple((PROMPTS / "names.txt").read_text(encoding="utf-8").split())


@cache
def frames(group: str) -> dict[str, str]:
    """The frames around one question (`plain`) or two (`crossed`), by name."""
    by_name: dict[str, str] = _toml("frames")[group]
    return by_name


@cache
def published_templates() -> dict[str, str]:
    """The two templates of geography-published.toml, by task."""
    templates: dict[str, str] = _toml("geography-published")["templates"]
    return templates


@cache
def load_domain(name: str) -> Domain:
    """A domain of `prompts/`.

    Raises:
        MaterialsError: If there is no such domain, or two rows of its tables have the same name.
    """
    if name not in DOMAINS:
        raise MaterialsError(f"there is no domain {name!r}; expected one of {', '.join(DOMAINS)}.")
    raw = _toml(name)
    tables = {table: table_rows(table) for table in raw["tables"]}
    recalled = [q for q in raw["question"] if q["task"] == "recall"]
    keys = [next(iter(row.values())) for rows in tables.values() for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise MaterialsError(f"{twice!r} is in two rows of {name}'s tables: name each row once.")
    return Domain(
        name=name,
        about=raw["about"],
        tables=tuple(tables),
        links=tuple(raw["premises"].values()),
        recall=tuple(
            RecallTemplate(q["relation"], _wordings(q), tuple(q.get("also", ()))) for q in recalled
        ),
        story=tuple(
            StoryTemplate(q["task"], start, q["hops"], _wordings(q))
            for q in raw["question"]
            if q["task"] != "recall"
            for start in _listed(q["start"])
        ),
        rows=tuple(keys),
        facts=tuple(
            fact
            for table, rows in tables.items()
            for row in rows
            for q in recalled
            if q.get("table", raw["tables"][0]) == table
            for fact in _facts(q, row)
        ),
    )


@cache
def table_rows(table: str) -> tuple[dict[str, str], ...]:
    """The rows of a table of facts; the first column names what a row is about."""
    with (PROMPTS / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _facts(question: Mapping[str, Any], row: Mapping[str, str]) -> Sequence[Fact]:
    """The facts of one row that a question asks for.

    Left out are empty cells, and answers that share a word with the entity (Mexico City,
    forty-five divided by nine): they could be copied from the question.
    """
    key = next(iter(row))
    given = _listed(question.get("given", f"{{{key}}}"))
    asks = _listed(question.get("asks", question["relation"]))
    asks = asks * len(given) if len(asks) == 1 else asks
    by_entity = {}
    for form, column in zip(given, asks, strict=True):
        entity, answer = form.format(**row), row[column]
        if answer and not _can_be_copied(answer, entity):
            by_entity[entity] = Fact(row[key], entity, question["relation"], answer)
    return list(by_entity.values())


def _can_be_copied(answer: str, entity: str) -> bool:
    inside = re.search(rf"\b{re.escape(answer)}\b", entity)
    return bool(inside or set(entity.split()) & set(answer.split()))


def _wordings(question: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(question[wording] for wording in WORDINGS)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((PROMPTS / f"{name}.toml").read_text(encoding="utf-8"))


def _domains() -> tuple[str, ...]:
    """The domains of the folder, by their `order`; those without one come last, by name."""
    files = {path.stem: _toml(path.stem) for path in PROMPTS.glob("*.toml")}
    order = {name: file.get("order", math.inf) for name, file in files.items() if "tables" in file}
    return tuple(sorted(order, key=lambda name: (order[name], name)))


DOMAINS = _domains()
