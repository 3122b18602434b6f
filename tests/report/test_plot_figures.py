"""Plots that claims hand over, as the report draws them."""

import json
import re
from dataclasses import replace

import pytest

from harness.report.figures.figure import DIVERGING, SEQUENTIAL
from harness.report.figures.plots import figure_of
from harness.report.rendering import render
from harness.verdicts.plots import PlotPanel
from tests.support.sample_plots import curve, entries, entry, nasty, plot, series
from tests.support.sample_records import sample

NAN, INF = float("nan"), float("inf")


def drawn(*arguments, **words):
    return figure_of(entry(plot(*arguments, **words)))


def shapes(figure):
    return [t["shape"] for t in figure.traces if "shape" in t]


# ---- All forms


def test_a_figure_says_where_it_comes_from():
    figure = figure_of(entry(curve()))
    assert figure.title == "mini-qwen: drop against dose"
    assert figure.context == "controlled criterion · geography-crossed · n = 100"
    assert figure.headline == "Recall drops by 0.40 at 16 heads, reasoning by 0.08."
    assert figure.caption == curve().caption
    assert figure_of(entry(replace(curve(), n=0))).context.endswith("· n differs")


@pytest.mark.parametrize("form", ["curve", "map", "scatter", "histogram"])
def test_nothing_to_draw_is_said(form):
    for empty in (plot(form), plot(form, series()), replace(plot(form), panels=())):
        figure = figure_of(entry(empty))
        assert figure.panels[0].title.endswith("(nothing to draw)")
        assert not figure.legend
        json.dumps(figure.spec(), allow_nan=False)


@pytest.mark.parametrize("form", ["curve", "map", "scatter", "histogram"])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_what_is_not_finite_leaves_a_gap(form, bad):
    columns = {"low": (0.0, bad, 0.0), "high": (bad, 9.0, 9.0)} if form == "curve" else {}
    more = {"z": (1.0, 2.0, bad)} if form == "map" else columns
    figure = drawn(form, series("recall", (1.0, 2.0, bad), (1.0, bad, 3.0), **more), lines=(bad,))
    assert "Infinity" not in json.dumps(figure.spec(), allow_nan=False)
    assert all(s["y0"] is not None for s in shapes(figure))


def test_plotly_accepts_every_trace():
    go = pytest.importorskip("plotly.graph_objects")
    hatched = plot(
        "curve", *(series(r, (1,), (1,), low=(0,), high=(2,)) for r in ("twin", "random"))
    )
    for figure in map(figure_of, [*entries(), entry(hatched)]):
        for trace in figure.traces:
            plain = json.loads(re.sub(r'"\$\w+"', '"#123456"', json.dumps(trace)))
            plain.pop("colorbar", None)
            go.Figure(layout={"shapes": [plain["shape"]]}) if "shape" in plain else go.Figure(
                [plain]
            )


def test_an_unknown_form_or_role_is_refused_where_the_claim_hands_it_over():
    with pytest.raises(ValueError, match="plot 'title' has form 'pie', not"):
        plot("pie")
    with pytest.raises(ValueError, match="series 's' has role 'control', not"):
        series("control", name="s")


def test_series_of_one_role_differ_by_dash_and_filling_and_are_named_once():
    lines = [series("recall", (1, 2), (1, 2), name=n) for n in ("kept", "ablated")]
    figure = figure_of(entry(replace(plot("curve"), panels=(PlotPanel("a", (*lines,)),) * 2)))
    assert [t["line"]["dash"] for t in figure.traces] == ["solid", "dash"] * 2
    assert [t["marker"]["color"] for t in figure.traces[:2]] == ["$recall", "$plot"]
    assert [t["showlegend"] for t in figure.traces] == [True, True, False, False]
    assert [t["xaxis"] for t in figure.traces] == ["x", "x", "x2", "x2"]
    assert figure.legend
    assert figure.columns == (2, 1)


# ---- Curves


def test_a_curve_has_its_points_in_order_with_their_intervals():
    figure = drawn(
        "curve", series("reasoning", (3, 1), (0.3, 0.1), low=(0.1, 0.05), high=(0.4, NAN))
    )
    [trace] = figure.traces
    assert (trace["x"], trace["y"]) == ([1, 3], [0.1, 0.3])
    assert trace["line"]["color"] == "$reasoning"
    assert trace["error_y"]["array"] == [None, 0.1]
    assert trace["error_y"]["arrayminus"] == [0.05, 0.2]
    assert trace["text"][1] == "reasoning, 3: 0.30 [0.10, 0.40]"
    assert not figure.legend


def test_twins_and_random_sets_are_bands_under_the_lines():
    random = series("random", (1, 2, 3, 4), (1,) * 4, low=(0, 1, NAN, 3), high=(5, 6, 7, 8))
    line, shadow = series("recall", (1, 2), (1, 2)), series("twin", (1, 2), (1, 2))
    band, over, _ = drawn("curve", line, shadow, random).traces
    assert over["name"] == "recall"
    assert (band["fill"], band["fillcolor"], band["line"]) == ("toself", "$band", {"width": 0})
    assert band["x"] == [1, 2, 2, 1, None, 3.94, 4.06, 4.06, 3.94]
    assert band["y"] == [0, 1, 6, 5, None, 3, 3, 8, 8]
    bands = (random, series("twin", (1, 2), (1, 2), low=(0, 0), high=(1, 1)))
    assert ["fillpattern" in t for t in drawn("curve", *bands).traces] == [True, False]


def test_lines_of_chance_have_no_markers_where_there_are_many_points():
    x = tuple(range(20))
    traces = drawn("curve", series("twin", x, x), series("model", x, x)).traces
    assert [t["mode"] for t in traces] == ["lines", "lines+markers"]


def test_the_lines_needed_are_dashed_and_inside_the_axis():
    figure = drawn("curve", series("model", (1, 2), (0.0, 0.1)), lines=(0.5,))
    [shape] = shapes(figure)
    assert (shape["y0"], shape["y1"], shape["xref"]) == (0.5, 0.5, "x domain")
    assert figure.panels[0].y["range"][1] > 0.5


@pytest.mark.parametrize(
    ("x", "type_", "ticks"),
    [
        pytest.param((1, 2, 4, 8), "log", [1, 2, 4, 8], id="doses"),
        pytest.param((0, 1, 2, 16), None, [0, 1, 2, 16], id="with zero"),
        pytest.param((1, 2, 4), None, [1, 2, 4], id="a small span"),
        pytest.param(tuple(range(1, 11)), None, list(range(1, 11)), id="layers"),
        pytest.param(tuple(range(28)), None, None, id="many layers"),
        pytest.param(
            tuple(1.5**n for n in range(14)), "log", [2.0**n for n in range(8)], id="many"
        ),
    ],
)
def test_the_axis_of_a_curve_suits_its_places(x, type_, ticks):
    axis = drawn("curve", series("model", x, tuple(float(v) for v in x))).panels[0].x
    assert axis.get("type") == type_
    assert ([at for at, _ in axis["ticks"]] if "ticks" in axis else None) == ticks


def test_categories_have_their_rank_for_a_place():
    figure = drawn(
        "curve", series("model", ("zero", "mean"), (1, 2)), series("twin", ("mean",), (3,))
    )
    assert [t["x"] for t in figure.traces] == [[0, 1], [1]]
    assert figure.panels[0].x["ticks"] == [[0, "zero"], [1, "mean"]]
    assert figure.traces[1]["text"] == ["twin, mean: 3"]


# ---- Maps


def test_a_map_is_a_grid_from_below():
    cells = series("model", (1, 0, 1), ("late", "early", "early"), z=(0.5, 0.1, 0.2))
    figure = drawn("map", cells, z="share")
    [trace] = figure.traces
    assert trace["z"] == [[None, 0.5], [0.1, 0.2]]
    assert trace["text"] == [
        ["", "y title late, x title 1: 0.50"],
        ["y title early, x title 0: 0.10", "y title early, x title 1: 0.20"],
    ]
    assert [n for _, n in figure.panels[0].x["ticks"]] == ["0", "1"]
    assert [n for _, n in figure.panels[0].y["ticks"]] == ["late", "early"]
    assert trace["colorbar"] == {"panel": 0, "title": "share"}


@pytest.mark.parametrize(
    ("z", "low", "scale"), [((0.0, 1.0, -1e-9), 0, SEQUENTIAL), ((0.0, 1.0, -0.1), -1, DIVERGING)]
)
def test_a_map_with_negative_values_is_centred_at_zero(z, low, scale):
    figure = drawn("map", series("model", (0, 1, 2), (0, 0, 0), z=z))
    [trace] = figure.traces
    assert trace["colorscale"] == scale
    assert trace["zmin"] == (low and -trace["zmax"])


def test_maps_share_a_scale_that_saturates_and_says_so():
    wide = series("model", tuple(range(200)), (0,) * 200, z=(1.0,) * 199 + (50.0,))
    panels = tuple(
        PlotPanel(name, (s,))
        for name, s in (("a", wide), ("b", series("twin", (0,), (0,), z=(0.5,))))
    )
    figure = figure_of(entry(replace(plot("map", z="nats"), panels=panels)))
    assert [t["zmax"] for t in figure.traces] == [1.0, 1.0]
    assert figure.caption == "Caption. Colours saturate at nats = 1."


# ---- Scatters


def test_a_scatter_is_square_with_its_diagonal_and_names_the_farthest():
    y = tuple(0.1 * i for i in range(9))
    figure = drawn("scatter", series("model", (0.0,) * 9, y, text=tuple("abcdefghi")), lines=(0.3,))
    points, across, diagonal, names = figure.traces
    assert points["text"][2] == "model, c (0, 0.20)"
    assert names["text"] == list("ihgfed")
    assert across["shape"]["y0"] == 0.3
    low, high = figure.panels[0].x["range"]
    assert figure.panels[0].y["range"] == [low, high]
    assert [diagonal["shape"][k] for k in ("x0", "y0", "x1", "y1")] == [low, low, high, high]
    assert figure.panels[0].x["ticks"] == figure.panels[0].y["ticks"]
    assert figure.panels[0].x["ticks"][0] == [0.0, "0"]


def test_points_of_chance_lie_below_the_others_and_a_crowd_is_small():
    crowd = series("random", (0.0,) * 200, (1.0,) * 200)
    traces = drawn("scatter", series("recall", (1.0,), (0.0,)), crowd).traces
    assert [(t["name"], t["marker"]["size"]) for t in traces[:2]] == [("random", 4), ("recall", 7)]


def test_points_without_a_number_are_counted():
    figure = drawn("scatter", series("model", (0.0, NAN), (1.0, 1.0)))
    assert figure.caption == "Caption. Not drawn, for want of a number: 1 point."


# ---- Histograms


def test_a_histogram_has_pale_bars_and_an_outline_for_each_series():
    bins = series("recall", (0.0, 1.0, 2.0), (5, 0, 2))
    bars, outline = drawn("histogram", bins).traces
    assert (bars["x"], bars["width"], bars["y"]) == ([0.5, 1.5, 2.5], [1, 1, 1], [5, 0, 2])
    assert bars["text"][2] == "recall, 2 to 3: 2"
    assert (bars["opacity"], bars["showlegend"]) == (0.22, False)
    assert outline["x"] == [0, 0, 1, 2, 3, 3]
    assert outline["y"] == [0, 5, 0, 2, 2, 0]
    assert outline["line"]["color"] == "$recall"


# ---- In the page


def test_words_of_a_plot_are_escaped(tmp_path):
    html = render(sample(), None, tmp_path / "report.html", plots=nasty()).read_text()
    assert html.count("figure-h2-mini-qwen-") == 4
    assert "<script>window.pwned" not in html
    assert "<img src=x" not in html
