"""A comparison of releases as one HTML file that needs no network."""

from harness.compare.text import telling
from harness.compare.timeline import Comparison
from harness.report.rendering import environment, source

TITLE = "Releases compared"


def page(comparison: Comparison) -> str:
    """The page: what changed, every prediction with a column a release, components."""
    template = environment().get_template("comparison.html.j2")
    changed = [row for row in comparison.rows if not row.steady]
    return template.render(
        title=TITLE,
        comparison=comparison,
        changed=changed,
        telling=telling,
        style=source("report.css"),
    )
