"""Ids that links of the report lead to."""

import re


class Anchors:
    """Ids for deep links: readable, unique within the page."""

    def __init__(self) -> None:
        self._taken: set[str] = {
            *("top", "main", "verdicts", "claims", "instrument", "partings", "provenance"),
            *("answers", "reading", "files", "theme", "said", "texts", "plotly-gz"),
        }

    def claim(self, *parts: str) -> str:
        """A new id made of these parts."""
        slug = "-".join(filter(None, (_slug(p) for p in parts))) or "part"
        anchor, again = slug, 2
        while anchor in self._taken:
            anchor, again = f"{slug}-{again}", again + 1
        self._taken.add(anchor)
        return anchor


def _slug(text: str) -> str:
    name = text.rsplit("::", 1)[-1].split("[", 1)[0].removeprefix("test_")
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
