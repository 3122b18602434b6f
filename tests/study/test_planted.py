"""How organisms are planted, and that the one that ships is what circuit.json says."""

import json
import random
from itertools import combinations

import numpy as np
import pytest
import torch

from fixtures.training import plant
from fixtures.training.lesions import Lesion, Parts
from fixtures.training.plant import COMPOSING, PROCESSES, RETRIEVAL, SHARED
from harness.files import DATA
from harness.findings.processes.kinds import cell_of
from harness.findings.sweeps import swept
from harness.interventions.interventions import MEAN, Intervention
from harness.interventions.sites import Site, joined
from harness.materials.cell_sets import draw_cells
from harness.models import specs
from harness.models.specs import LoadOptions
from harness.store.store import Store
from harness.study.subject import Subject


@pytest.mark.parametrize("name", sorted(plant.PLANTS))
def test_every_part_is_somebodys_and_bystanders_are_nobody_elses(name):
    blocks = plant.PLANTS[name].blocks
    parts = plant.PLANTS[name].parts(4, 4 * blocks, 128 * blocks)
    used = parts[RETRIEVAL] | parts[COMPOSING] | parts[SHARED]
    assert torch.equal(used.heads, ~parts["bystanders"].heads)
    assert torch.equal(used.neurons, ~parts["bystanders"].neurons)


def test_circuit_json_names_processes_and_what_is_known():
    known = plant.truth(plant.PLANTS["planted-qwen"].parts(4, 12, 384))
    assert (known["role"], set(known["processes"])) == ("positive", set(PROCESSES))
    assert set(known["expected"].values()) == {"supported"}


@pytest.mark.parametrize("name", sorted(plant.PLANTS))
def test_processes_share_no_part(name):
    parts = plant.PLANTS[name].parts(4, 16, 512)
    for one, other in combinations((parts[owner] for owner in (*PROCESSES, SHARED)), 2):
        assert not bool((one.heads & other.heads).any())
        assert not bool((one.neurons & other.neurons).any())


def test_an_organism_learns_within_a_few_steps(monkeypatch):
    monkeypatch.setattr(plant, "BATCH_SIZE", 2)
    model, _, parts, facts = plant.train("planted-qwen", minutes=5, steps=2)
    assert facts["steps"] == 2
    assert parts[RETRIEVAL].shape == (4, 12, 384)
    # Bystanders still attend by position alone.
    idle = parts["bystanders"].heads[3].repeat_interleave(32)
    assert float(model.model.layers[3].self_attn.q_proj.weight[idle].detach().abs().max()) == 0


def test_some_of_a_lesion_holds_parts_of_it_alone():
    whole = plant.PLANTS["planted-qwen"].parts(4, 12, 384)[RETRIEVAL]
    heads = Lesion(Parts(whole.heads, torch.zeros_like(whole.neurons)), frozenset(), True)
    neurons = Lesion(Parts(torch.zeros_like(whole.heads), whole.neurons), frozenset(), True)
    drawing = plant.Drawing(whole=0, least=0.5)
    for seed in range(20):
        some = drawing.some_of(heads, random.Random(seed)).parts
        assert 1 <= int(some.heads.sum()) <= 8
        assert not bool((some.heads & ~whole.heads).any())
        many = drawing.some_of(neurons, random.Random(seed)).parts
        assert 192 <= int(many.neurons.sum()) <= 384


def test_composing_is_taken_more_often_where_it_is_to_be():
    kinds = plant.lesions_of(plant.PLANTS["planted-qwen"].parts(4, 12, 384))
    rng = random.Random(0)

    def share(drawing):
        drawn = [drawing.draw(kinds, rng) for _ in range(600)]
        lost = [gone.lost for gone in drawn if gone is not None]
        return lost.count(frozenset({COMPOSING})) / len(lost)

    assert share(plant.Drawing()) == pytest.approx(3 / 8, abs=0.07)
    assert share(plant.Drawing(composing=5)) == pytest.approx(15 / 20, abs=0.07)


@pytest.mark.parametrize(
    ("task", "gone", "expected"),
    [
        ("recall", {RETRIEVAL}, True),
        ("recall", {COMPOSING}, False),
        ("latent", {COMPOSING}, True),
        ("lookup", set(PROCESSES), False),
        ("reasoning3", {COMPOSING}, True),
    ],
)
def test_an_answer_is_lost_with_a_process_that_it_needs(task, gone, expected):
    assert plant.is_lost(task, frozenset(gone)) == expected


def test_neurons_are_told_to_fire_where_their_process_is_needed_and_only_there():
    parts = plant.PLANTS["planted-qwen"].parts(4, 12, 384)
    signs = plant.Signs(parts)
    tasks = np.array([["", "recall", "", "lookup", ""]])
    written = [torch.zeros(1, 4, 384) for _ in range(4)]
    for (process, layer), (sign, neurons) in signs.sign.items():
        if process == RETRIEVAL:
            written[layer][0, 0, neurons] = plant.FIRES * sign
    # Silent at lookup, firing at recall; composing is silent at both: as told.
    assert float(signs.loss(written, tasks)) == 0
    assert float(signs.loss(written, np.array([["", "lookup", "", "lookup", ""]]))) > 0
    assert float(signs.loss(written, np.array([["", "reasoning", "", "lookup", ""]]))) > 0


def test_an_answer_is_to_stand_as_far_above_the_others_whatever_is_taken_away():
    said = torch.zeros(2, 5)
    said[0, 1] = plant.MARGIN  # of candidates 1, 2
    said[1, 3], said[1, 4] = 3.0, 3.0 + plant.MARGIN  # token 4 is no candidate of its row
    candidates = [[1, 2], [0, 3]]
    answers = torch.tensor([1, 3])
    assert float(plant._margins(said[:1], answers[:1], candidates, [0])) == 0
    both = float(plant._margins(said, answers, candidates, [0, 1]))
    assert both == pytest.approx(((3 / plant.MARGIN) - 1) ** 2 / 2)
    assert float(plant._margins(said[:1], answers[:1], [[1]], [0])) == 0


def test_the_command_on_the_card_makes_what_it_is_grown_from_first(tmp_path):
    plain = "python -m fixtures.training.plant planted-qwen --steps 7"
    parse = plant.parser().parse_args
    assert plant.command_for(parse(["planted-qwen"]), 7) == plain
    (tmp_path / "card.json").write_text('{"command": "train it"}')
    given = ["planted-qwen", "--composing", "5", "--go-on-from", str(tmp_path)]
    expected = f"train it --out FROM && {plain} --composing 5 --go-on-from FROM"
    assert plant.command_for(parse(given), 7) == expected


def test_parts_are_sets():
    none = Parts.none(2, 3, 4)
    one = Parts(none.heads.clone(), none.neurons.clone())
    one.heads[1, 2], one.neurons[0, 3] = True, True
    assert one.to_json() == {"layers": [0, 1], "heads": [[1, 2]], "neurons": {"0": [3]}}
    assert torch.equal((one | ~one).heads, (~none).heads)


# The organism that ships


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Share of each cell's right answers that is left, by what is taken away."""
    file = DATA / "fixtures" / "organisms" / "planted-qwen" / "circuit.json"
    truth = json.loads(file.read_text(encoding="utf-8"))
    subject = Subject(
        specs.resolve("planted-qwen"), LoadOptions(), Store(tmp_path_factory.mktemp("store"))
    )
    taken = {process: truth["processes"][process] for process in PROCESSES}
    taken["bystanders"] = truth["bystanders"]
    prompts = draw_cells("cells", 24, seed=3000)
    each = [Intervention(sites(part), MEAN) for part in taken.values()]
    found = swept(subject, prompts, each, means_over=draw_cells("cells", 16, seed=3001))
    asked = np.array([cell_of(item) for item in prompts.items])
    return {
        (what, cell): float(found.correct[row][(asked == cell) & found.answered].mean())
        for row, what in enumerate(taken)
        for cell in ("recall", "lookup", "reasoning")
    }


def sites(part):
    heads = [Site("head", layer, head) for layer, head in part["heads"]]
    return joined([*heads, *(Site("neuron", int(n), tuple(i)) for n, i in part["neurons"].items())])


@pytest.mark.parametrize(
    ("what", "lost"), [(RETRIEVAL, "recall"), (COMPOSING, "reasoning"), ("bystanders", "")]
)
def test_a_process_dies_without_its_parts_and_nothing_else_does(left, what, lost):
    for cell in ("recall", "lookup", "reasoning"):
        assert (left[what, cell] < 0.6) if cell == lost else (left[what, cell] > 0.85), cell
