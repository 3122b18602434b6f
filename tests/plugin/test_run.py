"""One run on disk: verdicts as they fall, components merged, rows for what was not measured."""

import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.findings.specialisation.cells import published_cells
from harness.findings.specialisation.rules import PublishedRule
from harness.plugin.prediction import Prediction
from harness.plugin.run import COMPONENT_COLUMNS, COMPONENT_PARTS, PLOT_PARTS, Run, not_measured
from harness.plugin.run import provenance as provenance_of
from harness.verdicts.components import COMPONENTS_NAME, components_frame
from harness.verdicts.plots import Plot, PlotPanel, Series
from harness.verdicts.records import (
    PLOTS_NAME,
    read_controls,
    read_plots,
    validate,
)
from harness.verdicts.table import load_verdicts
from harness.verdicts.verdict import Known, Verdict
from tests.support.synthetic import crossed_set, noise, plain_set, planted

ASKED = Prediction(
    claim_id="h2",
    claim="Heads specialise.",
    prediction_id="test_h2_heads.py::test_heads",
    prediction="Heads differ.",
    criterion="controlled",
    model="mini",
    materials="made-crossed",
)
COMMON = {
    "model": "mini",
    "materials": "made",
    "claim_id": "h2",
    "criterion": "controlled",
    "prediction_id": "test_heads",
}


def row(run: Run, name: str = "test_heads") -> Verdict:
    return not_measured(replace(ASKED, prediction_id=name), "RuntimeError: boom", run.run_id)


def table(kind="head", seed=0):
    prompts = crossed_set(40)
    cells = published_cells(kind, planted(noise(prompts, seed), prompts))
    return PublishedRule(threshold_d=1.0, alpha=0.01, votes=1, correction="bonferroni")(
        cells, prompts
    )


def figure(title="dose", y=(0.1, 0.2)):
    panels = (PlotPanel("", (Series("recall", "recall", (1, 2), y),)),)
    return Plot("curve", title, "Headline.", "Caption.", "heads", "drop", panels)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]


def test_a_prediction_without_a_verdict_is_a_valid_row_with_its_reason(tmp_path):
    record = row(Run(tmp_path / "report.html")).to_json()
    validate(record)
    assert record["outcome"] == "not measured"
    assert record["reason"] == "RuntimeError: boom"
    assert record["model"] == {"name": "mini"}
    assert record["evidence"] == []


def test_provenance_is_plain_text():
    found = provenance_of()
    assert json.loads(json.dumps(found)) == found
    assert {"package", "commit", "python", "torch", "transformers", "nnsight"} <= set(found)
    assert all(type(v) is str and v for v in found.values())


def test_verdicts_are_on_disk_as_they_fall(tmp_path):
    run = Run(tmp_path / "out" / "report.html")
    for count in (1, 2, 3):
        run.add(row(run, f"test_{count}"))
        assert [r["prediction_id"] for r in lines(run.folder)] == [
            f"test_{n}" for n in range(1, count + 1)
        ]
    assert not (run.folder / "verdicts.json").exists()  # interrupted here, nothing is lost
    assert len(load_verdicts(run.folder)) == 3


def test_a_new_run_replaces_the_verdicts_of_the_last_one(tmp_path):
    for name in ("test_old", "test_new"):
        run = Run(tmp_path / "report.html")
        run.add(row(run, name))
    assert [r["prediction_id"] for r in lines(tmp_path)] == ["test_new"]


def test_verdicts_on_reference_models_replace_no_run_before_there_is_one_on_a_model(tmp_path):
    old = Run(tmp_path / "report.html")
    old.add(row(old, "test_old"))
    run, known = Run(tmp_path / "report.html"), Known("negative", "refuted", "shares all parts")
    run.add(replace(row(run), control=known))
    assert [r["prediction_id"] for r in lines(tmp_path)] == ["test_old"]
    assert run.finish(stopped=True) is None
    run.add(row(run, "test_new"))
    run.add(replace(row(run), control=known))
    assert [r["prediction_id"] for r in lines(tmp_path)] == ["test_new"]
    assert len(read_controls(tmp_path)) == 2  # also if the run is killed now
    run.finish()
    assert len(json.loads((tmp_path / "controls.json").read_text())["verdicts"]) == 2
    assert len(read_controls(tmp_path)) == 2
    assert not (tmp_path / "controls.jsonl").exists()


def test_what_json_has_no_type_for_is_written_as_a_text(tmp_path):
    run = Run(tmp_path / "report.html")
    run.add(replace(row(run), provenance={"made by": len}))
    (record,) = lines(tmp_path)
    assert isinstance(record["provenance"]["made by"], str)
    assert "0x" not in record["provenance"]["made by"]  # an address is another one in every run


def named(prediction_id):
    """Where a prediction of that name saves what it measured."""
    return COMMON | {"prediction_id": prediction_id}


def test_parts_of_several_predictions_and_workers_are_merged(tmp_path):
    controller = Run(tmp_path / "report.html")
    workers = [Run(controller.report, controller.run_id) for _ in range(2)]
    workers[0].save_components({"model": table(), "twin 1": table(seed=1)}, **COMMON)
    workers[1].save_components({"model": table("layer")}, **{**COMMON, "claim_id": "h1"})
    workers[1].save_components({}, **COMMON)
    other = Run(controller.report)
    other.save_components({"model": table("neuron")}, **COMMON)  # of a run that was killed
    assert len(list((tmp_path / COMPONENT_PARTS).iterdir())) == 3
    controller.add(row(controller))
    report = controller.finish()
    assert report == controller.report
    assert report.exists()
    merged = pd.read_parquet(tmp_path / COMPONENTS_NAME)
    assert list(merged.columns) == list(COMPONENT_COLUMNS)
    assert merged.groupby(["claim_id", "source"], observed=True).size().to_dict() == {
        ("h1", "model"): len(table("layer")) * len(table("layer").metrics),
        ("h2", "model"): 16,
        ("h2", "twin 1"): 16,
    }
    assert not (tmp_path / COMPONENT_PARTS).exists()
    written = json.loads((tmp_path / "verdicts.json").read_text())
    assert written["verdicts"] == lines(tmp_path)


def test_a_run_without_components_writes_an_empty_table(tmp_path):
    run = Run(tmp_path / "report.html")
    run.add(row(run))
    run.finish()
    merged = pd.read_parquet(tmp_path / COMPONENTS_NAME)
    assert list(merged.columns) == list(COMPONENT_COLUMNS)
    assert merged.empty


def test_figures_of_several_workers_are_merged_in_the_order_of_the_verdicts(tmp_path):
    controller = Run(tmp_path / "report.html")
    workers = [Run(controller.report, controller.run_id) for _ in range(3)]
    for worker, name in zip(workers, ("test_c", "test_a", "test_b"), strict=True):
        worker.save_plots((figure(name), figure(f"{name} again")), **named(name))
    workers[0].save_plots((), **named("test_d"))
    Run(controller.report).save_plots((figure("killed"),), **named("test_a"))
    assert len(list((tmp_path / PLOT_PARTS).iterdir())) == 4
    for name in ("test_a", "test_b", "test_c"):
        controller.add(row(controller, name))
    controller.finish()
    merged = read_plots(tmp_path)
    assert [placed.plot.title for placed in merged] == [
        *("test_a", "test_a again", "test_b", "test_b again", "test_c", "test_c again")
    ]
    assert merged[0].to_json() == {
        **named("test_a"),
        "plot": figure("test_a").to_json(),
    }
    assert not (tmp_path / PLOT_PARTS).exists()
    assert "mini: test_c again" in controller.report.read_text()


def test_a_run_knows_when_the_report_was_written_that_it_replaces(tmp_path):
    first = Run(tmp_path / "report.html")
    first.add(row(first))
    assert first.replaced == ""
    first.finish()
    os.utime(first.report, (0, datetime(2026, 11, 28, 9, 58).timestamp()))
    second = Run(first.report)
    second.add(row(second))
    assert second.replaced == "2026-11-28 09:58"


def test_a_run_without_figures_takes_away_those_of_the_last(tmp_path):
    first = Run(tmp_path / "report.html")
    first.save_plots((figure(),), **COMMON)
    first.add(row(first))
    first.finish()
    assert (tmp_path / PLOTS_NAME).exists()
    second = Run(first.report)
    second.add(row(second))
    assert not (tmp_path / PLOTS_NAME).exists()  # also if it is interrupted here
    second.finish()
    assert read_plots(tmp_path) == []


def test_numbers_of_a_figure_are_plain_and_what_is_not_finite_is_empty():
    y = np.array([np.nan, np.inf], dtype=np.float32)
    [series] = figure(y=y).to_json()["panels"][0]["series"]
    assert series["y"] == [None, None]
    [series] = figure(y=(np.float64(0.5), -np.inf)).to_json()["panels"][0]["series"]
    assert series["y"] == [0.5, None]
    assert Plot.from_json(figure().to_json()).panels[0].series[0].name == "recall"


def test_a_run_that_judged_nothing_writes_nothing(tmp_path):
    assert Run(tmp_path / "report.html").finish() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_heads_and_neurons_have_a_row_each(kind):
    found = table(kind)
    frame = components_frame(found, source="model", **COMMON)
    assert len(frame) == len(found)
    assert np.array_equal(frame["effect"], found.effect)
    assert np.array_equal(frame["passed"], found.passed)
    assert frame[frame["passed"]]["type"].tolist() == found.type[found.passed].tolist()


def test_layers_have_a_row_for_each_feature_and_pass_once():
    found = table("layer")
    frame = components_frame(found, source="model", **COMMON)
    assert len(frame) == len(found) * len(found.metrics)
    assert frame["passed"].sum() == found.count == 1
    [hit] = frame[frame["passed"]].to_dict("records")
    assert hit["layer"] == 1
    assert hit["metric"] == found.metrics[found.metric[1]]
    assert hit["effect"] == found.effect[1]
    profile = frame.set_index(["layer", "metric"])["effect"]
    for layer, metric in np.ndindex(found.cells_d.shape):
        assert profile[(layer, found.metrics[metric])] == found.cells_d[layer, metric]


def test_components_of_an_encoder_decoder_name_their_stack():
    found = table("head")
    frame = components_frame(found, encoder_layers=1, source="model", **COMMON)
    assert set(frame[frame["layer"] == 0]["stack"]) == {"encoder 0"}
    assert set(frame[frame["layer"] == 1]["stack"]) == {"decoder 0, cross-attention"}
    assert set(components_frame(found, source="model", **COMMON)["stack"]) == {""}


def test_published_tables_have_the_same_columns():
    prompts = plain_set(20)
    rule = PublishedRule(threshold_d=0.5, alpha=0.01, votes=2, correction="benjamini-hochberg")
    found = rule(published_cells("head", noise(prompts, 0)), prompts)
    frame = components_frame(found, source="model", **{**COMMON, "criterion": "published"})
    assert list(frame.columns) == list(COMPONENT_COLUMNS)
    assert frame["effect_discovery"].isna().all()
    assert replace(found).count == frame["passed"].sum()
