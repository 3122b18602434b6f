import copy

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.interventions import edits
from harness.interventions.sites import Site
from harness.materials import sets
from harness.models.specs import ModelError, resolve
from tests.support import oracle_edits, tiny_models
from tests.support.tiny_models import ITEMS, in_batches

STORY = tuple(sets.geography(3).items)


@pytest.fixture(scope="module", params=["qwen2", "gemma2", "gpt2", "gpt_neox"])
def model(request, tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp(request.param), request.param)
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu"))


def mean_of(model, site) -> np.ndarray:
    whole = [
        oracle_edits.values(model.module, ids, site.kind, site.layer)
        for ids in model.encoder.ids(ITEMS)
    ]
    values = torch.cat(whole).double().mean(0)
    if site.kind == "head":
        return values.reshape(model.architecture.heads, -1)[site.index].numpy()
    return (values if site.index is None else values[list(site.index)]).numpy()


@pytest.mark.parametrize(
    "site",
    [
        Site("resid", -1),
        Site("resid", 1),
        Site("attn", 0),
        Site("mlp", 1),
        Site("head", 1, 2),
        Site("neuron", 0),
        Site("neuron", 1, (5, 2)),
    ],
    ids=str,
)
def test_references_are_means_over_all_tokens(model, site):
    found = model.references(ITEMS).at(site).numpy()
    np.testing.assert_allclose(found, mean_of(model, site), atol=1e-5)


def test_references_do_not_depend_on_the_batches(model):
    one = in_batches(model, 1).references(ITEMS)
    all_together = model.references(ITEMS)
    for site in (Site("resid", 1), Site("mlp", 0), Site("head", 0, 0), Site("neuron", 1)):
        assert float((one.at(site) - all_together.at(site)).abs().max()) < 1e-6


def slope(model, module, each, site, mean) -> float:
    """Central difference of the logit difference on the way to the mean.

    `module` is the model's own in float64, of which norms stay in float32.
    """
    ids = model.encoder.ids([each])[0]
    words = (each.answer, *each.distractors)
    tokens = [model.tokenizer(f"{each.prompt} {w}").input_ids[len(ids)] for w in words]

    def difference(step: float) -> float:
        change = oracle_edits.change(
            site.kind,
            site.index,
            list(range(len(ids))),
            model.architecture.heads,
            lambda x: x + step * (torch.from_numpy(mean) - x),
        )
        logits = oracle_edits.last_logits(module, ids, (site.kind, site.layer, change))
        return float(logits[tokens[0]] - logits[tokens[1:]].max())

    return (difference(-0.004) - difference(0.004)) / 0.008


def test_scores_of_one_step_are_the_slope_of_the_way_to_the_mean(model):
    items, reference = (STORY[0], STORY[4]), model.references(ITEMS)
    precise = copy.deepcopy(model.module).double()
    for kind, index in (("head", 1), ("neuron", 7)):
        found = model.path_scores(items, kind, reference, steps=1).scores
        for layer in range(2):
            site = Site(kind, layer, index if kind == "head" else (index,))
            mean = mean_of(model, site)
            expected = [slope(model, precise, each, site, mean) for each in items]
            assert found[:, layer, index] == pytest.approx(expected, abs=2e-4, rel=1e-3), site


def test_scores_rank_heads_as_the_sweep_does(model):
    """Nearly exact without norms after the parts, rougher with them."""
    reference = model.references(STORY)
    scores = model.path_scores(STORY, "head", reference)
    sites = [Site("head", layer, h) for layer in range(2) for h in range(4)]
    found = model.sweep(STORY, [(edits.mean_ablation(s, reference),) for s in sites])
    drop = (found.clean_logit_difference - found.logit_difference).mean(1)
    assert np.corrcoef(drop, scores.scores.mean(0).ravel())[0, 1] > 0.5


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_scores_on_the_path_add_up_to_the_cost_of_all_components(model, kind):
    items, reference = STORY[:2], model.references(STORY)
    width = model.architecture.heads if kind == "head" else 1
    sites = [
        Site(kind, layer, n if kind == "head" else None) for layer in range(2) for n in range(width)
    ]
    whole = model.sweep(items, [tuple(edits.mean_ablation(s, reference) for s in sites)])
    cost = (whole.clean_logit_difference - whole.logit_difference)[0]
    coarse, fine = (
        model.path_scores(items, kind, reference, steps=steps).scores.sum((1, 2))
        for steps in (20, 40)
    )
    # Steps taken at their upper ends err by about as much as half of their number does again.
    np.testing.assert_allclose(2 * fine - coarse, cost, atol=0.02 * np.abs(cost).max())


def test_batches_do_not_change_a_score_on_the_path(model):
    items, reference = (*STORY[:3], tiny_models.item("Rome"), *ITEMS), model.references(STORY)
    alone = in_batches(model, 1)
    found, one = (m.path_scores(items, "neuron", reference) for m in (model, alone))
    np.testing.assert_allclose(found.scores, one.scores, atol=1e-4)
    assert found.scorable.tolist() == [True] * 3 + [False] + [True] * 5
    np.testing.assert_array_equal(np.isnan(found.scores).all((1, 2)), ~found.scorable)
    assert not any(p.requires_grad for p in model.module.parameters())


def test_what_is_not_finite_is_an_error(model):
    broken = Model.load(model.spec, LoadOptions(device="cpu", batch_size=1))
    with torch.no_grad():
        broken.module.get_input_embeddings().weight[:] = float("nan")
    with pytest.raises(ModelError, match="the mean of z of layer 0 is not finite"):
        broken.references(ITEMS)
    with pytest.raises(ModelError, match="not finite with 1/5 of every neurons left"):
        broken.path_scores(ITEMS, "neuron", model.references(ITEMS))
    with pytest.raises(ModelError, match="there are no prompts to measure"):
        model.path_scores([], "neuron")
