"""Every architecture is read as the model computes, told by the model itself: its own outputs of
hidden states and attentions, and the loss of a weight instead of an activation."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from fixtures.training.tokenizer import word_tokenizer
from harness.adapter import LoadOptions, Model, trial
from harness.adapter.finding import VERIFIED
from harness.interventions.edits import zero_ablation
from harness.interventions.sites import Site
from harness.models.specs import ModelError, resolve
from tests.support import tiny_models
from tests.support.tiny_models import ENCODER_DECODERS, ENCODERS, MANY, item

SOME = (item("What is the capital of France?", "Paris", "Rome"), item("Rome", "Oslo", "Asia"))


@pytest.fixture(scope="module", params=MANY)
def model(request, tmp_path_factory):
    folder = tiny_models.save(tmp_path_factory.mktemp(request.param), request.param)
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu"))


def test_every_verified_architecture_is_checked_here():
    every = (MANY, tiny_models.CONFIGS, ENCODERS, ENCODER_DECODERS)
    assert set().union(*every) == VERIFIED


def test_it_is_read_as_it_computes(model):
    worst = model.self_check().worst()
    assert worst.pop("zeroed") > 1e-4
    assert max(worst.values()) < 1e-5, worst
    found = model.extract(SOME)
    for number, ids in enumerate(model.encoder.ids(SOME)):
        with torch.no_grad():
            said = model.module(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        # The last of a model's own hidden states is behind its final norm.
        for own, resid in zip(said.hidden_states[1:-1], found.resid[number], strict=False):
            np.testing.assert_allclose(resid, own[0, -1], atol=1e-5)


def test_an_edit_does_what_the_loss_of_the_weights_does(model):
    third = tuple(range(0, model.architecture.neurons, 3))
    sites = (Site("head", 1, 1), Site("neuron", 0, third))
    found = model.sweep(SOME, [(zero_ablation(site),) for site in sites])
    for number, site in enumerate(sites):
        with without_weights(model, site):
            expected = model.score(SOME).logit_difference
        np.testing.assert_allclose(found.logit_difference[number], expected, atol=2e-5)
        assert np.abs(expected - found.clean_logit_difference).max() > 1e-5


@contextmanager
def without_weights(model, site):
    """The model with the weights from a head, or from neurons, to the residual stream at 0."""
    layer = model.module.get_submodule(model.sites.layers)[site.layer]
    with torch.no_grad():
        weights = [*weights_from(layer, site, model.architecture)]
        kept = [weight.clone() for weight in weights]
        for weight in weights:
            weight.zero_()
        yield
        for weight, values in zip(weights, kept, strict=True):
            weight.copy_(values)


def weights_from(layer, site, sizes):
    """Views of those weights."""
    modules = dict(layer.named_modules())
    if site.kind == "head":
        mix = next(m for n, m in modules.items() if n.endswith(HEAD_MIXES) and "att" in n)
        weight = columns(mix)
        size = weight.shape[1] // sizes.heads
        yield weight[:, site.index * size : (site.index + 1) * size]
        return
    ends = {name: part for name, part in modules.items() if name.endswith(NEURON_MIXES)}
    mlp = [m for n, m in ends.items() if "att" not in n and hasattr(m, "weight")]
    experts = next((m for n, m in modules.items() if n.endswith("experts.experts")), None)
    for neuron in site.index:
        if experts is not None:
            each = experts.down_proj.shape[1 if experts.is_transposed else 2]
            matrix = experts.down_proj[neuron // each]
            yield matrix[neuron % each] if experts.is_transposed else matrix[:, neuron % each]
        else:
            yield columns(mlp[0])[:, neuron]


HEAD_MIXES = ("o_proj", "out_proj", "c_proj", "dense")
NEURON_MIXES = ("down_proj", "4h_to_h", "fc2.inner", "c_proj", "fc_out", "fc2")


def columns(mix):
    return mix.weight.T if type(mix).__name__ == "Conv1D" else mix.weight


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("bart", "it has an encoder and a decoder, of which only those of the T5 kind"),
        ("albert", "no list of its layers is found"),
        ("mamba", "a layer has no attention whose last projection is known"),
        ("qwen3_next", "a layer has no attention whose last projection is known"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(kind, why, tmp_path):
    word_tokenizer(["Rome"]).save_pretrained(tmp_path)
    tiny_models.any_config(kind, 9).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not read")
    with pytest.raises(ModelError, match=f"'{kind}' cannot be read, because {why}") as refusal:
        Model.load(resolve(str(tmp_path)), LoadOptions(device="cpu"))
    assert "\n" not in str(refusal.value)


def test_an_architecture_that_no_test_knows_is_tried_when_it_is_loaded(load, monkeypatch):
    spec = load("llama").spec
    monkeypatch.setattr(trial, "VERIFIED", frozenset())
    assert Model.load(spec, LoadOptions(device="cpu")).extract(SOME)
    wrong = replace(load("llama").sites, attn_out="post_attention_layernorm")
    monkeypatch.setattr("harness.adapter.model.sites_in", lambda _: wrong)
    with pytest.raises(ModelError, match="on a trial the check 'resid_sum' is off by"):
        Model.load(spec, LoadOptions(device="cpu"))


def test_the_trial_sees_an_edit_that_does_something_else(load, monkeypatch):
    model = load("qwen2")
    monkeypatch.setattr(trial, "VERIFIED", frozenset())
    monkeypatch.setattr(
        trial, "zero_ablation", lambda site: zero_ablation(Site("attn", site.layer))
    )
    with pytest.raises(ModelError, match="removing a head is not the loss of its weights"):
        trial.refuse_misread(model)
