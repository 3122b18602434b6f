from dataclasses import replace

import pytest

from harness.interventions.donors import donors_of, have_donors
from harness.interventions.interventions import (
    COUNTERFACTUAL,
    MEAN,
    RESAMPLE,
    ZERO,
    Inputs,
    Intervention,
    interventions_address,
)
from harness.interventions.sites import Site, Source, joined
from harness.materials.items import MaterialsError
from tests.support.planted_circuits import facts_set

HEADS = Intervention((Site("head", 0, 1), Site("head", 1, 0)), MEAN)


def test_neurons_of_a_layer_become_one_site():
    sites = [
        Site("neuron", 1, (5,)),
        Site("head", 1, 0),
        Site("neuron", 0, (3,)),
        Site("neuron", 1, (2, 5)),
        Site("mlp", 0),
        Site("head", 0, 2),
        Site("attn", 0),
    ]
    assert joined(sites) == (
        Site("attn", 0),
        Site("head", 0, 2),
        Site("mlp", 0),
        Site("neuron", 0, (3,)),
        Site("head", 1, 0),
        Site("neuron", 1, (2, 5)),
    )
    assert joined(sites[::-1]) == joined(sites)
    assert joined([]) == ()


def test_a_whole_layer_of_neurons_stays_a_site_of_its_own():
    whole = Site("neuron", 0)
    assert joined([Site("neuron", 0, (1,)), whole]) == (whole, Site("neuron", 0, (1,)))


@pytest.mark.parametrize(
    "other",
    [
        [replace(HEADS, method=ZERO)],
        [replace(HEADS, positions="final")],
        [replace(HEADS, positions=(-1,))],
        [replace(HEADS, sites=HEADS.sites[:1])],
        [replace(HEADS, sites=(HEADS.sites[0], Site("head", 1, 1)))],
        [replace(HEADS, sites=(HEADS.sites[0], Site("head", 0, 0)))],
        [HEADS, HEADS],
        [],
    ],
)
def test_the_address_changes_with_every_field(other):
    assert interventions_address(other) != interventions_address([HEADS])
    assert interventions_address([replace(HEADS)]) == interventions_address([HEADS])


def test_the_address_changes_with_the_order_and_the_kind_of_site():
    whole = [Intervention((Site("attn", 0),), ZERO), Intervention((Site("mlp", 0),), ZERO)]
    assert interventions_address(whole) != interventions_address(whole[::-1])
    assert interventions_address(whole[:1]) != interventions_address(whole[1:])


@pytest.mark.parametrize(
    ("method", "run"),
    [(ZERO, None), (RESAMPLE, Source.DONOR), (COUNTERFACTUAL, Source.COUNTERFACTUAL)],
)
def test_every_site_is_edited_in_the_way_that_is_said(method, run):
    made = Intervention(HEADS.sites, method, "final").edits(Inputs())
    assert [(e.site, e.source, e.positions) for e in made] == [
        (s, run, "final") for s in HEADS.sites
    ]


def test_a_mean_ablation_without_means_is_an_error():
    with pytest.raises(ValueError, match="needs reference means"):
        HEADS.edits(Inputs())


def test_a_donor_is_the_next_item_of_the_task_that_has_another_answer():
    items = facts_set(5, answers=("a", "a", "b")).items
    donors = donors_of(items)
    for item, donor in zip(items, donors, strict=True):
        assert donor.task == item.task
        assert donor.answer != item.answer
    recall = {i.pair: d.pair for i, d in zip(items, donors, strict=True) if i.task == "recall"}
    assert recall == {"p0": "p2", "p1": "p2", "p2": "p3", "p3": "p2", "p4": "p2"}


def test_items_that_all_have_one_answer_have_no_donors():
    items = facts_set(4, answers=("yes",)).items
    assert not have_donors(items)
    with pytest.raises(
        MaterialsError, match=r"another answer.*use more items, or another ablation"
    ):
        donors_of(items)
    one_task_varies = [replace(i, answer=i.pair) if i.task == "recall" else i for i in items]
    assert not have_donors(one_task_varies)
    both_vary = [replace(i, answer=i.pair) for i in items]
    assert have_donors(both_vary)
    assert len(donors_of(both_vary)) == len(items)
