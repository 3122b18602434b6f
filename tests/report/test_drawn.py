"""The report in a browser, with every fold open and every figure drawn, which is done once."""

import itertools

import numpy as np
import pandas as pd
import pytest

from harness.report.rendering import render
from harness.verdicts import typeset
from tests.support.browser import Visit, in_browser, opens_without_a_fault
from tests.support.sample_records import components, sample

pytestmark = in_browser


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Of one model: two, with all of their figures, are read on a telephone."""
    one = ("mini-qwen",)
    return render(sample(one), components(one), tmp_path_factory.mktemp("drawn") / "report.html")


@pytest.fixture(scope="module")
def drawn(tab, path):
    visit = Visit(tab, path)
    visit.draw_everything()
    return visit


def test_it_opens_without_a_fault(drawn, path):
    opens_without_a_fault(drawn, path, 1280)


def test_headings_keep_their_order(drawn):
    levels = drawn.page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_a_table_sorts_all_components_by_keyboard(drawn):
    page = drawn.page
    fold = page.locator("#h3-published-criterion-mini-qwen details.components")
    table = fold.locator("table.sortable")
    cells = "t => [...t.tBodies[0].rows].map(r => r.cells[4].textContent)"
    assert len(table.evaluate(cells)) == 20
    table.locator("button[data-column=effect]").focus()
    page.keyboard.press("Enter")
    table.locator("th[aria-sort=descending]").wait_for()
    assert table.locator("th[aria-sort]").all_inner_texts()[0].startswith("Effect")
    of_model = components()[lambda t: (t.claim_id == "h3") & (t.model == "mini-qwen")]
    of_model = of_model[(of_model.source == "model") & (of_model.criterion == "published")]
    largest = of_model.effect.nlargest(20)
    assert table.evaluate(cells) == [typeset.number(v, signed=True) for v in largest]
    page.keyboard.press("Space")
    table.locator("th[aria-sort=ascending]").wait_for()
    least = of_model.effect.nsmallest(20)
    assert table.evaluate(cells) == [typeset.number(v, signed=True) for v in least]
    assert page.locator("#said").text_content() == "Sorted by Effect, ascending"
    fold.get_by_role("button", name="Show all 1,536").click()
    assert len(table.evaluate(cells)) == 1536
    table.locator("button[data-column=layer]").click()
    table.locator("th[aria-sort] button[data-column=layer]").wait_for()
    assert table.locator("tbody tr:first-child td").first.inner_text() == "3"


def test_a_sorted_row_reads_as_the_page_wrote_it(drawn):
    page = drawn.page
    fold = page.locator("#h2-held-out-mini-qwen details.components")
    rows = "t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))"
    table = fold.locator("table.sortable")
    before = table.evaluate(rows)
    assert len(before) == 16
    table.locator("button[data-column=q]").click()
    table.locator("th[aria-sort=descending]").wait_for()
    assert sorted(table.evaluate(rows)) == sorted(before)


@pytest.mark.parametrize("how", ["button", "modebar"])
def test_a_plot_is_saved_under_a_name_that_says_what_it_is(drawn, how):
    page = drawn.page
    figure = page.locator("#h1 > figure.plot")
    for suffix, begins in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with page.expect_download() as saved:
            if how == "button":
                figure.locator(f"[data-save={suffix}]").click()
            else:
                figure.hover()
                figure.locator(f".modebar-btn[data-title='Save as {suffix.upper()}']").click()
        name = saved.value.suggested_filename
        assert name == f"h1-mini-qwen-effect-by-layer-controlled-geography-crossed.{suffix}"
        assert saved.value.path().read_bytes().startswith(begins)


def test_all_components_are_saved_as_csv(drawn):
    page = drawn.page
    with page.expect_download() as csv:
        page.locator("#h3-held-out-mini-qwen [data-csv]").click()
    assert csv.value.suggested_filename == "h3-held-out-mini-qwen.csv"
    saved = pd.read_csv(csv.value.path())
    table = components()
    mine = table[(table.claim_id == "h3") & (table.model == "mini-qwen")]
    mine = mine[(mine.source == "model") & (mine.criterion == "controlled")]
    assert list(saved.columns) == [
        *("kind", "layer", "index", "metric", "effect", "effect_discovery", "q", "passed", "type")
    ]
    both = saved.merge(mine, on=["layer", "index"], suffixes=("", "_saved"))
    assert len(both) == len(saved) == len(mine) == 1536
    np.testing.assert_allclose(both.effect, both.effect_saved, rtol=1e-5)
    np.testing.assert_allclose(both.q, both.q_saved, rtol=1e-5)
    assert (both.passed == both.passed_saved).all()
