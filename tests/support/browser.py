"""Headless Chromium for the tests of the report: the system's, nothing downloaded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 120_000  # ms: on a busy machine figures take their time
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
in_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}")


@contextmanager
def launched() -> Iterator[Any]:
    """One page. It is used again and again: a new one costs more than what most tests do in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = chromium.new_context()
        context.set_default_timeout(PATIENCE)
        context.add_init_script("try { localStorage.clear() } catch {}")  # a chosen theme
        yield context.new_page()
        chromium.close()


class Visit:
    """A report, read anew, with everything it complained about and everything it asked for."""

    def __init__(self, tab: Any, path: Path, *, width: int = 1280, scheme: str = "light"):
        self.page = tab
        self.faults: list[str] = []
        self.requests: list[str] = []
        tab.goto("about:blank")  # or a link to a place in the page would not read it anew
        tab.context.clear_permissions()
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(media="screen", color_scheme=scheme, reduced_motion="reduce")
        tab.on("console", lambda m: self.faults.append(f"{m.type}: {m.text}"))
        tab.on("pageerror", lambda e: self.faults.append(str(e)))
        tab.on("request", lambda r: self.requests.append(r.url))
        tab.goto(path.as_uri())

    def draw_everything(self) -> None:
        """Open every <details> and scroll to each figure that is not drawn yet, as a reader would.

        In one go: Playwright's own scrolling waits until nothing moves, at each of them.
        """
        self.page.evaluate(
            """async () => {
                 document.querySelectorAll('details').forEach(d => d.open = true);
                 const frame = () => new Promise(requestAnimationFrame);
                 for (const figure of document.querySelectorAll('figure.plot')) {
                   if (figure.dataset.drawn) continue;
                   figure.scrollIntoView();
                   for (let late = 0; !figure.dataset.drawn && late < 600; late++) await frame();
                 }
               }"""
        )
        self.count("figure.plot:not([data-drawn])", 0)

    def count(self, selector: str, wanted: int) -> None:
        """Wait until so many elements match. (The page's policy forbids waiting by eval.)"""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_count(wanted, timeout=PATIENCE)


def without_figures(path: Path) -> Path:
    """The same page without figures, beside it: to read what draws them is most of a visit."""
    html = path.read_text(encoding="utf-8")
    plain = path.with_name("plain.html")
    plain.write_text(re.sub('<figure class="plot.*?</figure>', "", html, flags=re.DOTALL), "utf-8")
    return plain


def opens_without_a_fault(visit: Visit, path: Path, width: int) -> None:
    """Check a page of which all is drawn."""
    assert visit.faults == []
    assert [r for r in visit.requests if not r.startswith(("blob:", "data:"))] == [path.as_uri()]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate("window.pwned") is None
    assert visit.page.locator("figure.plot .main-svg").count() >= 20
