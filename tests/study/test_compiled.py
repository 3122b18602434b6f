"""The network with a shared circuit is what circuit.json says: every part serves every cell."""

import json

import numpy as np
import pytest
import torch

from fixtures.training import compiled
from fixtures.training.choices import measure_cells
from harness.files import DATA
from harness.findings.processes.kinds import cell_of
from harness.findings.sweeps import swept
from harness.interventions.interventions import INTACT, MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.cell_sets import draw_cells
from harness.materials.difficulty import Difficulty
from harness.models import specs
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.subject import Subject

FOLDER = DATA / "fixtures" / "organisms" / "shared-qwen"
CELLS = ("recall", "lookup", "reasoning")
LAST = compiled.LAYERS - 1


def test_circuit_json_is_what_the_recipe_says():
    truth = json.loads((FOLDER / "circuit.json").read_text(encoding="utf-8"))
    assert truth == compiled.truth("shared-qwen")
    assert truth["processes"]["retrieval"] == truth["processes"]["composing"]
    assert set(truth["expected"].values()) == {"not supported"}


def test_nothing_is_expected_of_retrieval_where_only_composing_is_missing():
    known = compiled.expected(compiled.COMPILED["one-step"])
    assert not any("retrieval_serves" in place or "of_retrieval" in place for place in known)


def test_codes_tell_no_list_of_names_by_mean_or_length():
    names = compiled.names_of_relations()
    first = {name: at for at, name in enumerate(sorted(names.answers))}
    number, own, facts = compiled.codes_of(names, first, torch.Generator().manual_seed(1))
    for codes in (own, facts):
        torch.testing.assert_close(codes.norm(dim=1), torch.ones(len(codes)))
        for group in names.groups:
            if len(group) > 16:
                assert float(codes[[number[n] for n in group]].mean(0).norm()) < 0.05


def test_pieces_are_right_in_sum_only():
    first, second = compiled.in_sum(torch.Generator().manual_seed(1))
    torch.testing.assert_close(first + second, torch.eye(compiled.CODE))
    assert float(first.norm()) > 3 * compiled.CODE**0.5


def test_one_step_answers_in_one_step_only():
    model, tokenizer = compiled.build("one-step")
    right = measure_cells(model, tokenizer, 24, 3000, Difficulty(), ())
    assert min(right["recall"], right["lookup"]) > 0.65
    assert right["reasoning"] < 0.6


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Share of right answers by what is ablated and cell."""
    subject = Subject(
        specs.resolve("shared-qwen"), LoadOptions(), Store(tmp_path_factory.mktemp("store"))
    )
    heads = {f"head {layer}": (Site("head", layer, 1),) for layer in range(LAST)}
    neurons = {f"neurons {layer}": (Site("neuron", layer, (3, 40)),) for layer in range(LAST - 1)}
    taken = heads | neurons
    prompts = draw_cells("cells", 24, seed=3000)
    each = [INTACT, *(Intervention(sites, MEAN) for sites in taken.values())]
    found = swept(subject, prompts, each, means_over=draw_cells("cells", 16, seed=3001))
    asked = np.array([cell_of(item) for item in prompts.items])
    return {
        what: {cell: float(found.correct[row][asked == cell].mean()) for cell in CELLS}
        for row, what in enumerate(("nothing", *taken))
    }


def test_it_knows_the_cells(right):
    assert min(right["nothing"].values()) > 0.75


def test_without_one_head_or_two_neurons_every_cell_is_lost(right):
    for what, cells in right.items():
        for cell, share in cells.items():
            assert what == "nothing" or share < right["nothing"][cell] - 0.2, (what, cell)
