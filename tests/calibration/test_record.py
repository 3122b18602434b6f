"""calibration.json, its page and README's table, of runs whose outcomes are known."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.calibration import published
from harness.calibration.jobs import OPEN, Job
from harness.calibration.page import write_page
from harness.calibration.rates import rate
from harness.calibration.record import calibration, read_calibration, write_calibration
from harness.calibration.running import Failed, RunOutcome
from harness.calibration.settings import CalibrationSettings
from harness.files import DATA
from harness.report.rendering import render
from tests.support.made_runs import heads_table, ran, verdict

SETTINGS = CalibrationSettings(power=("mini-qwen",), items=60)
PROCESSES = [
    {
        **{"model": "planted", "items": 60, "kind": "head", "process": "retrieval"},
        **{"unmet": None, "count": 7, "bar": 2, "shuffled": rate(3, 200)},
        "same_process": rate(1, 42),
        "recovery": [
            {
                **{"source": "causal", "auroc": 0.93, "interval": [0.81, 0.99]},
                **{"positives": 8, "negatives": 40},
            }
        ],
    },
    {
        **{"model": "planted", "items": 60, "kind": "head", "process": "composing"},
        **{"unmet": "reasoning is not answered", "count": None, "bar": None},
        **{"shuffled": None, "same_process": None, "recovery": []},
    },
]
PROGRAMS = {
    "networks": [],
    "search": {
        **{"networks": 6, "left_out": 0, "positives": 8, "found": 9, "found_own": 7},
        "auroc": {"auroc": 0.76, "interval": [0.5, 0.9]},
        "auroc_cost": {"auroc": 1.0, "interval": None},
    },
    "recovery": [
        {
            **{"taught": "circuit", "way": "mean", "kind": "head", "auroc": 0.87},
            **{"networks": 17, "left_out": 1, "interval": [0.79, 0.96]},
            **{"positives": 34, "found": 40, "found_own": 33},
        }
    ],
}
NASTY = "<script>alert('x')</script>"


@pytest.fixture
def record(tmp_path):
    runs = []
    for n in range(4):
        job = Job("null", "untrained", "mini-qwen", network=n, gate=OPEN)
        published = verdict("h2", "as_published", "published", outcome="supported")
        runs.append(ran(tmp_path, job, verdict(p=0.2 * (n + 1)), published))
        job = Job("power", "planted", "mini-qwen", seed=n, items=60)
        runs.append(
            ran(tmp_path, job, verdict(outcome="supported"), components=heads_table({}, [(1, 1)]))
        )
    kinds = ("base", "again")
    runs += [ran(tmp_path, Job("consistency", kind, "mini-qwen"), verdict()) for kind in kinds]
    failed = Failed(Job("null", "shuffled", "mini-qwen"), NASTY)
    outcome = RunOutcome(tuple(runs), (failed,), len(runs) + 1, False)
    return calibration(SETTINGS, outcome, PROCESSES, PROGRAMS)


def test_a_record_keeps_to_its_schema_and_comes_back_as_it_was(record, tmp_path):
    path = write_calibration(tmp_path / "calibration.json", record)
    assert read_calibration(path) == record
    assert not record["whole"]
    assert record["seconds"] == 2.0 * len(record["runs"])
    assert {"torch", "instrument", "cores", "commit"} <= set(record["provenance"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema_version 2"),
        ({"seconds": "long"}, "seconds"),
        ({"more": 1}, "the record"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(record, tmp_path, change, said):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**record, **change}))
    with pytest.raises(ValueError, match=said):
        read_calibration(path)
    path.write_text("[")
    with pytest.raises(ValueError, match="not JSON"):
        read_calibration(path)


class Page(HTMLParser):
    """Tags, ids and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.said = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)


def test_the_page_says_the_rates_and_escapes_whatever_a_run_said(record, tmp_path):
    text = write_page(record, tmp_path / "calibration.html").read_text()
    page = Page(text)
    assert "script" not in [tag for tag, _ in page.tags]
    assert NASTY not in text
    said = " ".join(" ".join(page.said).split())
    assert "0 of 4 controlled verdicts" in said
    assert "Not every planned run is in it" in said
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    between = ["processes", "programs", "power"]
    assert sections == ["errors", "p-values", *between, "consistency", "provenance"]
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert charts
    assert all(attrs["aria-label"] for attrs in charts)
    assert "http" not in text.partition("</style>")[2]


def test_the_page_shows_processes_programs_and_a_gate_that_is_not_met(record, tmp_path):
    page = write_page(record, tmp_path / "page.html").read_text()
    told = (
        "3 of 200",
        "1 of 42",
        "0.93",
        "8 of 48",
        "reasoning is not answered",
        "0.87",
        "0.79",
        "0.76",
    )
    for words in told:
        assert words in page, words


def test_the_head_of_a_report_on_shuffled_labels_says_so(tmp_path):
    warning = "No result about any model"
    plain = verdict()
    shuffled = replace(plain, provenance={**plain.provenance, "shuffle_labels": 0.5})
    assert warning not in render([plain], None, tmp_path / "a.html").read_text()
    said = render([plain, shuffled], None, tmp_path / "b.html").read_text()
    assert f"{warning}: the labels of a share of 0.5" in said


def test_a_record_of_nothing_makes_a_page_too(tmp_path):
    empty = calibration(SETTINGS, RunOutcome((), (), 3, True))
    assert write_page(empty, tmp_path / "c.html").stat().st_size > 1000


def test_the_table_is_made_from_the_record(record, tmp_path):
    table = published.published_table(record)
    assert table.splitlines()[0].startswith("| claim, controlled | untrained networks |")
    (row,) = [line for line in table.splitlines() if line.startswith("| h2 |")]
    assert row == "| h2 | – | 0 of 4 [0, .60] | – | 4 of 4 verdicts |"
    assert "| any, published | – | 4 of 4 [.40, 1] | – | – |" in table
    path = tmp_path / "README.md"
    path.write_text(f"before\n\n{published.START}\nold\n{published.END}\n\nafter\n")
    published.put_into(path, record)
    assert published.between_marks(path.read_text()) == table
    assert path.read_text().endswith("\n\nafter\n")
    path.write_text("no marks")
    with pytest.raises(ValueError, match="no place for the table"):
        published.put_into(path, record)


def test_the_table_of_the_docs_is_that_of_the_published_record():
    if not published.RECORD.exists():
        pytest.skip(f"no calibration is published yet: {published.RECORD.relative_to(DATA)}")
    text = published.PAGE.read_text(encoding="utf-8")
    expected = published.published_table(read_calibration(published.RECORD))
    assert published.between_marks(text) == expected
