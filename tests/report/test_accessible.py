"""The report against axe-core's rules, at the widths and in the themes it is read in."""

from pathlib import Path

import pytest

from harness.report.rendering import render
from tests.support.browser import Visit, in_browser
from tests.support.sample_plots import curve, entry
from tests.support.sample_records import components, known, sample, steered

axe = pytest.importorskip(
    "axe_playwright_python", reason="needs axe-playwright-python, which brings axe-core"
)
pytestmark = in_browser

AXE = Path(axe.__file__).with_name("axe.min.js")


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    """One model, with every part of the report, files beside it too."""
    folder = tmp_path_factory.mktemp("axe")
    table = components(("mini-qwen",))
    table.to_parquet(folder / "components.parquet", index=False)
    # Two claims: the others are more of the same, and the rules read every node.
    found = [r for r in sample(("mini-qwen",)) if r.claim_id in ("h0", "h2")] + known()
    found += [steered("mini-qwen", "refuted", (0.5, 0.2, 0.8), (-6.2, -7.5, -5.1))]
    return render(found, table, folder / "report.html", plots=[entry(curve())])


# Each width and each theme once: no rule of axe is about both.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_no_rule_of_axe_is_broken(tab, report_file, width, scheme):
    visit = Visit(tab, report_file, width=width, scheme=scheme)
    visit.draw_everything()
    visit.page.evaluate(AXE.read_text(encoding="utf-8"))
    result = visit.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 30
    broken = [
        f"{rule['impact']}: {rule['help']}: {node['html'][:120]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
    assert broken == []
