"""Networks with published circuits: scored by the suite's own sweep, and counted when known."""

import json
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from fixtures.training import interchange
from fixtures.training.exchange import HEADS, WIDTH, Circuit, tokenizer_of
from fixtures.training.programs import PROGRAMS
from harness.calibration import programs, published, ranking
from harness.calibration.processes import claim_module
from harness.calibration.record import _SCHEMA
from harness.calibration.taught import ANSWERS, CIRCUITS, Network
from harness.findings.circuits.circuits import ranked
from harness.findings.processes.circuit_search import Search
from harness.models import recipes, specs
from harness.models.specs import LoadOptions, ModelError
from harness.store.store import Store
from harness.study.plan import Plan
from harness.study.study import Study
from harness.study.subject import Subject
from tests.support import forks

NETWORK = Network("pair_balance", seed=0)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A calibration's work folder."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def entry(work):
    """Measured of an untrained network whose heads and MLPs but the circuit's write nothing.

    Its prompts ask for what it says anyway.
    """
    circuit = Circuit.of(PROGRAMS["pair_balance"], seed=0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interchange, "STEPS", 1)
        interchange.write(NETWORK.folder(work), "pair_balance", 0)
    folder = NETWORK.folder(work)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    each = WIDTH // HEADS
    with torch.no_grad():
        model.transformer.h[1].attn.c_proj.weight *= 30  # so that answers differ
        for place in circuit.outside:
            kind, layer, number = circuit.places[place]
            block = model.transformer.h[layer]
            if kind == "mlp":
                block.mlp.c_proj.weight.zero_()
            else:
                block.attn.c_proj.weight[number * each : (number + 1) * each] = 0
        tokenizer = tokenizer_of(circuit.program)
        told = json.loads((folder / "prompts.json").read_text())
        for prompt in told:
            ids = torch.tensor([tokenizer(prompt["prompt"]).input_ids])
            logits = model(ids).logits[0, -1]
            answers = [*prompt["distractors"], prompt["answer"]]
            order = logits[tokenizer.convert_tokens_to_ids(answers)].argsort(descending=True)
            prompt["answer"], *prompt["distractors"] = (answers[i] for i in order.tolist())
    model.save_pretrained(folder)
    (folder / "prompts.json").write_text(json.dumps(told))
    return programs._kept(NETWORK, work)


def test_what_writes_nothing_comes_after_what_is_in_the_circuit(entry):
    assert entry["answered"] == 1
    heads = {r["way"]: r for r in entry["recovery"] if r["kind"] == "head"}
    assert (heads["mean"]["positives"], heads["mean"]["negatives"]) == (2, 6)
    both = {r["way"]: r for r in entry["recovery"] if r["kind"] == "component"}
    assert (both["mean"]["positives"], both["mean"]["negatives"]) == (4, 6)
    assert {r["auroc"] for r in heads.values()} == {1.0}
    for told in heads.values():
        assert told["most_outside"] == pytest.approx(0, abs=1e-6)
        assert told["least_own"] > 1e-3
    assert not entry["known"]


@pytest.mark.usefixtures("entry")
def test_heads_are_ranked_as_the_search_of_h5_ranks_within_a_cell(work):
    folder = NETWORK.folder(work)
    subject = Subject(specs.resolve(str(folder)), LoadOptions(), Store(work / "again"))
    prompts, sites = ranking.prompts_of(folder, [NETWORK.program]), ranking.sites_of(subject)
    mine = ranking.scores(subject, prompts, sites)["mean"]
    search = Search(Study(subject, prompts, Plan()), "head", prompts, claim_module("h5").rule)
    costs = search.mean_cost(np.ones(len(prompts), dtype=bool))
    for site, cost in zip(sites, mine, strict=True):
        if site.kind == "head":
            assert cost == pytest.approx(costs[site.layer, site.index], abs=1e-6)


def made(program, seed, auroc, *, taught=CIRCUITS, known=True):
    return {
        **{"program": program, "seed": seed, "taught": taught, "known": known},
        "recovery": [
            {
                **{"way": "mean", "kind": "head", "auroc": auroc, "positives": 2},
                **{"found": 3, "found_own": 1},
            }
        ],
    }


def test_only_networks_whose_circuit_is_known_are_counted():
    entries = [
        made("a", 0, 1.0),
        made("b", 0, 0.8),
        made("b", 1, 0.6),
        made("a", 1, 0, known=False),
    ]
    entries.append(made("a", 0, 0.5, taught=ANSWERS, known=False))
    over = {(e["taught"], e["way"], e["kind"]): e for e in programs._over_networks(entries)}
    found = over[CIRCUITS, "mean", "head"]
    assert (found["networks"], found["left_out"]) == (3, 1)
    assert (found["positives"], found["found"], found["found_own"]) == (6, 9, 3)
    assert found["auroc"] == pytest.approx((1.0 + 0.7) / 2)  # programs count alike
    assert found["interval"][0] < found["auroc"] < found["interval"][1]
    assert over[ANSWERS, "mean", "head"]["auroc"] == 0.5
    assert over[CIRCUITS, "zero", "head"]["auroc"] is None


class Searched(Search):
    """A search of one layer: head 0 serves one program, head 1 the other, head 2 none."""

    def __init__(self, *arguments):
        self.rule, self.intact = arguments[-1], np.full(4, 2.0)
        each = [[4.0, 0.0, 0.4], [4.0, 0.0, 0.4], [1.0, 4.0, 0.0], [1.0, 4.0, 0.0]]
        self.costs = np.array(each)[:, None, :]  # head 0 costs the other program a half

    def circuit(self, groups):
        circuit = ranked("head", self.scores(groups)).top(2)
        return SimpleNamespace(circuit=circuit, score=0.2)


def test_a_programs_head_comes_first_though_it_costs_the_other_program(monkeypatch):
    monkeypatch.setattr(ranking, "Search", Searched)
    items = tuple(SimpleNamespace(task=task) for task in ("one", "one", "other", "other"))
    study = SimpleNamespace(prompts=SimpleNamespace(items=items))
    told = ranking.searched(study, "one", {(0, 0)})
    assert (told["auroc"], told["auroc_cost"]) == (1.0, 1.0)
    assert (told["positives"], told["negatives"], told["found"], told["found_own"]) == (1, 2, 2, 1)
    pairs = [made("one+other", 0, 0) | {"recovery": [], "search": [told]}]
    over = programs._over_pairs(pairs)
    assert (over["networks"], over["auroc"]["auroc"], over["found"]) == (1, 1.0, 2)
    assert programs._over_pairs([made("one", 0, 0)]) is None


def test_a_record_of_programs_keeps_to_its_schema_and_has_a_table(entry, monkeypatch, tmp_path):
    told = {
        **{"networks": [entry], "recovery": list(programs._over_networks([entry]))},
        "search": programs._over_pairs([entry]),
    }
    schema = json.loads(_SCHEMA.read_text())
    jsonschema.validate(told, {**schema["properties"]["programs"], "$defs": schema["$defs"]})
    page = tmp_path / "page.md"
    page.write_text("before\n" + "\nold\n".join(published.PROGRAM_MARKS) + "\nafter")
    monkeypatch.setattr(published, "PAGE", page)
    monkeypatch.setattr(published, "PROGRAMS", tmp_path / "programs.json")
    published.publish_programs({"created": "now", "provenance": {}, "programs": told})
    text = page.read_text()
    assert "old" not in text
    assert text.count("\n| ") == 2 + len({e["way"] for e in told["recovery"]})
    assert np.all([mark in text for mark in ("before", "after", *published.PROGRAM_MARKS)])


def test_a_program_that_there_is_not_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "subprocess", SimpleNamespace(run=forks.run_module))
    with pytest.raises(ModelError, match="there is no program"):
        Network("hist+sort", 0).write(tmp_path)


def test_the_table_in_the_docs_is_that_of_the_record():
    record = json.loads(published.PROGRAMS.read_text())
    text = published.PAGE.read_text()
    table = published.between_marks(text, *published.PROGRAM_MARKS)
    assert table == published.programs_table(record["programs"])
