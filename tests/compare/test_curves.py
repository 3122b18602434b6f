"""A prediction over steps: its flips, its p over all of them, where to look closer."""

from dataclasses import replace

import pytest

from harness.compare.curves import (
    NO_FLEET,
    FleetRecord,
    ModelSeries,
    SeriesPoint,
    between,
    curves,
    read_fleet_record,
    write_fleet,
)
from harness.foreign import ForeignError
from harness.verdicts.judge import Outcome
from tests.support.made_runs import verdict

SERIES = ModelSeries(
    "training", "training step", tuple(SeriesPoint(f"s{n}", f"s{n}", n) for n in (1, 10, 100, 1000))
)


def on(step, outcome="supported", p=0.001, **more):
    made = verdict("h2", "heads_hold", outcome=outcome, p=p, effect=step / 100)
    return replace(made, model=replace(made.model, name=f"s{step}"), **more)


def curve_of(*verdicts, series=SERIES):
    (curve,) = curves(series, verdicts)
    return curve


def test_values_follow_the_order_of_the_series():
    curve = curve_of(on(1000), on(1), on(100))
    assert [each.value for each in curve.at] == [0.01, None, 1.0, 10.0]


def test_a_flip_lies_between_measured_neighbours():
    failed = on(100, outcome=Outcome.NOT_MEASURED)
    curve = curve_of(on(1, "refuted"), failed, on(1000))
    assert [flip.text for flip in curve.flips] == ["refuted to supported between 1 and 1,000"]


def test_no_flip_where_the_outcome_stays():
    assert not curve_of(on(1), on(10), on(1000)).flips


def test_p_is_corrected_over_all_steps_that_have_one():
    curve = curve_of(on(1, p=0.03), on(10, p=0.02), on(100, p=0.001), on(1000, p=None))
    assert [each.p for each in curve.at] == [pytest.approx(v) for v in (0.04, 0.04, 0.003)] + [None]


def test_what_holds_over_steps_is_named():
    at_1, at_100 = on(1, p=0.004), on(100, p=0.002)
    alpha = [replace(v, evidence=(replace(v.evidence[0], alpha=0.01),)) for v in (at_1, at_100)]
    assert curve_of(*alpha).over_steps.endswith("(Holm) at most 0.01: 1, 100")
    worse = [replace(v, evidence=(replace(v.evidence[0], p_adjusted=0.009),)) for v in alpha]
    assert curve_of(*worse).over_steps.endswith("none (least p 0.018)")


def test_the_middle_of_a_gap_is_a_middle_of_logarithms():
    curve = curve_of(on(1, "refuted"), on(1000))
    assert list(between(curve, (1, 5, 30, 500, 1000))) == [30]
    assert not list(between(curve, (1, 1000)))


def test_a_model_with_the_weights_of_another_has_its_verdicts():
    points = (SeriesPoint("a", "s1", 1), SeriesPoint("b", "s1", 2))
    curve = curve_of(on(1), series=ModelSeries("copies", "training step", points))
    assert [each.value for each in curve.at] == [0.01, 0.01]


def test_releases_have_no_step_between():
    points = (SeriesPoint("a", "s1"), SeriesPoint("b", "s10"))
    curve = curve_of(on(1, "refuted"), on(10), series=ModelSeries("ours", "release", points))
    assert curve.flips[0].text == "refuted to supported between a and b"
    assert not list(between(curve, (1, 5, 10)))


def test_the_file_gives_back_what_was_written(tmp_path):
    assert read_fleet_record(tmp_path) == NO_FLEET
    record = FleetRecord((SERIES,), ("s1 was not measured: it is not there.",))
    write_fleet(tmp_path, record)
    assert read_fleet_record(tmp_path) == record


@pytest.mark.parametrize("content", ["", "[]", '{"series": 3}', '{"series": [{}], "notes": []}'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "fleet.json").write_text(content)
    with pytest.raises(ForeignError, match=r"fleet\.json is not an order of models"):
        read_fleet_record(tmp_path)
