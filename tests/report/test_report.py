"""The report: what it says, draws and holds."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.report import view as report_view
from harness.report.figures import component_figures
from harness.report.figures.figure import FigureContext
from harness.report.figures.forest import forest
from harness.report.rendering import load_and_render, render
from harness.report.verdicts import beside
from harness.verdicts import records
from harness.verdicts.components import read_components
from harness.verdicts.earlier import Change, Earlier, Moved
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import AnalysisPlan, ComponentSummary, Named
from tests.support.sample_plots import curve, entry, scatter
from tests.support.sample_records import MODELS, NASTY, components, known, large, sample


@pytest.fixture(scope="module")
def page():
    return report_view.report_page(sample(), components(), "t")


# ---- What it says


def test_one_refuted_prediction_refutes_the_claim():
    def judged(*outcomes):
        return report_view.overall(outcomes)

    assert judged("supported", "supported") == "supported"
    assert judged("supported", "refuted", "inconclusive") == "refuted"
    assert judged("supported", "not measured") == "not measured"
    assert judged("inconclusive", "not measured") == "inconclusive"


def test_a_requirement_that_two_predictions_share_is_drawn_once_and_says_of_which_part():
    """The third finding of h1 takes over the counts of the first two."""
    [first] = [
        r for r in sample(("mini-qwen",)) if (r.claim_id, r.criterion) == ("h3", "controlled")
    ]
    larger = Evidence("larger", Effect(first.evidence[0].effect.name, 3.0), 0.0, ">", n=9)
    records_ = [
        replace(first, prediction_id="a", part="retrieval", evidence=(*first.evidence, larger)),
        replace(first, prediction_id="b", part="composing",
                evidence=(replace(larger, effect=replace(larger.effect, value=2.0)),)),
        replace(first, prediction_id="c", part="different"),
    ]  # fmt: skip
    figure = forest(records_, "h3", "mini-qwen", with_criterion=False)
    [panel] = figure.panels
    assert panel.y["labels"] == [
        f"retrieval: {first.evidence[0].name}",
        "retrieval: larger",
        "composing: larger",
    ]
    assert figure.headline.startswith("3 of 3 requirements hold")


def test_a_criterion_that_nothing_was_judged_by_has_no_column(tmp_path):
    own = [v for v in sample(("mini-qwen",)) if v.criterion == "controlled"]
    page = report_view.report_page(own, None, "t")
    assert page.criteria == ["controlled"]
    assert {cell.criterion for c in page.claims for row in c.rows for cell in row.cells} == {
        "controlled"
    }
    html = render(own, None, tmp_path / "report.html").read_text()
    assert "no such prediction" not in html
    assert report_view.report_page(sample(), None, "t").criteria == ["published", "controlled"]


def test_names_of_fields_are_words_in_the_table_of_components(page):
    tables = [p.components for c in page.claims for m in c.models for p in m.predictions]
    metrics = {row["metric"] for t in tables if t is not None for row in t.rows}
    assert "norm of the residual stream" in metrics
    assert not any("_" in (metric or "") for metric in metrics)


def test_what_the_baseline_said_stands_beside_what_is_said_now(tmp_path):
    found = sample(("mini-qwen",))
    moved = Moved("d", 2.0, 1.0, -1.0, (-1.5, -0.5), 0.001, 0.01, n=40, better=False)

    def before(verdict):
        h2 = (verdict.claim_id, verdict.criterion) == ("h2", "controlled")
        outcome = Outcome.REFUTED if h2 else verdict.outcome
        name, method = f"0001_{NASTY}", "paired bootstrap"
        return Earlier(name, "x", "older", outcome, Change.WEAKER, (moved,), method)

    found = [replace(verdict, baseline=before(verdict)) for verdict in found]
    for verdict in found:
        records.validate(verdict.to_json())
    cells = {
        c.id: [cell.was for row in c.rows for cell in row.cells]
        for c in report_view.report_page(found, None, "t").claims
    }
    assert cells["h2"] == ["", "refuted"]
    assert cells["h1"] == ["", ""]
    html = render(found, None, tmp_path / "report.html").read_text()
    assert html.count(", was refuted") == 1
    assert html.count(">was refuted<") == 2  # in the table and above the claim's figure
    assert "<b>Against 0001_evil&lt;script&gt;" in html
    assert "[−1.50, −0.50]" in html
    assert "weaker" in html


def test_a_link_to_a_prediction_does_not_depend_on_what_else_was_run():
    def anchors(found):
        claims = report_view.report_page(found, None, "t").claims
        return {(p.record.prediction_id, p.record.materials.name): p.anchor
                for c in claims for m in c.models for p in m.predictions}  # fmt: skip

    found = sample()
    assert anchors(found[::-1]) == anchors(found)
    some = [r for r in found if r.claim_id == "h2" and r.model.name == MODELS[1]]
    assert anchors(some).items() <= anchors(found).items()
    twice = [replace(v, materials=replace(v.materials, name=n)) for n in "ab" for v in some]
    assert anchors(twice[::-1]) == anchors(twice)
    assert "h2-held-out-mini-llama-b" in anchors(twice).values()


def test_claims_stand_in_their_natural_order():
    assert sorted(["h10", "h2", "h0"], key=report_view.natural) == ["h0", "h2", "h10"]


def test_the_first_screen_says_a_sentence_a_model():
    page = report_view.report_page(sample(), None, None)
    assert page.title == "Claims about mini-qwen and mini-llama"  # these materials hold lookup too
    said = [line.text for line in page.sentences]
    assert len(said) == 2
    assert said[0].startswith("mini-qwen. Controlled: 2 supported (h1 and h2), 2 refuted (h3 and")
    assert "h0" not in said[0]
    assert page.instrument.text.startswith("Instrument check: no reference model was judged")
    assert page.warnings == []


def test_the_title_names_what_was_compared():
    found = [
        replace(v, materials=Named("g", {"n": {"affirmed": 30, "negated": 30}}))
        for v in sample(("mini-qwen",))
    ]
    assert report_view.report_page(found, None, None).title == "Affirmed and negated in mini-qwen"


def test_an_instrument_that_was_not_measured_is_said_too():
    broken = [
        replace(v, outcome=Outcome.NOT_MEASURED, reason="out of memory.")
        if v.claim_id == "h0"
        else v
        for v in sample(("mini-qwen",))
    ]
    (warning,) = report_view.report_page(broken, None, None).warnings
    assert warning.text == (
        "Whether mini-qwen can be measured is not known: h0 was not measured (out of memory)."
    )


def test_an_unfit_instrument_is_said_before_anything_else(tmp_path):
    unfit = [
        replace(v, outcome=Outcome.REFUTED, evidence=(replace(v.evidence[0], threshold=1e-9),))
        if v.claim_id == "h0" and "hooked" in v.prediction_id
        else v
        for v in sample(("mini-qwen",))
    ]
    page = report_view.report_page(unfit, None, None)
    (warning,) = page.warnings
    assert warning.text == (
        "Read no verdict on mini-qwen as a statement about the model, "
        "not even a supported one: h0 is refuted (hooked minus plain logits: "
        "largest difference = +3e−7, needed ≤ 1e−9)."
    )
    other = [replace(v, materials=Named("mine", {})) for v in sample(("mini-qwen",))]
    (warning,) = report_view.report_page([*unfit, *other], None, None).warnings
    assert warning.text.startswith("Read no verdict on mini-qwen on geography-crossed as a")
    html = render(unfit, None, tmp_path / "report.html").read_text()
    assert html.index("Read no verdict on mini-qwen") < html.index('class="matrix')


def test_published_and_controlled_are_set_side_by_side_within_a_part_only():
    def part(v):
        steers = v.claim_id == "h2" and v.criterion == "controlled"
        return replace(v, part="steers" if steers else "separates" if v.claim_id == "h2" else "")

    page = report_view.report_page([part(v) for v in sample()], None, "t")
    rows = [row.name for c in page.claims for row in c.rows]
    assert rows == ["h0", "h1", "h2 separates", "h2 steers", "h3", "h4"]
    assert not [p for p in page.partings if p.claim_id == "h2"]
    whole = report_view.report_page(sample(), None, "t")
    assert [p for p in whole.partings if p.claim_id == "h2"]


def test_a_published_claim_without_parts_is_set_beside_every_controlled_part():
    """As in h1 to h6, whose published rule judges the claim and whose controlled one its parts."""

    def part(v):
        return replace(v, part="retrieval" if v.criterion == "controlled" else "")

    page = report_view.report_page([part(v) for v in sample()], None, "t")
    whole = report_view.report_page(sample(), None, "t")
    found = [(p.claim_id, p.model) for p in page.partings]
    assert found == [(p.claim_id, p.model) for p in whole.partings]
    assert {p.part for p in page.partings} == {"retrieval"}


def test_the_same_number_stands_wherever_a_verdict_is_shown(tmp_path):
    found = sample(("mini-qwen",))
    refuted = next(v for v in found if v.claim_id == "h4" and v.criterion == "controlled")
    text = "overlap over redrawn facts: Jaccard = 0.71 [0.64, 0.79], needed > 0.8"
    assert refuted.deciding.plain == text
    assert refuted.to_json()["deciding"]["text"] == text
    html = render(found, None, tmp_path / "report.html").read_text()
    # Over its cell, in the claim's line, in its own row, and where published and controlled part.
    assert html.count(text.replace(">", "&gt;")) == 4
    row = next(r for r in report_view.report_page(found, None, "t").table.rows
               if r.claim_id == "h4" and r.criterion == "controlled")  # fmt: skip
    assert (row.effect, row.interval) == (text.replace(" [0.64, 0.79]", ""), "[0.64, 0.79]")


def test_severity_and_grade_stand_beside_the_number(tmp_path):
    record = next(v for v in sample(("mini-qwen",)) if v.claim_id == "h2" and v.components.total)
    severity = Evidence("same-process contrasts", Effect("share", 2 / 28), n=28, key="severity")
    notes = ("evidence of grade A on cells: both questions stand in every prompt",)
    said = replace(record, evidence=(*record.evidence, severity), notes=notes)
    assert beside(said) == [
        *("severity: 2 of 28 same-process contrasts pass the same rule", "grade A")
    ]
    assert beside(record) == []
    html = render([said], None, tmp_path / "report.html").read_text()
    assert html.count("severity: 2 of 28 same-process contrasts pass the same rule") == 2


def test_no_figure_is_drawn_twice():
    twice = [entry(curve()), entry(curve(), prediction_id="another")]
    page = report_view.report_page(sample(), None, "t", twice)
    specs = [repr(f.spec()) for c in page.claims for m in c.models for f in m.figures]
    specs += [repr(c.figure.spec()) for c in page.claims if c.figure]
    assert len(specs) == len(set(specs))


def test_where_criteria_part_the_twins_are_quoted(page):
    partings = page.partings
    assert [(p.claim_id, p.model) for p in partings][:2] == [
        *(("h1", "mini-llama"), ("h2", "mini-llama"))
    ]
    assert any("heads pass in the untrained twins" in line for line in partings[1].twins)


def test_without_components_the_twins_are_taken_from_the_controls():
    partings = report_view.report_page(sample(), None, "t").partings
    heads = next(p for p in partings if p.claim_id == "h2")
    assert "published criterion, untrained twin 2: 11 components that pass" in heads.twins


def test_the_time_of_a_run_is_that_of_its_results():
    """Kept controls were measured by another run."""
    results = sample()
    assert report_view.report_page(results, None, "t").provenance.seconds > 0
    both = report_view.report_page([*results, *known()], None, "t")
    assert both.provenance.seconds == pytest.approx(sum(r.seconds for r in results))


def test_a_docstring_of_terms_becomes_a_list():
    text = "Source      Fartale et al.\nMaterials   crossed;\n            plain beside."
    assert report_view.terms(text) == [
        *(("Source", "Fartale et al."), ("Materials", "crossed; plain beside."))
    ]
    assert report_view.report_page(sample(), None, "t").claims[1].described[0][0] == "Source"
    assert report_view.terms("Some prose.\nMore of it.") == []


# ---- Figures


def _figures(page):
    every = [f for c in page.claims for m in c.models for f in (*m.figures, m.forest)]
    return list(filter(None, [*every, *(c.figure for c in page.claims)]))


def test_every_figure_says_what_it_rests_on_and_how_to_read_it(page):
    found = _figures(page)
    assert len(found) == 22
    for figure in found:
        assert re.search(r"criterion · geography.* · n = \d", figure.context), figure.title
        assert figure.claim_id in {"h0", "h1", "h2", "h3", "h4"}
        assert figure.headline.endswith(".")
        assert len(figure.caption) > 80
        json.dumps(figure.spec(), allow_nan=False)


def test_figures_that_claims_hand_over_follow_those_of_the_components():
    published = {
        "criterion": "published",
        "prediction_id": "test_h2.py::test_published_criterion[mini-qwen]",
    }
    plots = [
        *(entry(scatter()), entry(curve(), **published), entry(curve(), model="mini-llama")),
        entry(curve(), claim_id="h9"),
    ]
    page = report_view.report_page(sample(), components(), "t", plots)
    titles = {(c.id, m.model): [f.title for f in m.figures] for c in page.claims for m in c.models}
    assert page.claims[2].figure.title == "mini-qwen: effect of every head"  # the one that is open
    assert titles["h2", "mini-qwen"] == [
        "mini-qwen: effect of every head",
        "mini-qwen: drop against dose",
        "mini-qwen: what each head causes for either task",
    ]
    assert titles["h2", "mini-llama"][2:] == ["mini-llama: drop against dose"]
    assert len(titles["h1", "mini-qwen"]) == 1


def test_plotly_accepts_every_trace(page):
    go = pytest.importorskip("plotly.graph_objects")
    for figure in _figures(page):
        for trace in figure.traces:
            if "shape" not in trace:
                plain = json.loads(re.sub(r'"\$\w+"', '"#123456"', json.dumps(trace)))
                plain.pop("colorbar", None)
                go.Figure([plain])


def test_neurons_travel_as_a_histogram():
    rng = np.random.default_rng(0)
    effects = np.r_[rng.normal(0, 1, 200_000), np.nan]
    table = pd.DataFrame(
        {"source": "model", "layer": 0, "index": np.arange(len(effects)), "effect": effects,
         "passed": np.abs(effects) > 1}
    )  # fmt: skip
    context = FigureContext("m", "h3", "published", "g", 60, 1.0)
    figure = component_figures.neuron_distribution(table, context)
    assert len(json.dumps(figure.spec())) < 5_000
    assert sum(y or 0 for y in figure.traces[0]["y"]) == 200_000


def test_a_figure_of_an_encoder_decoder_says_whose_its_layers_are():
    table = components(claims=("h2",), models=("mini-qwen",))
    table = table[table.criterion == "published"]
    context = FigureContext("m", "h2", "published", "g", 60, 1.0)
    assert "encoder" not in component_figures.head_map(table, context).caption
    caption = component_figures.head_map(table, replace(context, encoder_layers=2)).caption
    assert caption.endswith(
        "Layers below 2 are the encoder's, the others the decoder's, whose heads are those of "
        "cross-attention."
    )


def test_undefined_effects_leave_a_gap():
    table = components(claims=("h2",), models=("mini-qwen",))
    table = table[table.criterion == "published"].copy()
    table.loc[table.index[0], "effect"] = float("nan")
    context = FigureContext("m", "h2", "published", "g", 60, 1.0)
    assert component_figures.head_map(table, context).traces[0]["z"][0][0] is None


def test_infinite_effects_are_read_and_drawn(tmp_path):
    """A component that varies between two classes and in neither has an infinite d."""
    table = components()
    for at in np.flatnonzero(table.claim_id.isin(["h2", "h3"]))[::7]:
        table.loc[table.index[at], "effect"] = float("inf")
    records.write_verdicts(tmp_path / "verdicts.json", sample())
    table.to_parquet(tmp_path / "components.parquet")
    read = read_components(tmp_path)
    assert np.isinf(read["effect"]).sum() == np.isinf(table["effect"]).sum()
    for figure in _figures(report_view.report_page(sample(), read, "t")):
        json.dumps(figure.spec(), allow_nan=False)


def test_predictions_that_save_the_same_table_count_once(page):
    twice = report_view.report_page(sample(), pd.concat([components()] * 2), "t")
    once, again = (
        [t for c in p.claims for m in c.models for t in m.tallies] for p in (page, twice)
    )
    assert once == again


def test_each_prediction_has_the_figure_and_the_count_of_its_own_components():
    """Retrieval and composing each save every head, on the same materials."""
    of_claim = [
        r for r in sample(("mini-qwen",)) if (r.claim_id, r.criterion) == ("h2", "controlled")
    ]
    table = components(("mini-qwen",), claims=("h2",))
    table = table[table.criterion == "controlled"]
    saved, records_ = [], []
    for part, contrast, size in (
        ("a", "recall minus lookup", 9),
        ("b", "reasoning minus lookup", 0),
    ):
        records_.append(replace(of_claim[0], prediction_id=part, part=part))
        passed = (table.source == "model") & (table["layer"] * 4 + table["index"] < size)
        saved.append(table.assign(prediction_id=part, contrast=contrast, passed=passed))
    page = report_view.report_page(records_, pd.concat(saved), "t")
    [on] = page.claims[0].models
    assert [(t.part, t.passed["model"]) for t in on.tallies] == [("a", 9), ("b", 0)]
    first, second = [page.claims[0].figure, *on.figures]
    assert first.headline.startswith("9 of 16 heads pass in the model")
    assert second.headline.startswith("0 of 16 heads pass in the model")
    assert "Positive: larger for recall; negative: larger for lookup." in first.caption
    assert "Positive: larger for reasoning; negative: larger for lookup." in second.caption
    assert first.context != second.context


def test_components_of_a_run_that_did_not_name_predictions_are_read_and_belong_to_none(tmp_path):
    old = components().drop(columns=["prediction_id", "contrast"])
    old.to_parquet(tmp_path / "components.parquet")
    read = read_components(tmp_path)
    assert set(read["prediction_id"]) == {""}
    page = report_view.report_page(sample(), read, "t")
    assert not any(m.tallies for c in page.claims for m in c.models)


def test_the_threshold_drawn_is_the_plan_s_for_that_kind(page):
    captions = {c.id: c.figure.caption for c in page.claims if c.figure}
    assert "Dashed: ±0.5." in captions["h1"]
    assert "Dashed: ±1." in captions["h3"]


# ---- What it holds


def test_it_carries_no_address_to_fetch(report_file):
    html = report_file.read_text()
    shell = re.sub(r'<script type="text/plain".*?</script>', "", html, flags=re.S)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|url\(|@import""", shell)
    assert report_file.stat().st_size < 4_000_000


def test_a_rebuild_is_the_same_file(tmp_path):
    records.write_verdicts(tmp_path, sample())
    components().to_parquet(tmp_path / "components.parquet")
    records.write_plots(tmp_path, [entry(curve())])
    built = load_and_render(tmp_path)
    assert built == tmp_path / "report.html"
    again = load_and_render(tmp_path, tmp_path / "again.html")
    assert built.read_bytes() == again.read_bytes()
    assert "mini-qwen: drop against dose" in built.read_text()


def test_five_models_and_eleven_claims_stay_small(tmp_path):
    """Two are drawn: what a page has more of each model is the same within 2 %."""
    found, table, plots = large(models=2)
    assert len({r.model.name for r in found}) == 2
    assert len({r.claim_id for r in found}) == 11
    assert len(found) == 132
    empty = render([], None, tmp_path / "empty.html").stat().st_size
    two = render(found, table, tmp_path / "report.html", plots=plots).stat().st_size
    assert empty + 5 / 2 * (two - empty) < 10_000_000


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(lambda _: False, id="no verdicts"),
        pytest.param(lambda r: r.outcome == "not measured", id="only not measured"),
        pytest.param(lambda r: r.model.name == MODELS[0], id="one model"),
        pytest.param(lambda r: r.criterion == "controlled", id="one criterion"),
    ],
)
def test_it_stands_with_little_to_show(tmp_path, chosen):
    kept = [r for r in sample() if chosen(r)]
    html = render(kept, None, tmp_path / "report.html").read_text()
    assert ("This run holds no verdicts" in html) == (not kept)
    nothing = {
        **{"model": Named("m"), "materials": Named("g"), "plan": AnalysisPlan()},
        **{"components": ComponentSummary(), "provenance": {}},
    }
    bare = [replace(verdict, **nothing) for verdict in kept]
    render(bare, components().iloc[:0], tmp_path / "bare.html")


def test_names_are_escaped(nasty_file):
    html = nasty_file.read_text()
    assert "<script>window.pwned" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;window.pwned=1" in html
    assert "Côte d&#39;Ivoire&lt;/b&gt;" in html


def test_a_model_with_the_weights_of_another_is_no_second_measurement(tmp_path):
    same = [
        replace(v, model=Named(v.model.name, {**v.model.facts, "content": "c" * 64}))
        for v in sample()
    ]
    said = "mini-llama has the same weights as mini-qwen: the two are one measurement."
    for verdicts, told in ((sample(), False), (same, True)):
        page = render(verdicts, None, tmp_path / "r.html", card=tmp_path / "r.md")
        assert (said in page.read_text()) is told
        assert (said in (tmp_path / "r.md").read_text().replace("\\", "")) is told
