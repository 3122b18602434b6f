"""Domains as values: stored facts and wordings, read from `prompts/`.

A domain is a TOML file of wordings beside one or more tables of facts; `prompts/README.md` says
what the keys mean. The invented names and the frames around questions are the same in all domains.
"""

import csv
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.files import ROOT
from harness.materials.items import MaterialsError

PROMPTS = ROOT / "prompts"
DOMAINS = ("geography", "chemistry", "kinship", "calendar", "arithmetic")
WORDINGS = ("a", "b")


@dataclass(frozen=True, slots=True)
class Fact:
    """A stored fact.

    Attributes:
        row: What the fact is about (a country): all facts of a row fall into one split.
        entity: What the question names: mostly the row, else another cell of it.
        relation: Which question asks for it.
        answer: Its answer.
    """

    row: str
    entity: str
    relation: str
    answer: str


@dataclass(frozen=True, slots=True)
class RecallTemplate:
    """How a stored fact is asked for.

    Attributes:
        relation: Its name in the domain.
        wordings: One text for each of `WORDINGS`; {0} is the entity.
        also: Wrong answers of the type that no fact has.
    """

    relation: str
    wordings: tuple[str, ...]
    also: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoryTemplate:
    """How the name `hops` links on from level `start` of a chain is asked for."""

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
    """What a set of materials is about.

    Attributes:
        name: As on the command line.
        about: Facts and stories, in a line.
        tables: Names of the files its facts stand in.
        links: The premise from each level of a chain to the next; {0} and {1} are names.
        recall: How stored facts are asked for.
        story: How names in a chain are asked for.
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
def names() -> tuple[str, ...]:
    """The invented names, in the order of names.txt."""
    return tuple((PROMPTS / "names.txt").read_text(encoding="utf-8").split())


@cache
def frames(group: str) -> dict[str, str]:
    """The frames around one question (`plain`) or two (`crossed`), by name."""
    found: dict[str, str] = _toml("frames")[group]
    return found


@cache
def published_templates() -> dict[str, str]:
    """The two templates of geography-published.toml, by task."""
    found: dict[str, str] = _toml("geography-published")["templates"]
    return found


@cache
def load_domain(name: str) -> Domain:
    """A domain of `prompts/`.

    Raises:
        MaterialsError: If there is none of this name, or two rows of its tables have one name.
    """
    if name not in DOMAINS:
        raise MaterialsError(f"there is no domain {name!r}; expected one of {', '.join(DOMAINS)}.")
    raw = _toml(name)
    tables = {table: table_rows(table) for table in raw["tables"]}
    recalled = [q for q in raw["question"] if q["task"] == "recall"]
    keys = [next(iter(row.values())) for rows in tables.values() for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise MaterialsError(f"{twice!r} is in two rows of {name}'s tables; one split holds a row.")
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
    """The rows of a table of facts; the first column names what each is about."""
    with (PROMPTS / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _facts(question: Mapping[str, Any], row: Mapping[str, str]) -> Sequence[Fact]:
    """What one question asks of one row.

    Left out: empty cells, and answers that share a word with what is asked about (Mexico City,
    forty-five divided by nine), which could be copied from the question.
    """
    key = next(iter(row))
    given = _listed(question.get("given", f"{{{key}}}"))
    asks = _listed(question.get("asks", question["relation"]))
    asks = asks * len(given) if len(asks) == 1 else asks
    found = {}
    for form, column in zip(given, asks, strict=True):
        entity, answer = form.format(**row), row[column]
        if answer and not _can_be_copied(answer, entity):
            found[entity] = Fact(row[key], entity, question["relation"], answer)
    return list(found.values())


def _can_be_copied(answer: str, entity: str) -> bool:
    inside = re.search(rf"\b{re.escape(answer)}\b", entity)
    return bool(inside or set(entity.split()) & set(answer.split()))


def _wordings(question: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(question[wording] for wording in WORDINGS)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((PROMPTS / f"{name}.toml").read_text(encoding="utf-8"))
