"""The words of docs/glossary.md and what they mean, for the report's explanations."""

import re
from collections.abc import Mapping
from functools import cache

from harness.files import DATA

GLOSSARY = DATA / "docs" / "glossary.md"
ENTRY = re.compile(r"- \*\*(?P<word>[^*]+)\*\*: (?P<meaning>.+)")


@cache
def meanings() -> Mapping[str, str]:
    """Meaning by word, in the order of the page."""
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    entries = [entry for line in lines if (entry := ENTRY.fullmatch(line))]
    return {entry["word"]: entry["meaning"] for entry in entries}
