"""Steps on some components' parameters move these alone, downhill, and are undone exactly."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model, owned, tuning
from harness.interventions.steps import Steps
from harness.models.specs import ModelError, resolve
from tests.support import tiny_models
from tests.support.tiny_models import ITEMS

OWN = {  # of head 2, 8 wide, and of neuron 5 of 48 (GPT-2: 128): axis and numbers of each parameter
    ("llama", "head"): {
        **dict.fromkeys(("q_proj.weight", "k_proj.weight", "v_proj.weight"), (0, range(16, 24))),
        "o_proj.weight": (1, range(16, 24)),
    },
    ("qwen2", "head"): {  # two heads share their keys and values
        **dict.fromkeys(("q_proj.weight", "q_proj.bias"), (0, range(16, 24))),
        "o_proj.weight": (1, range(16, 24)),
    },
    ("qwen2", "neuron"): {
        **dict.fromkeys(("gate_proj.weight", "up_proj.weight"), (0, [5])),
        "down_proj.weight": (1, [5]),
    },
    ("phi3", "neuron"): {"gate_up_proj.weight": (0, [5, 53]), "down_proj.weight": (1, [5])},
    ("gpt2", "neuron"): {  # transposed
        "c_fc.weight": (1, [5]),
        "c_fc.bias": (0, [5]),
        "mlp.c_proj.weight": (0, [5]),
    },
}
ONE = Steps(size=0.02, most=1, poor=0.25, good=0.75, left=0.1)
MEMBER = {"head": (1, 2), "neuron": (1, 5)}


def load(folder, kind, dtype="auto", **more):
    path = tiny_models.save(folder / kind, kind, **more)
    return Model.load(resolve(str(path)), LoadOptions(device="cpu", dtype=dtype))


def answered(model):
    """Items with one distractor, the answer being what the model prefers."""
    two = [replace(item, distractors=item.distractors[:1]) for item in ITEMS]
    right = model.sweep(two, [()], partial=True).clean_correct == 1
    return [
        item if it_is else replace(item, answer=item.distractors[0], distractors=(item.answer,))
        for item, it_is in zip(two, right, strict=True)
    ]


def weights(model):
    return {name: p.detach().clone() for name, p in model.module.named_parameters()}


@pytest.mark.parametrize(("architecture", "kind"), OWN)
def test_a_step_moves_the_components_parameters_alone_and_is_undone(tmp_path, architecture, kind):
    more = {"num_key_value_heads": 4} if architecture == "llama" else {}
    model = load(tmp_path, architecture, **more)
    items, before = answered(model), weights(model)
    parts = owned.parts_of(model.network, kind, [MEMBER[kind]])
    gradient = expected_gradient(model, items)
    with (
        suppress(KeyboardInterrupt),
        tuning.tuned(model.network, model.batcher, items, parts, 0.01, ONE) as done,
    ):
        moved = {name: p - before[name] for name, p in weights(model).items()}
        raise KeyboardInterrupt
    assert done.steps == 1
    assert done.answered[1] < done.answered[0]
    for name, values in weights(model).items():
        assert torch.equal(values, before[name]), name
    assert not any(p.requires_grad for p in model.module.parameters())

    downhill = {name: -g * belongs(name, g, architecture, kind) for name, g in gradient.items()}
    for name, change in moved.items():
        assert bool((change == 0)[belongs(name, change, architecture, kind) == 0].all()), name
    one, other = (torch.cat([v.flatten() for v in each.values()]) for each in (moved, downhill))
    assert float(one.norm()) == pytest.approx(0.01, rel=1e-3)
    assert float(torch.cosine_similarity(one, other, dim=0)) == pytest.approx(1, abs=1e-3)


def belongs(name, values, architecture, kind):
    """1 where a parameter belongs to the component, else 0."""
    own = torch.zeros_like(values)
    for end, (axis, numbers) in OWN[architecture, kind].items():
        if name.endswith(end) and f".{MEMBER[kind][0]}." in name:
            own.index_fill_(axis, torch.tensor(list(numbers)), 1)
    return own


def expected_gradient(model, items):
    """Of the divergence from a uniform choice of two, each prompt alone, by plain autograd."""
    module, total = model.module.requires_grad_(True), 0.0
    for item, ids in zip(items, model.encoder.ids(items), strict=True):
        options = model.encoder.continuations([item], [ids], [(item.answer, *item.distractors)])[0]
        logits = module(torch.tensor([ids])).logits[0, -1]
        gap = logits[options[0][0]] - logits[options[1][0]]
        total = total - 0.5 * torch.nn.functional.logsigmoid(torch.stack([gap, -gap])).sum()
    found = torch.autograd.grad(total, list(module.parameters()), allow_unused=True)
    module.requires_grad_(False)
    named = zip(module.named_parameters(), found, strict=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in named}


def test_tuning_everything_ends_where_little_is_left_and_leaves_no_trace(tmp_path):
    model = load(tmp_path, "qwen2")
    items, before = answered(model), weights(model)
    intact = model.sweep(items, [()], partial=True).clean_logit_difference
    like, many = [MEMBER["head"]], replace(ONE, most=200)
    result, done = model.unlearned(items, items, "head", None, like=like, steps=many)
    assert done.answered[0] == pytest.approx(float(intact.mean()), abs=1e-5)
    assert done.answered[-1] <= 0.1 * done.answered[0] < done.answered[-2]
    assert float(result.logit_difference.mean()) == pytest.approx(done.answered[-1], abs=1e-5)
    assert 0 < done.steps < 200
    none = model.unlearned(items, items, "head", None, like=like, steps=replace(ONE, most=0))[1]
    assert none.steps == 0
    assert all(torch.equal(values, before[name]) for name, values in weights(model).items())


def test_a_step_that_is_too_long_is_taken_back_and_the_next_is_shorter(tmp_path):
    model = load(tmp_path, "qwen2")
    items, head = answered(model), [(1, 2)]
    intact = model.sweep(items, [()], partial=True).clean_logit_difference
    long = replace(ONE, size=1000)
    result, done = model.unlearned(items, items, "head", head, like=head, steps=long)
    assert (done.steps, done.answered[1]) == (1, done.answered[0])
    np.testing.assert_allclose(result.logit_difference[0], intact, atol=1e-2)
    more = replace(long, most=30)
    _, done = model.unlearned(items, items, "head", head, like=head, steps=more)
    assert done.answered[-1] < 0.9 * done.answered[0]


def test_weights_that_are_not_finite_are_an_error_and_stay(tmp_path):
    model = load(tmp_path, "qwen2")
    items = answered(model)
    model.module.model.norm.weight.data[0] = torch.inf
    before = weights(model)
    with pytest.raises(ModelError, match="a loss is not finite"):
        model.unlearned(items, items, "head", [(0, 0)], like=[(0, 0)], steps=ONE)
    assert all(torch.equal(values, before[name]) for name, values in weights(model).items())


@pytest.mark.parametrize(
    ("architecture", "dtype", "kind", "why"),
    [
        ("qwen2", "auto", "head", ""),
        ("qwen2", "bfloat16", "neuron", "a step is smaller than bfloat16 weights can hold"),
        ("phi3", "auto", "head", "the heads have no rows of their own"),
        ("gpt_neox", "auto", "head", "the heads have no rows of their own"),
        ("mixtral", "auto", "neuron", "the neurons have no rows of their own"),
    ],
)
def test_what_cannot_be_tuned_says_why(tmp_path, architecture, dtype, kind, why):
    assert load(tmp_path, architecture, dtype).untunable(kind).startswith(why)
    assert bool(why) == bool(load(tmp_path, architecture, dtype).untunable(kind))
