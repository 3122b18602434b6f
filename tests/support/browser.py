"""Headless Chromium for the tests of the report: the system's, nothing downloaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 120_000  # ms: on a busy machine figures take their time
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


@pytest.fixture(scope="module")
def launched() -> Iterator[Any]:
    """Of a module, not of all: its event loop is in the way of others."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def chromium(launched: Any) -> Iterator[Any]:
    """The browser; pages are closed with the test, as those left open keep a core busy."""
    yield launched
    for context in launched.contexts:
        context.close()


class Visit:
    """One page, with everything it complained about and everything it asked of the network."""

    def __init__(self, chromium: Any, path: Path, *, width: int = 1280, scheme: str = "light"):
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
            accept_downloads=True,
        )
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.faults.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(path.as_uri())

    def draw_everything(self) -> None:
        """Open every <details> and scroll through, as a reader would."""
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for figure in self.page.locator("figure.plot").all():
            figure.scroll_into_view_if_needed()
        self.count("figure.plot:not([data-drawn])", 0)

    def count(self, selector: str, wanted: int) -> None:
        """Wait until so many elements match. (The page's policy forbids waiting by eval.)"""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_count(wanted, timeout=PATIENCE)
