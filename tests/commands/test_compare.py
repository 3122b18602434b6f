"""`python -m harness compare` on kept runs: what it prints and writes, and its exit status."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.commands import main
from harness.compare import past
from harness.verdicts import records
from harness.verdicts.components import COSTS
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import plan_of
from tests.support.sample_records import NASTY, components, sample


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Two baselines, the second of which lost a claim and won another."""
    folder = tmp_path_factory.mktemp("kept")
    first = sample(("mini-qwen",))
    other = {
        ("h2", "controlled"): Outcome.REFUTED,
        ("h4", "controlled"): Outcome.SUPPORTED,
    }
    second = [
        replace(
            v,
            outcome=other.get((v.claim_id, v.criterion), v.outcome),
            provenance=v.provenance | {"torch": "3.0"},
        )
        for v in first
    ]
    for name, found in (("release-1", first), ("release-2", second)):
        run = folder / f"run-{name}"
        records.write_verdicts(run, found)
        components(("mini-qwen",)).to_parquet(run / "components.parquet", index=False)
        past.keep(run, name, folder / ".baselines")
    return folder


@pytest.fixture
def shelf(kept, tmp_path, monkeypatch):
    """A copy of them, as the folder that commands are run in."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compared(shelf, capsys):
    """Status and output of `compare`."""

    def run(*arguments):
        status = main(["compare", *arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    run.folder = shelf
    return run


def test_what_changed_is_shown_and_the_status_says_whether_something_regressed(compared):
    status, out, err = compared("release-1", "release-2")
    assert (status, err) == (1, "")
    assert out.startswith("0001_release-1 -> 0002_release-2\n")
    assert "differs, and does not matter: torch 2.9.1 -> 3.0" in out
    assert "1 regressed, 1 newly supported, 8 as before" in out
    assert "supported -> refuted" in out
    assert "Layers specialise" not in out  # what did not change is not listed
    assert len(compared("release-1", "release-2", "--all")[1].splitlines()) > len(out.splitlines())


def test_nothing_regressed_is_status_0(compared):
    assert compared("release-1", "release-1")[0] == 0
    assert "Nothing changed." in compared("release-1", "release-1")[1]


def test_components_are_listed_where_others_pass_or_all_are_asked_for(compared):
    assert "components that pass" not in compared("release-1", "release-2")[1]
    page, summary = compared.folder / "page.html", compared.folder / "summary.md"
    compared("release-1", "release-2", "--html", str(page), "--markdown", str(summary))
    assert "Components that pass" not in page.read_text() + summary.read_text()
    assert "Jaccard 1.00" in compared("release-1", "release-2", "--all")[1]
    path = compared.folder / "run-release-2" / "components.parquet"
    table = pd.read_parquet(path)
    table.assign(passed=False).to_parquet(path, index=False)
    assert "-> 0 pass, Jaccard 0.00" in compared("release-1", "run-release-2")[1]


def test_what_is_gone_stands_in_the_headline_and_fails(compared):
    kept = records.read_verdicts(compared.folder / "run-release-1")
    (compared.folder / "part").mkdir()
    records.write_verdicts(compared.folder / "part", [v for v in kept if v.claim_id == "h1"])
    lost = [v for v in kept if v.claim_id != "h1"]
    were = sum(v.outcome == "supported" for v in lost)
    status, out, _ = compared("release-1", "part")
    assert status == 1
    assert f"{len(lost)} gone ({were} of them supported before), 2 as before" in out
    assert f"{were} of them were supported, which is a regression (if you left" in out
    assert "Nothing changed." not in out
    assert compared("release-1", "part", "--allow-gone")[0] == 0


def test_several_releases_are_a_timeline(compared):
    status, out, _ = compared("release-1", "release-2", "LAST", "run-release-1")
    assert status == 0  # the last is judged against the first
    head = next(line for line in out.splitlines() if line.startswith("model"))
    assert head.split()[2:5] == ["0001_release-1", "0002_release-2", "(2)"]
    assert "run-release-1" in head
    row = next(line for line in out.splitlines() if "h2 controlled" in line and "keep" in line)
    assert "supported, d = +2.31" in row
    assert "refuted " in row


def test_paths_of_files_and_folders_serve_as_names(compared):
    ways = ("run-release-1", "run-release-1/verdicts.json", "0001", "0001_release-1", "release-1")
    for way in ways:
        assert compared(way, "release-2")[0] == 1, way


def test_markdown_is_added_to_the_summary(compared):
    path = compared.folder / "summary.md"
    path.write_text("before\n\n")
    compared("release-1", "release-2", "--markdown", str(path))
    text = path.read_text()
    assert text.startswith("before\n\n## 0001_release-1 → 0002_release-2\n")
    assert "| **regressed** |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {8}


def test_csv_has_every_prediction_with_numbers_in_full(compared):
    path = compared.folder / "out.csv"
    compared("release-1", "release-2", "--csv", str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(sample(("mini-qwen",)))
    lost = next(r for r in rows if r["change"] == "regressed")
    assert (lost["claim_id"], lost["criterion"]) == ("h2", "controlled")
    assert (lost["outcome 0001_release-1"], lost["outcome 0002_release-2"]) == (
        *("supported", "refuted"),
    )
    assert float(lost["delta"]) == 0


def test_names_are_not_markup_in_a_page(compared):
    run = compared.folder / "nasty"
    records.write_verdicts(run, sample((NASTY,)))
    path = compared.folder / "page.html"
    assert compared("release-1", "nasty", "--allow-gone", "--html", str(path))[0] == 0
    html = path.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert compared("release-1", "release-2", "--html", str(path))[0] == 1
    assert "Something regressed: 2 of 10 predictions changed" in path.read_text()


def test_the_order_of_costs_is_in_every_form(compared):
    """The last release has the order of the first one reversed."""
    path = compared.folder / "run-release-{}" / "components.parquet"
    table = pd.read_parquet(str(path).format(1))
    heads = table[(table.source == "model") & (table.claim_id == "h2")]
    heads = heads[heads.criterion == "controlled"]
    for number, order in ((1, 1.0), (2, -1.0)):
        cost = order * np.arange(float(len(heads)))
        costs = heads.assign(source=COSTS, claim_id="h9", effect=cost)
        both = pd.concat([table, costs], ignore_index=True)
        both.to_parquet(str(path).format(number), index=False)
    page, summary = compared.folder / "page.html", compared.folder / "summary.md"
    _, out, _ = compared(
        *("run-release-1", "run-release-2", "--html", str(page), "--markdown", str(summary))
    )
    assert "mini-qwen h9: costs of 16 heads, rho -1.00" in out
    assert "costs of 16 heads, rho -1.00" in summary.read_text()
    section = page.read_text().split('<section id="costs">')[1].split("</section>")[0]
    assert "mini-qwen" in section
    assert '<td class="num">16</td><td class="num">−1 [−1, −1]</td>' in section
    compared("run-release-1", "run-release-1", "--html", str(page))
    assert '<section id="costs">' not in page.read_text()  # the same order is no change


def test_other_plans_are_refused_and_can_be_left_out(compared):
    path = compared.folder / "run-release-2" / "verdicts.json"
    verdicts = [
        replace(v, plan=plan_of({**v.plan.constants, "ALPHA": 0.05})) if v.claim_id == "h2" else v
        for v in records.read_verdicts(path)
    ]
    records.write_verdicts(path, verdicts)
    status, out, err = compared("release-1", "run-release-2")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "the plan of h2 (hash " in err
    assert "ALPHA 0.01 -> 0.05; --leave-out compares the rest" in err
    status, out, _ = compared("release-1", "run-release-2", "--leave-out")
    assert status == 0
    assert "2 not compared" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["release-1"], "one run, 'release-1', is nothing to compare"),
        (["release-1", "relaese-2"], "there is no baseline 'relaese-2' in .baselines: did you"),
        (["release-1", "run-release-1/components.parquet"], "components.parquet"),
        (["release-1", "."], "holds neither verdicts.json nor verdicts.jsonl"),
        (["release-1", "release-2", "--csv", "no/where.csv"], "cannot be written: No such file"),
        (["release-1", "release-2", "--baseline-model", "x"], "expected OURS=THEIRS"),
    ],
)
def test_a_mistaken_command_is_one_sentence_and_status_2(compared, arguments, sentence):
    status, _, err = compared(*arguments)
    assert status == 2
    assert sentence in err
    assert err.startswith("python -m harness: ")
    assert err.count("\n") == 1


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert '--markdown "$GITHUB_STEP_SUMMARY"' in capsys.readouterr().out
