"""Claims on circuits under other labels, on effects of components whose truth is known."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.activations.swept import SweepResult
from harness.calibration.claims import claim_module
from harness.calibration.effects import Effects, Every
from harness.calibration.from_effects import (
    _drawn,
    costs_its_cell,
    lie_apart,
    serve_their_own,
)
from harness.calibration.relabelled import shuffled_cells, three_relations
from harness.findings.circuits.circuits import ranked
from harness.findings.processes.circuit import Parts
from harness.findings.processes.kinds import CELLS, COMPOSING, RETRIEVAL, cell_of
from harness.interventions.interventions import MEAN, Intervention
from harness.verdicts.evidence import State
from tests.support.made_cells import cells
from tests.support.synthetic import PLAN, study_of

LAYERS, WIDTH = 4, 10
OWN = {"recall": (0, 3), "reasoning": (2, 5)}  # the component of each process


def every(kind, prompts, generator):
    """Each process's component costs its cell all of its logit difference; the rest is noise."""
    costs = generator.normal(0, 0.01, (len(prompts), LAYERS, WIDTH))
    for row, item in enumerate(prompts.items):
        if cell_of(item) in OWN:
            costs[(row, *OWN[cell_of(item)])] += 2.0
    search = SimpleNamespace(
        **{"study": None, "kind": kind, "rule": claim_module("h5").rule, "prompts": prompts},
        **{"layers": LAYERS, "width": WIDTH, "costs": costs, "intact": np.full(len(prompts), 2.0)},
    )
    return Every(search, costs.sum((1, 2)))


@pytest.fixture(scope="module")
def effects():
    study = study_of(None, cells(), replace(PLAN, items=200))
    parts, generator = Parts.of(study), np.random.default_rng(0)
    n = len(parts.judging)
    one = {name: np.ones(n) for name in ("clean_log_probability", "clean_correct")}
    each = {name: np.ones((1, n)) for name in ("log_probability", "correct", "divergence")}
    intact = SweepResult(
        **one,
        **each,
        logit_difference=np.full((1, n), 2.0),
        clean_logit_difference=np.full(n, 2.0),
        scorable=np.ones(n, dtype=bool),
        applicable=np.ones((1, n), dtype=bool),
    )
    both = [
        {kind: every(kind, prompts, generator) for kind in ("head", "neuron")}
        for prompts in (parts.selection, parts.judging)
    ]
    return Effects(study, parts, *both, intact)


@pytest.fixture(scope="module")
def model(effects):
    return effects.labelled(effects.parts.selection, effects.parts.judging)


def test_the_claims_hold_on_the_labels_as_they_are(model):
    for process in (RETRIEVAL, COMPOSING):
        assert costs_its_cell(model, "neuron", process) is State.HELD
    assert serve_their_own(model, "head") is State.HELD
    assert lie_apart(model) is State.HELD


@pytest.mark.parametrize("relabel", [shuffled_cells, three_relations])
def test_no_claim_holds_where_the_labels_say_nothing(effects, relabel):
    for labelled in _drawn(effects, relabel, 4):
        assert costs_its_cell(labelled, "head", RETRIEVAL) is not State.HELD
        assert serve_their_own(labelled, "neuron") is not State.HELD
        assert lie_apart(labelled) is not State.HELD


def test_a_set_costs_the_sum_of_its_components_and_all_of_them_what_was_measured(model):
    search = model.searching["head"]
    ranking = ranked("head", np.zeros((LAYERS, WIDTH)))
    two = ranking.top(2)
    lost = search.lost([Intervention(two.sites, MEAN), Intervention(ranking.sites, MEAN)])
    assert lost[0] == pytest.approx(search.costs[:, 0, :2].sum(1))
    assert lost[1] == pytest.approx(search.together)
    assert search.lost([SimpleNamespace(sites=())])[0] == pytest.approx(0)


def test_cells_change_places_within_a_block_and_questions_stay_as_they_are(effects):
    before = effects.parts.judging
    after = shuffled_cells(before, np.random.default_rng(0))
    assert [i.prompt for i in after.items] == [i.prompt for i in before.items]
    pairs = zip(before.items, after.items, strict=True)
    moved = Counter((cell_of(one), cell_of(other)) for one, other in pairs)
    assert set(moved) == {(one, other) for one in CELLS for other in CELLS}
    for one, other in ((before, after), (after, before)):
        new = {item.id: cell_of(item) for item in other.items}
        moved_to = {(i.pair, cell_of(i)): new[i.id] for i in one.items}
        assert all(new[i.id] == moved_to[i.pair, cell_of(i)] for i in one.items)  # as one block


def test_a_unit_of_one_process_is_three_relations_of_one_cell(effects):
    before = effects.parts.judging
    after = three_relations(before, np.random.default_rng(0))
    asked = {item.id: (cell_of(item), item.relation) for item in before.items}
    units = {}
    for item in after.items:
        units.setdefault(item.relation, {}).setdefault(cell_of(item), set()).add(asked[item.id])
    assert len(units) >= 6
    for unit in units.values():
        assert set(unit) == set(CELLS)
        sources = set().union(*unit.values())
        assert len({cell for cell, _ in sources}) == 1
        assert len({relation for _, relation in sources}) == 3
