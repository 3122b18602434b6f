"""Edits along a direction: their address, and what they do to a tiny real model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.findings.direction.vectors import difference_in_means
from harness.findings.steering.fitting import (
    fit,
)
from harness.findings.sweeps import swept
from harness.interventions import edits
from harness.interventions.directions import Directions
from harness.interventions.interventions import (
    ADD,
    DIRECTED,
    PROJECT_OUT,
    RECENTRE,
    RESCALE,
    Inputs,
    Intervention,
    interventions_address,
)
from harness.interventions.sites import Site
from harness.materials.items import Item, PromptSet
from harness.materials.sets import geography
from harness.models.specs import resolve
from harness.study.progress import Progress
from tests.support import oracle_edits, tiny_models
from tests.support.steering_toy import (
    study,
)


def test_a_direction_without_length_is_refused():
    zero = Directions(np.zeros((1, 4)), np.zeros((1, 4)), np.ones(1))
    for method in DIRECTED:
        with pytest.raises(ValueError, match="points nowhere"):
            Intervention((Site("resid", 0),), method).edits(Inputs(directions=[zero]))


def test_interventions_and_their_directions_have_an_address():
    fitted = fit(study()).directions
    other = replace(fitted, vectors=fitted.vectors * 2)
    intervention = Intervention((Site("resid", 0),), ADD)
    known = {
        interventions_address(interventions, directions)
        for interventions, directions in (
            ([intervention], [fitted]),
            ([replace(intervention, positions="final")], [fitted]),
            ([intervention], [other]),
            ([replace(intervention, dose=2.0)], [fitted]),
            ([replace(intervention, method=RESCALE)], [fitted]),
            ([replace(intervention, sites=(Site("resid", 0), Site("resid", 1)))], [fitted]),
            ([intervention, intervention], [fitted]),
        )
    }
    assert len(known) == 7
    assert interventions_address([intervention], [fitted]) == interventions_address(
        [intervention], [fitted, other]
    )


# On a real model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp("model"), "olmo2")
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu"))


def test_every_named_edit_equals_torch_hooks(model):
    items = geography(3).items[:3]
    resid = model.extract(items).resid
    directions = difference_in_means(resid, np.array([-1, 1, 1]))
    sites = (Site("resid", 0), Site("resid", 1))
    interventions = [
        Intervention(sites, ADD, dose=0.5),
        Intervention(sites, PROJECT_OUT),
        Intervention(sites, RESCALE, dose=0.1),
        Intervention(sites[1:], RECENTRE),
    ]
    units = [torch.tensor(directions.unit(layer)).float() for layer in (0, 1)]
    vectors = torch.tensor(directions.vectors).float()
    middle = float(directions.midpoint[1] @ directions.unit(1))

    def along(x, layer):
        return (x @ units[layer])[:, None] * units[layer]

    changes = [
        [("resid", n, lambda x, n=n: x + 0.5 * vectors[n]) for n in (0, 1)],
        [("resid", n, lambda x, n=n: x - along(x, n)) for n in (0, 1)],
        [("resid", n, lambda x, n=n: x + 0.1 * along(x, n)) for n in (0, 1)],
        [("resid", 1, lambda x: x - along(x, 1) + middle * units[1])],
    ]

    class Subject:
        def __init__(self):
            self.runs, self.progress = {}, Progress()

        def fetch(self, _what, prompts, measure, **_):
            return measure(model, prompts.items)

    found = swept(Subject(), PromptSet("three", items), interventions, directions=[directions])
    for number, item in enumerate(items):
        (ids,) = model.encoder.ids([item])
        intact = oracle_edits.last_logits(model.module, ids).log_softmax(-1)
        for row, change in enumerate(changes):
            logits = oracle_edits.last_logits(model.module, ids, *change).log_softmax(-1)
            divergence = float((intact.exp() * (intact - logits)).sum())
            assert found.divergence[row, number] == pytest.approx(divergence, abs=1e-5)
            assert divergence > 0


def test_an_edit_that_changes_nothing_costs_nothing(model):
    site = Site("resid", 0)
    direction = torch.ones(32)
    sets = [(), (edits.rescale(site, direction, 1.0),), (edits.rescale(site, direction, 2.0),)]
    mute = Item("mute", "statement", ITEM.prompt, "mute")
    found = model.sweep([ITEM, mute], sets)
    assert found.divergence[:2].tolist() == [[0, 0], [0, 0]]
    assert (found.divergence[2] > 0).all()
    assert found.divergence[2, 0] == pytest.approx(found.divergence[2, 1], abs=1e-6)


ITEM = geography(1).items[0]
