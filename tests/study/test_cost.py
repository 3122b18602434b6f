"""The numbers that a run's time is planned from are those of the claims and findings."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from harness.findings.circuits import neuron_scores, patching, published
from harness.findings.gates import FIRST_ITEMS
from harness.findings.processes import circuit_search, few, writing
from harness.findings.processes.hops import LEAST_CHAINS
from harness.findings.processes.kinds import CELLS, COMPOSING, RETRIEVAL
from harness.findings.steering.doses import BAND_PAIRS
from harness.findings.steering.fitting import neutral_prompts
from harness.materials.cell_sets import draw_cells
from harness.materials.items import DISCOVERY
from harness.materials.sets import geography_published
from harness.study import cost, difficulty, speed

HYPOTHESES = Path(__file__).resolve().parents[2] / "hypotheses"


def claim(name):
    path = next(HYPOTHESES.glob(f"test_{name}_*.py"))
    spec = importlib.util.spec_from_file_location(f"cost_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["h5", "h8", "h10"])
def test_circuits_are_planned_as_claimed(name):
    of = claim(name)
    assert (len(of.DOSES), of.REFERENCES) == (cost.CIRCUIT_DOSES, cost.REFERENCES)


@pytest.mark.parametrize("process", cost.PROCESSES)
@pytest.mark.parametrize(("kind", "measured"), [("head", "sweep"), ("neuron", "gradients")])
def test_generality_is_planned_without_a_circuit(process, kind, measured):
    """h9 compares what every component costs: it takes no doses, and ranks nothing twice."""
    sizes = cost.Sizes(items=200, twins=3, layers=4, heads=4, kind=kind)
    works = cost.works_of(f"test_relations_agree_on_what_serves_{process}", sizes)
    edited = [(w.kind, w.what) for w in works if w.kind in ("sweep", "gradients")]
    assert edited == [(measured, f"{kind} search")]


def test_tuning_and_few_heads_are_planned_as_claimed():
    assert claim("h10").STEPS == cost.TUNING_STEPS
    assert claim("h13").HEADS == cost.FEW_HEADS


def test_steering_is_planned_as_claimed():
    rule = claim("h7").steering
    assert (rule.selection.pairs, rule.criterion.pairs) == (cost.CHOOSING, cost.JUDGED)
    assert rule.criterion.least == cost.LEAST
    assert (len(rule.edits.doses), len(rule.edits.scales)) == (cost.DOSES, cost.SCALES)
    random = rule.random
    assert (
        *(random.count, random.pairs),
        random.band,
    ) == (cost.DIRECTIONS, cost.CONTROL_PAIRS, cost.BAND)


@pytest.mark.parametrize(
    ("planned", "measured"),
    [
        (cost.CELLS, len(CELLS)),
        (cost.PUBLISHED_PROMPTS, len(geography_published().items)),
        (cost.PUBLISHED_SETS, published.SETS),
        (cost.FIRST_ITEMS, FIRST_ITEMS),
        (cost.PATH_STEPS, neuron_scores.PATH_STEPS),
        (cost.SCREENED, circuit_search.SCREENED),
        (cost.PATCHED_PAIRS, patching.PATCHED_PAIRS),
        (cost.PATCHED_PLACES, len(patching.PATCHED)),
        (cost.FIRST_TEXTS, writing.FIRST_TEXTS),
        (cost.FEW, few.FEW),
        (cost.BAND_PAIRS, BAND_PAIRS),
        (difficulty.LEAST_CHAINS, LEAST_CHAINS),
        ({*cost.NEEDED["retrieval"]}, {*RETRIEVAL.cells}),
        ({*cost.NEEDED["composing"]}, {*COMPOSING.cells, difficulty.ORDER}),
    ],
)
def test_findings_are_planned_as_measured(planned, measured):
    assert planned == measured


def test_stories_are_as_large_as_planned():
    cells = draw_cells("cells", 200)
    story = cells.items[0].pair
    first = [item for item in cells.items if item.pair == story]
    assert sum(item.task == "recall" for item in first) == cost.STORY


def test_crossed_prompts_by_themselves_are_as_long_as_planned():
    name = speed.MATERIALS["crossed"]
    whole = [len(item.prompt.split()) for item in speed._drawn(name).items[: speed.SAMPLE]]
    assert sum(whole) / len(whole) / speed._words(name) == pytest.approx(cost.ALONE, rel=0.05)


def test_neutral_prompts_are_as_many_as_planned():
    cells = replace(draw_cells("cells", 200), tasks=("lookup", "reasoning"))
    neutral = neutral_prompts(cells)
    kinds = neutral.where(lambda item: item.split == DISCOVERY).count()
    stories = {kind: number / kinds["statement"] for kind, number in kinds.items()}
    assert sum(stories.values()) * cost.CONTROL_PAIRS == pytest.approx(cost.NEUTRAL, rel=0.05)
