"""The table of claims, as rows and as text for other documents."""

import csv
import io
import re
from dataclasses import replace

import pytest

from harness.report import formats, view
from harness.verdicts.typeset import DASH
from tests.support.sample_records import CROSSED, NASTY, sample


@pytest.fixture(scope="module")
def page():
    return view.report_page(sample(), None, "t")


def row_of(page, claim, model, criterion):
    place = (claim, model, criterion)
    return next(r for r in page.table.rows if (r.claim_id, r.model, r.criterion) == place)


def test_a_row_is_a_claim_on_a_model_under_a_criterion(page):
    assert len(page.table.rows) == 18  # h0 has no published criterion
    row = row_of(page, "h1", "mini-qwen", "controlled")
    assert row.effect == "strongest layer, held out: d = +1.84, needed > 0.5"
    assert (row.interval, row.q, row.controls) == ("[+1.53, +2.15]", "9e−4", "3 of 3")
    assert row.fails == []


def test_a_row_shows_what_decided(page):
    published = row_of(page, "h3", "mini-qwen", "published")
    assert published.effect == "neurons that pass: neurons = 1,187, needed ≥ 1"
    assert (published.interval, published.q) == ("", "3e−11")
    refuted = row_of(page, "h3", "mini-qwen", "controlled")
    assert refuted.effect == "control untrained twin 3: 2 (components that pass)"
    gate = row_of(page, "h1", "mini-llama", "controlled")
    assert gate.effect == "reasoning accuracy on crossed prompts 0.41, the gate is 0.60"
    record = next(r for r in sample() if (r.claim_id, r.criterion) == ("h2", "controlled"))
    reverse = replace(record, evidence=record.evidence[::-1])
    row = view.report_page([reverse], None, "t").table.rows[0]
    assert row.effect == "median selected head: d = +2.31, needed > 1"
    assert (row.interval, row.q) == ("[+1.91, +2.71]", "9e−4")


def test_what_fails_is_named(page):
    # The interval of the median head holds and its p does not: undecided, beside what failed.
    assert row_of(page, "h2", "mini-llama", "controlled").fails == ["heads that pass"]
    assert row_of(page, "h3", "mini-qwen", "controlled").fails == ["control: untrained twin 3"]
    assert row_of(page, "h2", "mini-qwen", "published").fails == []


def test_what_was_not_measured_is_a_row(page):
    row = row_of(page, "h4", "mini-llama", "controlled")
    assert (row.outcome, row.interval, row.q, row.controls) == ("not measured", "", "", "")
    assert row.effect.startswith("RuntimeError: CUDA out of memory")
    assert "not measured" in formats.markdown(page.every)


def test_every_requirement_has_a_row(page):
    decisive = sum(e.decisive for r in sample() for e in r.evidence)
    bare = sum(not r.evidence for r in sample())
    assert len(page.every.rows) == decisive + bare


def test_csv_has_the_numbers_in_full(page):
    rows = list(csv.DictReader(io.StringIO(formats.csv_text(page.table))))
    assert len(rows) == 18
    row = next(r for r in rows if r["claim_id"] == "h1" and r["criterion"] == "controlled")
    assert float(row["effect"]) == 1.84
    assert float(row["q"]) == 0.0009
    assert (row["materials"], row["n"], row["controls_behaved"]) == (CROSSED, "100", "3")


def test_markdown_is_one_line_a_row_whatever_a_name_holds():
    nasty = f"a|b\nc `d` *e* [f](http://g) \\ {NASTY}"
    found = [replace(v, claim=f"{nasty} claims.") for v in sample((nasty, "mini-llama"))]
    text = formats.markdown(view.report_page(found, None, "t").table)
    lines = text.splitlines()
    assert len(lines) == 20
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == len(formats.HEADINGS) + 1
        assert not re.search(r"(?<!\\)[<`*]|(?<!\\)\[f|http://", line)


def test_markdown_of_numbers_is_left_as_it_is():
    assert formats.escape_markdown("0.031") == "0.031"
    assert formats.escape_markdown("3. then") == "3\\. then"
    assert formats.escape_markdown("- then") == "\\- then"
    assert DASH in formats.markdown(view.report_page(sample(), None, "t").table)


def test_latex_escapes_what_it_would_read_as_a_command():
    assert formats.escape_latex("50 % of a_b & {c} \\d ~ ^ # $") == (
        "50 \\% of a\\_b \\& \\{c\\} \\textbackslash{}d "
        "\\textasciitilde{} \\textasciicircum{} \\# \\$"
    )
    assert formats.escape_latex("−0.5 ≥ [0, 1]") == "$-$0.5 $\\geq$ {[}0, 1{]}"


def test_latex_rows_have_as_many_cells_as_the_head(page):
    text = formats.latex(page.table)
    body = text[text.index("\\endhead") : text.index("\\bottomrule")].splitlines()[1:]
    assert len(body) == 18
    for line in body:
        assert line.endswith(" \\\\")
        assert len(re.findall(r"(?<!\\)&", line)) == len(formats.HEADINGS) - 1
    assert text.count("{") == text.count("}")
