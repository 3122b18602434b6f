"""calibration.json, its page and README's table, of runs whose outcomes are known."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.calibration import published
from harness.calibration.jobs import Job
from harness.calibration.page import write_page
from harness.calibration.rates import rate
from harness.calibration.record import calibration, read_calibration, write_calibration
from harness.calibration.running import Failed, RunOutcome
from harness.calibration.settings import CalibrationSettings
from harness.calibration.tally import Null, Tally, said
from harness.files import DATA
from harness.report.rendering import render
from harness.verdicts.evidence import Gate, State
from harness.verdicts.judge import Inconclusive
from tests.support.made_runs import ran, verdict

SETTINGS = CalibrationSettings(controls=("planted-qwen",), items=60)
ABOUT = {"model": "planted", "items": 60, "instrument": "0" * 64, "process": "retrieval"}
PROCESSES = [
    {
        **{**ABOUT, "part": "activations", "claim": "h2", "kind": "head"},
        **said(
            Null(State.HELD, Tally(3, 100, 97), Tally(1, 39, 0), Tally(1, 0, 1), (0.1, 0.9) * 5)
        ),
    },
    {
        **{**ABOUT, "part": "activations", "claim": "h4", "kind": "head"},
        **said(Inconclusive(Gate("competence", False, "reasoning is not answered"))),
    },
    {
        **{**ABOUT, "part": "recovery", "kind": "head", "source": "causal"},
        **{"auroc": 0.93, "interval": [0.81, 0.99], "positives": 8, "negatives": 40},
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
OUTCOMES = ("supported", "supported", "refuted", "inconclusive")
NASTY = "<script>alert('x')</script>"


@pytest.fixture
def record(tmp_path):
    runs = []
    for seed in range(4):
        job = Job("controls", "shipped", "planted-qwen", seed=seed, items=60)
        neurons = verdict("h3", "some_neurons_serve_retrieval", outcome=OUTCOMES[seed])
        runs.append(ran(tmp_path, job, neurons, verdict()))
        job = Job("power", "shipped", "planted-qwen", seed=seed, items=30)
        runs.append(ran(tmp_path, job, verdict(outcome="supported")))
    kinds = ("base", "again")
    runs += [ran(tmp_path, Job("consistency", kind, "mini-qwen"), verdict()) for kind in kinds]
    failed = Failed(Job("controls", "shipped", "mini-qwen"), NASTY)
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
        ({"schema_version": 1}, "schema_version 1"),
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
    words = (
        "3 of 103 sets of shuffled labels that decided meet what a claim asks for; 200 were drawn"
    )
    assert words in said
    assert "Where something is, 2 of 3 verdicts that decided are supported" in said
    assert "Not every planned run is in it" in said
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    between = ["recovery", "known", "programs", "power"]
    assert sections == ["errors", *between, "consistency", "provenance"]
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert charts
    assert all(attrs["aria-label"] for attrs in charts)
    assert "http" not in text.partition("</style>")[2]


def test_the_page_shows_processes_programs_and_a_gate_that_is_not_met(record, tmp_path):
    page = write_page(record, tmp_path / "page.html").read_text()
    told = (
        "not with seed 2",
        "3 of 200",
        "1 of 40",
        "1 of 2",
        "0.93",
        "8, 48",
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
    rows = {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}
    assert set(rows) == {"h2", "h3", "h4"}
    bound = f"{rate(3, 200)['interval'][1]:.2g}".removeprefix("0")
    assert f"| 3 of 103 decided (200 drawn); each at most {bound} |" in rows["h2"]
    assert "| 1 of 1 decided (2 drawn); each at most .99 |" in rows["h2"]
    assert rows["h3"] == "| h3 | – | – | – | – | 2 of 3; 1 undecided |"
    assert rows["h4"] == "| h4 | – | – | – | – | – |"
    assert "| h1 to h3, h7 | 3 of 103 (200) | 2 of 41 (42) |" in published.readme_table(record)
    path, known = tmp_path / "page.md", published.KNOWN_MARKS
    marks = "\nold\n".join((published.START, f"{published.END}\n{known[0]}", known[1]))
    marks += "\n".join(("", *published.AGAIN_MARKS))
    path.write_text(f"before\n\n{marks}\n\nafter\n")
    published.put_into(path, record)
    text = path.read_text()
    assert published.between_marks(text) == table
    row = "| `planted-qwen` | supported | 4 | 2 | 1 | 1 | h3 of retrieval (seed 2) |"
    assert published.between_marks(text, *known).endswith(row)
    assert text.endswith("\n\nafter\n")
    path.write_text("no marks")
    with pytest.raises(ValueError, match="no place for the table"):
        published.put_into(path, record)


def test_the_table_of_the_docs_is_that_of_the_published_record():
    if not published.RECORD.exists():
        pytest.skip(f"no calibration is published yet: {published.RECORD.relative_to(DATA)}")
    text = published.PAGE.read_text(encoding="utf-8")
    record = read_calibration(published.RECORD)
    assert published.between_marks(text) == published.published_table(record)
    assert published.between_marks(text, *published.KNOWN_MARKS) == published.known_table(record)
    assert published.between_marks(text, *published.AGAIN_MARKS) == published.again_table()
    text = published.README.read_text(encoding="utf-8")
    assert published.between_marks(text) == published.readme_table(record)
    assert len(published.readme_table(record).splitlines()) <= 2 + 8
