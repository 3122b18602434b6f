"""The report explains words as docs/glossary.md does."""

import re

from harness.report.glossary import GLOSSARY, meanings
from harness.report.rendering import TEMPLATES, render
from harness.verdicts.judge import Outcome
from tests.support.sample_records import sample


def test_every_line_of_the_page_is_a_word_and_its_meaning():
    lines = [x for x in GLOSSARY.read_text(encoding="utf-8").splitlines() if x.startswith("- ")]
    assert len(lines) == len(meanings()) > 40
    assert not [word for word, meaning in meanings().items() if not meaning.endswith(".")]
    assert {str(outcome) for outcome in Outcome} <= set(meanings())


def test_every_word_that_a_template_explains_is_there():
    text = "".join(path.read_text("utf-8") for path in TEMPLATES.glob("*.j2"))
    words = re.findall(r'explained\("([^"]+)"', text)
    assert words
    assert set(words) <= set(meanings())


def test_the_report_holds_the_page_s_words(tmp_path):
    page = render(sample(), None, tmp_path / "report.html").read_text(encoding="utf-8")
    for word in ("floor", "shared prefix", "refuted"):
        assert meanings()[word] in page
