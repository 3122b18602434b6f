"""`--budget`: what is cut, and that it is said and recorded."""

import pytest

from harness.findings.processes.kinds import RETRIEVAL
from harness.findings.processes.materials import relations_of
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.models.specs import resolve
from harness.plugin.budget import sentences, too_few, within
from harness.plugin.forecasting import Forecasts
from harness.study.plan import Plan
from harness.study.speed import Speed

TOKENS = {"published": 10, "plain": 30, "crossed": 30, "cells": 30, "cells-crossed": 50}
SPEED = Speed({"answers": 1000, "activations": 1000, "sweep": 1000, "gradients": 100}, TOKENS)
NODES = (
    "test_h0_measurement.py::test_the_model_answers[mini-qwen-cells-crossed:lookup-reasoning]",
    "test_h1_layers.py::test_some_layers_serve_retrieval[mini-qwen-cells]",
    "test_h5.py::test_a_circuit_of_retrieval_serves_other_relations[mini-qwen-cells-head]",
)


def forecasts(plan: Plan) -> Forecasts:
    made = Forecasts({"mini-qwen": resolve("mini-qwen")}, plan, NODES)
    made.measured("mini-qwen", SPEED)
    return made


def seconds_of(items: int) -> float:
    left = forecasts(Plan(items=items)).left()
    assert left is not None
    return left


def test_where_there_is_time_nothing_is_cut():
    plan, seconds = within(seconds_of(200) + 1, Plan(), forecasts(Plan()))
    assert plan == Plan()
    assert seconds == pytest.approx(seconds_of(200))


def test_items_are_cut_before_relations():
    plan, _ = within(seconds_of(128) + 1, Plan(), forecasts(Plan()))
    assert plan.items == 128
    assert plan.cut.endswith("128 items of each task instead of 200")
    plan, _ = within(seconds_of(96) + 1, Plan(), forecasts(Plan()))
    assert plan.cut.endswith(
        "96 items of each task instead of 200, in 12 or more of 16 relations of the cells"
    )


def test_what_was_cut_is_a_note_of_every_verdict():
    plan, _ = within(seconds_of(64), Plan(), forecasts(Plan()))
    assert plan.cut in plan.notes


def test_a_budget_that_nothing_fits_takes_the_smallest_and_says_so():
    plan, seconds = within(1, Plan(), forecasts(Plan()))
    assert plan.items == 64
    assert any("too short" in line for line in sentences(1, Plan(), plan, seconds))


def test_fewer_items_than_the_smallest_stay():
    plan, _ = within(1, Plan(items=40), forecasts(Plan(items=40)))
    assert plan == Plan(items=40)


def test_with_workers_the_longest_model_counts():
    models = {name: resolve(name) for name in ("mini-qwen", "mini-llama")}
    nodes = [*NODES, *(node.replace("mini-qwen", "mini-llama") for node in NODES)]
    one, two = (Forecasts(models, Plan(), nodes, workers=n) for n in (1, 2))
    for run in (one, two):
        for name in models:
            run.measured(name, SPEED)
    assert two.left() < 0.6 * one.left()


@pytest.mark.parametrize(("chains", "items"), [(2, 32), (3, 48), (4, 64)])
def test_too_few_items_for_eight_relations_are_named_beforehand(chains, items):
    def relations(count: int) -> int:
        drawn = draw_cells("cells", count, 0, Difficulty(shots=0, chains=chains))
        return len(relations_of(drawn, RETRIEVAL.cells))

    assert relations(items * 7 // 8) == 7
    assert relations(items) == 8
    assert f"{items} " in too_few(24)[0]
    assert not too_few(64)
