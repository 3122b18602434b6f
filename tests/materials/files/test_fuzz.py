"""Whatever a prompt file holds, it is read or refused in the project's own words."""

import csv
import json

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pyarrow import parquet

from harness.materials.files.columns import COLUMNS
from harness.materials.files.confounds import confounds_of
from harness.materials.files.reading import read
from harness.materials.items import MaterialsError

EXAMPLES = 50  # of each kind of file
AWKWARD = [
    "",
    " ",
    "\ud800",
    "\x00",
    "\x1b[2J",
    "[" * 2000,
    "[{[]}, 'a']",
    "1" * 5000,
    "A",
    "0",
    "nan",
]
TEXT = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=8), st.just("What is it?"))
ENCODABLE = TEXT.filter(lambda text: "\ud800" not in text and text.isprintable())
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=3)
NAMES = st.one_of(st.sampled_from([*COLUMNS, "choices", "label", "Prompt "]), TEXT)
NEEDED = {"prompt": TEXT, "task": st.sampled_from(["recall", "reasoning"])}
CHOICE = {
    "options": st.one_of(TEXT, st.just(["a", "b"]), st.lists(TEXT, max_size=3)),
    "answer": TEXT,
    "answer_index": st.one_of(TEXT, st.integers(0, 2)),
}
ARRAYS = st.one_of(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=4, max_size=4).flatmap(
        lambda numbers: st.sampled_from([pa.date32(), pa.time32("s"), pa.int32()]).map(
            lambda kind: pa.array(numbers, pa.int32()).cast(kind)
        )
    ),
    st.lists(st.binary(max_size=6), min_size=4, max_size=4).map(pa.array),
    st.lists(ENCODABLE, min_size=4, max_size=4).map(pa.array),
    st.lists(st.lists(ENCODABLE, max_size=3), min_size=4, max_size=4).map(pa.array),
    st.lists(st.integers(0, 9), min_size=4, max_size=4).map(
        lambda n: pa.array(n).dictionary_encode()
    ),
)


def bounded(test):
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    few = settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=checks
    )
    return seed(0)(few(test))


def looked_at(path):
    """Read it, and look at its confounds where that can be done: nothing but our own error."""
    try:
        reading = read(path)
        prompts = reading.prompt_set()
    except MaterialsError:
        return
    confounds_of(prompts)
    assert prompts.hash


def mangled(data, content):
    """Some bytes of it put in, taken out or cut off."""
    at = data.draw(st.integers(0, len(content)))
    return data.draw(
        st.sampled_from([content, content, content[:at], content[:at] + b"\xff\x00" + content[at:]])
    )


@bounded
@given(st.data())
def test_any_jsonl(tmp_path, data):
    row = st.builds(
        dict.__or__,
        st.fixed_dictionaries({}, optional=NEEDED | CHOICE),
        st.dictionaries(NAMES, VALUES, max_size=4),
    )
    rows = data.draw(st.lists(row, max_size=12))
    path = tmp_path / "any.jsonl"
    path.write_bytes(mangled(data, "".join(f"{json.dumps(row)}\n" for row in rows).encode()))
    looked_at(path)


@bounded
@given(st.data())
def test_any_csv(tmp_path, data):
    names = st.one_of(NAMES, st.sampled_from([*CHOICE]))
    header = ["prompt", "task", *data.draw(st.lists(names, max_size=4))]
    rows = data.draw(
        st.lists(st.tuples(TEXT, NEEDED["task"], *[TEXT] * (len(header) - 2)), max_size=12)
    )
    path = tmp_path / "any.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file, escapechar="\\").writerows([header, *rows])
    path.write_bytes(mangled(data, path.read_bytes()))
    looked_at(path)


@bounded
@given(st.data())
def test_any_parquet(tmp_path, data):
    columns = data.draw(st.dictionaries(ENCODABLE | st.sampled_from(COLUMNS), ARRAYS, max_size=4))
    needed = {"prompt": pa.array(["A?", "B?", "C?", "D?"]), "task": pa.array([*"abab"])}
    path = tmp_path / "any.parquet"
    parquet.write_table(pa.table(needed | columns), path)
    path.write_bytes(mangled(data, path.read_bytes()))
    looked_at(path)


@pytest.mark.parametrize("name", ["any.jsonl", "any.csv", "any.parquet"])
def test_any_bytes(tmp_path, name):
    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @seed(0)
    @given(st.binary(max_size=60))
    def trial(content):
        (tmp_path / name).write_bytes(content)
        looked_at(tmp_path / name)

    trial()
