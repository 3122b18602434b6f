"""The report, read in a browser as its reader does. It takes long to start: all pages are here."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands import main
from harness.report import formats
from harness.report import view as report_view
from harness.report.rendering import render
from harness.verdicts import records
from harness.verdicts.judge import Outcome
from tests.support.browser import Visit, in_browser, opens_without_a_fault, without_figures
from tests.support.sample_plots import curve, entries, entry, nasty
from tests.support.sample_records import answers, components, known, sample, steered

pytestmark = in_browser


def test_names_that_would_run_open_without_a_fault_on_a_telephone(tab, nasty_file):
    visit = Visit(tab, nasty_file, width=360)
    visit.draw_everything()
    opens_without_a_fault(visit, nasty_file, 360)


def test_tab_reaches_the_skip_link_and_the_matrix(tab, plain_file):
    page = Visit(tab, plain_file).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdicts"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className"))
    assert "scroller" in reached
    assert any(c.startswith("tile ") for c in reached)


def test_a_deep_link_opens_its_verdict(tab, report_file):
    visit = Visit(tab, report_file)
    page = visit.page
    href = page.locator(".matrix tr:nth-child(2) a.tile").nth(1).get_attribute("href")
    assert href == "#h1-held-out-mini-qwen"
    assert not page.locator(href).evaluate("d => d.open")
    page.goto(report_file.as_uri() + href)
    visit.count(f"{href}[open]", 1)
    # In one go: figures are being drawn meanwhile, which adds elements.
    assert (
        page.evaluate(
            """(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
                    return ids.filter((id, i) => ids.indexOf(id) !== i) })()"""
        )
        == []
    )
    broken = page.evaluate(
        """[...document.querySelectorAll('a[href^="#"]')].map(a => a.hash.slice(1))
           .filter(id => !document.getElementById(id))"""
    )
    assert broken == []


@pytest.mark.parametrize("target", ["#h3-held-out-mini-llama", "#provenance"])
def test_a_link_lands_where_it_says_while_figures_are_drawn(tab, report_file, target):
    page = Visit(tab, report_file).page
    page.evaluate("t => { location.hash = t }", target)
    page.locator("figure[data-drawn]").first.wait_for()
    drawn = 0
    while drawn != (drawn := page.locator("figure[data-drawn]").count()):
        page.wait_for_timeout(300)  # figures on the way are drawn
    top = page.locator(target).evaluate("e => e.getBoundingClientRect().top")
    end = page.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
    assert 0 <= top < 120 or (end and top < 900)


def test_filters_and_search_leave_the_predictions_that_fit(tab, plain_file):
    visit = Visit(tab, plain_file)
    page = visit.page
    left = ".prediction:not(.off)"
    page.locator("[name=outcome]").select_option("refuted")
    refuted = [v for v in sample() if v.outcome == "refuted"]
    visit.count(left, len(refuted))
    assert page.locator("[name=found]").text_content() == f"{len(refuted)} of 20 predictions"
    assert not page.locator("#h1").is_visible()
    assert page.locator("#h3-held-out-mini-qwen").is_visible()  # its model is opened
    page.locator("[name=model]").select_option("mini-qwen")
    page.locator("[name=words]").fill("redrawn facts")
    visit.count(left, 1)
    page.locator("[name=words]").fill("no such word")
    visit.count(left, 0)
    page.locator("[data-clear]").click()
    visit.count(left, 20)
    assert page.locator(".on-model[open]").count() == 0


def test_the_buttons_lead_from_claim_to_claim(tab, plain_file):
    page = Visit(tab, plain_file).page
    forward = page.locator("[data-step='1']")
    for claim in ("h0", "h1"):
        forward.click()
        page.wait_for_timeout(300)
        assert page.evaluate("location.hash") == f"#{claim}"
    page.locator("[data-step='-1']").click()
    page.wait_for_timeout(300)
    assert page.evaluate("location.hash") == "#h0"


@pytest.mark.parametrize(("width", "height", "screens"), [(1440, 900, 12), (390, 844, 25)])
def test_the_closed_page_is_short_and_its_table_whole(tab, report_file, width, height, screens):
    page = Visit(tab, report_file, width=width).page
    assert page.evaluate("document.documentElement.scrollHeight") <= screens * height
    for tile in page.locator(".matrix .tile").all():
        box = tile.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_plots_are_drawn_when_they_come_into_view(tab, report_file):
    page = Visit(tab, report_file).page
    before, every = page.locator("figure[data-drawn]").count(), page.locator("figure.plot").count()
    figure = page.locator("#h3 > figure.plot")
    figure.scroll_into_view_if_needed()
    figure.locator(".main-svg").first.wait_for()
    assert before < page.locator("figure[data-drawn]").count() < every


def test_light_and_dark_differ(tab, plain_file):
    dark, light = (Visit(tab, plain_file, scheme=s).page.screenshot() for s in ("dark", "light"))
    assert dark != light


def test_the_toggle_redraws_plots(tab, report_file):
    light = Visit(tab, report_file, scheme="light")
    page = light.page
    figure = page.locator("#h1 figure.plot").first
    figure.scroll_into_view_if_needed()
    figure.locator(".main-svg").first.wait_for()
    paper = "f => getComputedStyle(f.querySelector('.main-svg')).backgroundColor"
    before = figure.evaluate(paper)
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    light.count("#h1 figure.plot[data-drawn$=l]", 0)
    assert figure.evaluate(paper) != before
    assert page.locator("#theme").inner_text() == "Light theme"


def test_paper_has_every_verdict_and_plot_in_light_colours(tab, tmp_path):
    """From a dark screen: from a light one there is nothing to change."""
    found = [r for r in sample(("mini-qwen",)) if r.claim_id == "h1"]
    path = render(found, components(("mini-qwen",)), tmp_path / "r.html")
    visit = Visit(tab, path, scheme="dark")
    page = visit.page
    page.locator("#h1 figure.plot").first.scroll_into_view_if_needed()
    page.locator("#h1 figure.plot .main-svg").first.wait_for()  # so Plotly is unpacked
    assert page.locator("details:not([open])").count() > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    visit.count("figure.plot:not([data-drawn$=l])", 0)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 703, "height": 1000})  # what A4 leaves
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    for hidden in (".contents", ".filter", ".tools", ".copy-link", ".theme"):
        assert not page.locator(hidden).first.is_visible()
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_a_table_is_copied_in_every_format(tab, plain_file):
    visit = Visit(tab, plain_file)
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, shown = visit.page, report_view.report_page(sample(), None, "t")
    page.locator(".copies > summary").click()
    for table in (shown.table, shown.every):
        for name in ("csv", "markdown", "latex"):
            page.locator(f"[data-copy={name}][data-unit={table.unit}]").click()
            page.locator("#said", has_text=f"a row a {table.unit}, as").wait_for(state="attached")
            copied = page.evaluate("navigator.clipboard.readText()")
            expected = getattr(formats, {"csv": "csv_text"}.get(name, name))(table)
            assert copied.splitlines() == expected.splitlines()
    with page.expect_download() as saved:
        page.locator("[data-save-table=claim]").click()
    assert saved.value.suggested_filename == "claims.csv"


def test_a_link_to_a_verdict_is_copied_and_leads_there(tab, plain_file):
    visit = Visit(tab, plain_file)
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.page
    page.locator("#h2-mini-llama > summary").press("Enter")
    page.locator("#h2-held-out-mini-llama > summary").press("Enter")
    visit.count("#h2-held-out-mini-llama[open]", 1)
    page.locator("[data-link=h2-held-out-mini-llama]").press("Enter")
    page.locator("#said", has_text="Copied the link").wait_for(state="attached")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == plain_file.as_uri() + "#h2-held-out-mini-llama"
    page.goto("about:blank")
    page.goto(link)
    visit.count("#h2-held-out-mini-llama[open]", 1)


def test_a_filter_looks_at_all_answers(tab, tmp_path):
    path = render(sample(), None, tmp_path / "r.html", answers=answers())
    visit = Visit(tab, without_figures(path))
    page = visit.page
    page.locator("#answers > details > summary").click()
    page.locator(".sheet-fold > summary").click()
    rows = ".answers tbody tr"
    visit.count(rows, 15)
    page.locator("[data-field=right]").select_option("wrong")
    visit.count(rows, 10)
    assert page.locator(".sheet-fold .found").text_content() == "10 of 40"
    page.locator("[data-field=words]").fill("reasoning 13")
    visit.count(rows, 1)
    assert page.locator(rows).inner_text().split("\t")[2:5] == ["A13", "✗ B13", "B13, C13"]
    page.locator("[data-field=words]").fill("")
    page.locator("[data-field=right]").select_option("all")
    visit.count(rows, 15)
    assert visit.faults == []


# ---- Other pages


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_form_opens_without_a_fault(tab, tmp_path, width, scheme):
    plots = [*entries(), *nasty()]
    found = [r for r in sample(("mini-qwen",)) if r.claim_id == "h2"]
    path = render(found, None, tmp_path / "report.html", plots=plots)
    visit = Visit(tab, path, width=width, scheme=scheme)
    visit.draw_everything()
    assert visit.faults == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate("window.pwned") is None
    assert visit.page.locator("figure.plot:has-text('could not be drawn')").count() == 0
    assert visit.page.locator(".canvas img, .canvas a[href]").count() == 0
    forms = (".errorbars", ".heatmaplayer image", ".points path.point", ".barlayer path")
    for form in forms:
        assert visit.page.locator(f"#h2-mini-qwen {form}").count() > 0, form
    drawn_text = visit.page.locator("#h2-mini-qwen .canvas").all_inner_texts()
    assert any("<script>window.pw" in text for text in drawn_text)


def test_a_page_of_releases_opens_without_a_fault(tab, tmp_path):
    two = sample(("mini-qwen",))[:2]
    for name, outcome in (("old", Outcome.SUPPORTED), ("new", Outcome.REFUTED)):
        records.write_verdicts(tmp_path / name, [replace(v, outcome=outcome) for v in two])
    path = tmp_path / "page.html"
    assert main(["compare", str(tmp_path / "old"), str(tmp_path / "new"), f"--html={path}"]) == 1
    visit = Visit(tab, path)
    assert visit.faults == []
    assert visit.requests == [path.as_uri()]
    assert visit.page.locator("#changed tbody tr").count() == 2


# ---- The rules of axe-core, at the widths and in the themes that a page is read in


@pytest.fixture(scope="module")
def every_part(tmp_path_factory):
    """One model, with every part of the report, files beside it too."""
    folder = tmp_path_factory.mktemp("axe")
    table = components(("mini-qwen",))
    table.to_parquet(folder / "components.parquet", index=False)
    # One claim: the others are more of the same, and the rules read every node.
    found = [r for r in sample(("mini-qwen",)) if r.claim_id == "h2"] + known()
    found += [steered("mini-qwen", "refuted", (0.5, 0.2, 0.8), (-6.2, -7.5, -5.1))]
    return render(found, table, folder / "report.html", plots=[entry(curve())])


# Each width and each theme once: no rule of axe is about both.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_no_rule_of_axe_is_broken(tab, every_part, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python", reason="needs axe-playwright-python, which brings axe-core"
    )
    visit = Visit(tab, every_part, width=width, scheme=scheme)
    visit.draw_everything()
    visit.page.evaluate(Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    result = visit.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 30
    broken = [
        f"{rule['impact']}: {rule['help']}: {node['html'][:120]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
    assert broken == []
