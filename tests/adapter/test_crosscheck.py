"""Activation patching by another implementation: TransformerLens on the same weights.

    pip install -c constraints.txt -e '.[dev,crosscheck]' && pytest tests/adapter/test_crosscheck.py

Its bridge wraps the same transformers modules and finds its own hook points in them, so agreement
says that the same places are meant; `test_sweep` compares with bare torch hooks.
"""

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.interventions import edits
from harness.interventions.sites import Site
from harness.models.specs import resolve
from tests.support import tiny_models
from tests.support.tiny_models import item

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip(
        "transformer_lens", reason="TransformerLens is not installed: extra 'crosscheck'"
    )
    from transformer_lens import patching
    from transformer_lens.model_bridge import TransformerBridge

pytestmark = pytest.mark.filterwarnings("ignore")  # of its and its dependencies' making

WORDS = (("France", "Japan", "Paris"), ("Peru", "France", "Lima"), ("Japan", "Peru", "Tokyo"))
ITEMS = tuple(
    item(
        f"What is the capital of {own}? Answer:",
        answer,
        "Rome",
        "Oslo",
        counterfactual_prompt=f"What is the capital of {other}? Answer:",
    )
    for own, other, answer in WORDS
)


@pytest.fixture(params=["qwen2", "llama", "gemma2", "gpt2", "gpt_neox"], scope="module")
def pair(request, tmp_path_factory):
    """A tiny model in both libraries."""
    folder = tiny_models.save(tmp_path_factory.mktemp(request.param), request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lens = TransformerBridge.boot_transformers(str(folder), device="cpu")
    return Model.load(resolve(str(folder)), LoadOptions(device="cpu")), lens.eval()


def metric(model: Model, prompts: torch.Tensor):
    """Log-probability of each item's answer, per example."""
    answers = torch.tensor(
        [model.tokenizer(f"{i.prompt} {i.answer}").input_ids[prompts.shape[1]] for i in ITEMS]
    )
    return lambda logits: logits[:, -1].log_softmax(-1)[torch.arange(len(ITEMS)), answers]


def theirs(model, lens, patch) -> np.ndarray:
    """TransformerLens's patching loop: [*axes prompt]."""
    own = torch.tensor(model.encoder.ids(ITEMS))
    other = torch.tensor([model.tokenizer(i.counterfactual_prompt).input_ids for i in ITEMS])
    with torch.no_grad():
        _, cache = lens.run_with_cache(other)
        found = patch(lens, own, cache, metric(model, own), reduce="none")
    return found.values.numpy()


def ours(model, sites, positions) -> np.ndarray:
    sets = [(edits.patch_from(site, positions=p),) for site in sites for p in positions]
    found = model.sweep(ITEMS, sets).log_probability
    return found.reshape(len(sites), len(positions), len(ITEMS))


def test_patching_every_head_agrees(pair):
    model, lens = pair
    sites = [Site("head", layer, h) for layer in range(2) for h in range(4)]
    expected = theirs(model, lens, patching.get_act_patch_attn_head_out_all_pos)
    found = ours(model, sites, ["all"]).reshape(2, 4, -1)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(found, axis=(0, 1)).min() > 1e-3


@pytest.mark.parametrize(
    ("kind", "shift", "name"),
    [("resid", -1, "resid_pre"), ("attn", 0, "attn_out"), ("mlp", 0, "mlp_out")],
)
def test_patching_every_layer_and_position_agrees(pair, kind, shift, name):
    model, lens = pair
    length = len(model.encoder.ids(ITEMS[:1])[0])
    setter = patching.layer_pos_patch_setter
    patch = partial(
        patching.generic_activation_patch,
        patch_setter=setter,
        activation_name=name,
        index_axis_names=("layer", "pos"),
    )
    expected = theirs(
        model,
        lens,
        lambda lens, own, cache, metric, reduce: patch(
            lens, own, cache, patching_metric=metric, reduce=reduce
        ),
    )
    sites = [Site(kind, layer + shift) for layer in range(2)]
    found = ours(model, sites, [(at,) for at in range(length)])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(found, axis=(0, 1)).min() > 1e-3
