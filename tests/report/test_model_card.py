"""The Markdown section: what the head of the report says, and where it comes from."""

import re
from dataclasses import replace

from harness.report import formats, view
from harness.report.model_card import model_card
from harness.report.rendering import render
from harness.verdicts.verdict import Named
from tests.support.sample_records import NASTY, known, sample


def test_it_says_what_the_page_says(tmp_path):
    found = [*sample(), *known()]
    page = view.report_page(found, None, "Some title")
    render(found, None, tmp_path / "report.html", title="Some title", card=tmp_path / "a" / "b.md")
    card = (tmp_path / "a" / "b.md").read_text()
    assert card == model_card(page)
    opening = "mini-qwen. Controlled: 2 supported \\(h1 and h2\\)"
    assert card.startswith("## Some title\n\n")
    assert opening.replace("\\", "") in card
    assert formats.markdown(page.table) in card
    for limit in page.limits:
        assert formats.escape_markdown(limit) in card


def test_it_says_how_it_was_made():
    called = {"command": "pytest hypotheses/ --model 'my `model`'"}
    found = [replace(v, provenance=v.provenance | called) for v in sample()]
    card = model_card(view.report_page(found, None, "t"))
    assert "geography-crossed: 200 recall, 200 reasoning, 200 lookup, hash 51c0ffee12ab." in card
    assert "seed 0" in card
    assert "torch 2.9.1, transformers 5.20.0" in card
    assert "weights 9f2c41d07ab3." in card
    assert "Command: ``pytest hypotheses/ --model 'my `model`'``" in card


def test_no_name_is_markup():
    mine = Named("mine|[x](javascript:alert(1))")
    found = [replace(v, materials=mine) for v in sample((NASTY, "mini-llama"))]
    card = model_card(view.report_page(found, None, NASTY))
    assert not re.search(r"(?<!\\)<", card)
    assert "](javascript" not in card.replace("\\]", "")


def test_a_run_without_verdicts_says_so():
    card = model_card(view.report_page([], None, "t"))
    assert "This run holds no verdicts." in card
    assert "Nothing was checked" in card
