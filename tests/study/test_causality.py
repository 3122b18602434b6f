"""The difference between labels, on a model that is a rule and on one that looks ahead."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.adapter import LoadOptions, Model
from harness.calibration.claims import claim_module
from harness.study.causality import LabelDifference, measured
from tests.support.synthetic import crossed_set

TOLERANCE = claim_module("h0").TOLERANCE


def model(before: float, at_end: float, base: float = 0.0, dtype: str = "float32"):
    """Prompts with label 2 have a residual stream that lies this far from the others."""

    def residuals_at(items, tokens, together):
        assert together == 2  # two prompts of one batch are rounded alike
        last = [len(item.prompt) - 1 for item in items]
        assert [end for _, end in tokens] == last
        texts = [item.prompt[: at + 1] for item, (at, _) in zip(items, tokens, strict=True)]
        assert texts[::2] == texts[1::2]  # the label is not read yet
        moved = [[before * (i.label == 2), at_end * (i.label == 2)] for i in items]
        return base + np.array(moved)[:, :, None, None]

    encoder = SimpleNamespace(ids=lambda items: [[ord(c) for c in i.prompt] for i in items])
    sites = SimpleNamespace(causal=True)
    rounding = torch.finfo(getattr(torch, dtype)).eps
    return SimpleNamespace(
        encoder=encoder, residuals_at=residuals_at, sites=sites, rounding=rounding
    )


def test_the_labels_are_compared_before_they_are_read_and_at_the_end():
    assert measured(model(0.25, 2.0), crossed_set(10)) == LabelDifference(0.25, 2.0, compared=20)


def test_one_step_of_rounding_before_the_label_is_no_difference_and_a_leak_is_one():
    """Values near 100 have steps of 0.5 in bfloat16; beside 8, that is more than is tolerated."""
    crossed = crossed_set(10)
    for before, base, dtype, found in (
        (0.5, 100, "bfloat16", 0.0),
        (1.0, 100, "bfloat16", 1.0),
        (0.8, 1, "bfloat16", 0.8),
        (0.8, 100, "bfloat16", 0.8),
        (0.5, 100, "float32", 0.5),
        (1e-4, 100, "float32", 1e-4),
    ):
        difference = measured(model(before, 8.0, base, dtype), crossed)
        assert difference.largest == pytest.approx(found)
        assert (difference.largest / 8 > TOLERANCE[dtype]) is (found > 0)


def test_a_value_that_is_no_number_is_no_step_of_rounding():
    assert np.isnan(measured(model(float("nan"), 8.0), crossed_set(10)).largest)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_that_looks_ahead_is_found_in_each_precision(load, dtype):
    whole = Model.load(load("qwen2").spec, LoadOptions(device="cpu", dtype=dtype))
    crossed = crossed_set(10)
    assert measured(whole, crossed).largest == 0

    def looks_ahead(_layer, _inputs, output):
        (stream, *rest) = output if isinstance(output, tuple) else (output,)
        seen = stream.clone()
        seen[:, :-1] += 0.1 * stream[:, 1:]
        return (seen, *rest) if isinstance(output, tuple) else seen

    hook = whole.module.model.layers[0].register_forward_hook(looks_ahead)
    try:
        found = measured(whole, crossed)
    finally:
        hook.remove()
    assert found.largest > TOLERANCE[dtype] * found.largest_at_end


def test_a_limited_number_of_pairs_is_compared():
    assert measured(model(0.0, 1.0), crossed_set(60)).compared == 80


def test_a_model_whose_tokens_see_those_after_them_is_not_compared():
    found = measured(SimpleNamespace(sites=SimpleNamespace(causal=False)), crossed_set(10))
    assert not found.causal
    assert found.compared == 0
