"""The tabulated facts hold: checked against what is known apart from the tables."""

import calendar
import re
from collections import Counter

import pytest

from harness.materials.domains import DOMAINS, PROMPTS, Fact, load_domain, table_rows
from harness.materials.relations import load_relations

PAGE = (PROMPTS / "README.md").read_text(encoding="utf-8")

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty"


def answers(domain, relation):
    return {f.entity: f.answer for f in load_domain(domain).facts if f.relation == relation}


def test_elements_have_their_symbols_and_numbers():
    symbols = "hydrogen H carbon C oxygen O sodium Na iron Fe silver Ag tin Sn tungsten W gold Au"
    symbols += " mercury Hg lead Pb uranium U potassium K antimony Sb oganesson Og"
    known = symbols.split()
    for element, symbol in zip(known[::2], known[1::2], strict=True):
        assert answers("chemistry", "symbol")[element] == symbol
    by_number = {1: "hydrogen", 6: "carbon", 8: "oxygen", 10: "neon", 20: "calcium", 26: "iron"}
    by_number |= {36: "krypton", 47: "silver", 54: "xenon", 57: "lanthanum", 71: "lutetium"}
    by_number |= {79: "gold", 86: "radon", 92: "uranium", 103: "lawrencium", 118: "oganesson"}
    for number, element in by_number.items():
        assert answers("chemistry", "element")[str(number)] == element
    rows = table_rows("elements")
    assert [int(row["number"]) for row in rows] == list(range(1, 119))
    assert len({row["symbol"] for row in rows}) == len({row["element"] for row in rows}) == 118
    assert all(re.fullmatch(r"[A-Z][a-z]?", row["symbol"]) for row in rows)


def test_months_and_weekdays_are_those_of_the_calendar():
    days = {"thirty-first": 31, "thirtieth": 30}
    ends = answers("calendar", "last_day")
    months = list(calendar.month_name)[1:]
    assert {m: days[d] for m, d in ends.items()} == {
        month: calendar.monthrange(2023, n)[1] for n, month in enumerate(months, 1) if n != 2
    }
    weekdays = list(calendar.day_name)
    for prefix, names_in_order in (("", months), ("weekday_", weekdays)):
        following = dict(zip(names_in_order, [*names_in_order[1:], names_in_order[0]], strict=True))
        assert answers("calendar", f"{prefix}next") == following
        assert answers("calendar", f"{prefix}previous") == {b: a for a, b in following.items()}
    assert list(answers("calendar", "month").values()) == months


def test_arithmetic_is_right():
    value = {word: n for n, word in enumerate(ONES.split())}
    for tens, ten in enumerate(TENS.split(), 2):
        value[ten] = 10 * tens
        value |= {f"{ten}-{one}": 10 * tens + value[one] for one in ONES.split()[1:10]}
    operations = {
        "sum": (" plus ", lambda a, b: a + b),
        "difference": (" minus ", lambda a, b: a - b),
        "product": (" times ", lambda a, b: a * b),
        "quotient": (" divided by ", lambda a, b: a / b),
    }
    facts = load_domain("arithmetic").facts
    for fact in facts:
        sign, operation = operations[fact.relation]
        first, second = fact.entity.split(sign)
        assert operation(value[first], value[second]) == value[fact.answer]
    # 64 sums and products, and what inverts them without a word of the question in its answer.
    assert Counter(fact.relation for fact in facts) == {
        "sum": 64,
        "product": 64,
        "difference": 56,
        "quotient": 52,
    }


def test_words_for_relatives_go_by_gender_and_language():
    counterparts = answers("kinship", "counterpart")
    assert all(counterparts[counterparts[word]] == word for word in counterparts)
    assert answers("kinship", "french")["sister"] == "sœur"
    assert answers("kinship", "german")["daughter"] == "Tochter"
    assert answers("kinship", "spanish")["uncle"] == "tío"
    assert answers("kinship", "italian")["wife"] == "moglie"
    assert answers("kinship", "term")["brother of your mother"] == "uncle"
    assert answers("kinship", "term")["daughter of your sister"] == "niece"


def test_a_facts_row_is_what_its_split_goes_by():
    facts = load_domain("chemistry").facts
    assert Fact("iron", "iron", "symbol", "Fe") in facts
    assert Fact("iron", "26", "element", "iron") in facts


# What prompts/README.md counts


def test_the_page_counts_the_facts_that_each_domain_can_ask_for():
    said = re.search(r"^Facts that a domain can ask for in recall: (.+?)\.", PAGE, re.MULTILINE)
    counts = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", said[1])}
    assert counts == {name: len(load_domain(name).facts) for name in DOMAINS}


@pytest.mark.parametrize(
    ("row", "files"),
    [
        ("names.txt", "names.txt"),
        ("elements.csv", "elements.csv"),
        ("geography-published.csv", "geography-published.csv"),
        ("relations/{people,places,things,creatures}.txt", "relations/*.txt"),
        ("relations/matched/*.txt", "relations/matched/*.txt"),
    ],
)
def test_the_page_counts_what_the_files_hold(row, files):
    found = list(PROMPTS.glob(files))
    lines = {len(file.read_text(encoding="utf-8").splitlines()) for file in found}
    held = {count - files.endswith(".csv") for count in lines}  # the names of its columns
    assert len(held) == 1
    assert str(*held) in numbers_of(row)


def test_the_page_counts_the_relations():
    assert str(len(load_relations())) in numbers_of("relations/*.csv")


def numbers_of(row):
    """The numbers of a file's row."""
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{row}`"))
    return re.findall(r"\d+", line)
