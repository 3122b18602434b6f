"""Two runs that order components alike by what their loss costs, and two that do not."""

import numpy as np
import pandas as pd
import pytest

from harness.compare import ordered, past
from harness.compare.past import Baseline
from harness.verdicts import records
from harness.verdicts.components import COSTS
from tests.support.sample_records import components, sample

MODEL = "mini-qwen"
LAYERS = np.repeat(np.arange(4), 8)


def kept(tmp_path, name, effect=None, heads=8):
    """A run with a cost of every head, by layer and number; as `--save-baseline` keeps it."""
    table = components((MODEL,), heads=heads, claims=("h2",))
    table = table[(table.source == "model") & (table.criterion == "controlled")]
    if effect is not None:
        table = table.assign(source=COSTS, claim_id="h9", effect=effect)
    folder = tmp_path / "runs" / name
    records.write_verdicts(folder, sample((MODEL,)))
    table.to_parquet(folder / "components.parquet", index=False)
    return past.find(str(past.keep(folder, name, tmp_path / "baselines")), tmp_path)


def compared(now, before):
    return ordered.ordered_components(now, Baseline(before, {MODEL: MODEL}))


def test_costs_of_one_order_agree_and_an_order_within_layers_is_needed_for_a_small_p(tmp_path):
    own = np.random.default_rng(0).standard_normal(32)
    before = kept(tmp_path, "before", 100 * LAYERS + own)
    [alike] = compared(kept(tmp_path, "alike", 100 * LAYERS + 2 * own), before)
    shuffled = np.random.default_rng(1).permuted(own.reshape(4, 8), axis=1).ravel()
    [by_layer] = compared(kept(tmp_path, "by_layer", 100 * LAYERS + shuffled), before)
    assert alike.correlation.rho == pytest.approx(1)
    assert alike.correlation.p < 0.01
    assert by_layer.correlation.rho > 0.8
    assert by_layer.correlation.p > 0.05
    assert alike.steady
    assert not by_layer.steady
    assert "costs of 32 heads, rho 1.00" in ordered.text(alike)


def test_costs_on_other_materials_are_another_kind_of_costs(tmp_path):
    own = np.random.default_rng(0).standard_normal(32)
    runs = [kept(tmp_path, name, sign * own) for name, sign in (("a", 1), ("b", -1))]
    for name, files in (("both", ("one", "two")), ("again", ("two", "one"))):
        tables = [
            run.components(COSTS).assign(materials=file)
            for run, file in zip(runs, ("one", "two"), strict=True)
        ]
        order = [tables[("one", "two").index(file)] for file in files]
        records.write_verdicts(tmp_path / "runs" / name, sample((MODEL,)))
        pd.concat(order).to_parquet(tmp_path / "runs" / name / "components.parquet", index=False)
    both, again = (past.find(str(tmp_path / "runs" / n), tmp_path) for n in ("both", "again"))
    assert [found.correlation.rho for found in compared(again, both)] == pytest.approx([1, 1])


def test_models_of_another_shape_have_no_order_in_common(tmp_path):
    before, now = kept(tmp_path, "a", 1.0 * LAYERS), kept(tmp_path, "b", np.arange(16.0), heads=4)
    [found] = compared(now, before)
    assert found.correlation is None
    assert "do not have the same heads" in ordered.text(found)


def test_runs_without_costs_are_not_ordered(tmp_path):
    run = kept(tmp_path, "old")
    assert compared(run, run) == []
