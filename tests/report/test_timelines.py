"""Models in an order on the page: rows, flips, curves."""

from dataclasses import replace

import pytest

from harness.compare.curves import NO_FLEET, FleetRecord, ModelSeries, SeriesPoint
from harness.files import DATA
from harness.report.timelines import fleet_part, timeline
from harness.verdicts.evidence import Effect
from tests.support.made_runs import verdict

STEPS = (10, 100, 1000)
SERIES = ModelSeries(
    "training", "training step", tuple(SeriesPoint(f"s{n}", f"s{n}", n) for n in STEPS)
)


def on(step, outcome="supported"):
    made = verdict("h2", "heads_hold", outcome=outcome, p=0.001)
    effect = Effect("d", step / 1000, (step / 2000, step / 500))
    shown = replace(made.evidence[0], effect=effect, threshold=0.5, relation=">", alpha=0.01)
    other = replace(shown, key="second", name="reasoning accuracy")
    return replace(made, model=replace(made.model, name=f"s{step}"), evidence=(shown, other))


@pytest.fixture
def shown():
    return timeline(SERIES, [on(10, "refuted"), on(100, "refuted"), on(1000)])


def test_a_row_has_a_cell_a_step_and_its_flips(shown):
    (row,) = shown.rows
    assert [cell.outcome for cell in row.cells] == ["refuted", "refuted", "supported"]
    assert row.flips == ["refuted to supported between 100 and 1,000"]
    assert row.cells[2].number.startswith("d = ")


def test_the_curve_has_intervals_on_a_logarithmic_axis(shown):
    (figure,) = shown.figures
    assert figure.headline == "Refuted to supported between 100 and 1,000."
    assert figure.panels[0].x["type"] == "log"
    first = figure.traces[0]
    assert first["x"] == [10, 100, 1000]
    assert first["error_y"]["array"] == [0.01, 0.1, 1.0]


def test_what_asks_the_same_of_several_tasks_has_a_line_each(shown):
    names = [trace.get("name") for trace in shown.figures[0].traces]
    assert "reasoning accuracy" in names


def test_one_point_is_no_curve():
    assert not timeline(SERIES, [on(10)]).figures


def test_the_page_filters_the_table_of_verdicts_alone():
    script = (DATA / "reports" / "templates" / "report.js").read_text(encoding="utf-8")
    assert script.count(".matrix tbody tr") == script.count("#verdicts .matrix tbody tr") == 1


def test_a_run_of_few_models_has_no_such_part():
    assert not fleet_part(NO_FLEET, [on(10)])
    assert fleet_part(FleetRecord(notes=("one failed.",)), [])
