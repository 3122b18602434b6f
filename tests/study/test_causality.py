"""The difference between labels, on a model that is a rule."""

from types import SimpleNamespace

import numpy as np

from harness.study.causality import LabelDifference, measured
from tests.support.synthetic import crossed_set


def model(before: float, at_end: float) -> SimpleNamespace:
    """Prompts with label 2 have a residual stream that lies this far from the others."""

    def residuals_at(items, tokens):
        last = [len(item.prompt) - 1 for item in items]
        assert [end for _, end in tokens] == last
        texts = [item.prompt[: at + 1] for item, (at, _) in zip(items, tokens, strict=True)]
        assert texts[::2] == texts[1::2]  # the label is not read yet
        moved = [[before * (i.label == 2), at_end * (i.label == 2)] for i in items]
        return np.array(moved)[:, :, None, None]

    encoder = SimpleNamespace(ids=lambda items: [[ord(c) for c in i.prompt] for i in items])
    sites = SimpleNamespace(causal=True)
    return SimpleNamespace(encoder=encoder, residuals_at=residuals_at, sites=sites)


def test_the_labels_are_compared_before_they_are_read_and_at_the_end():
    assert measured(model(0.25, 2.0), crossed_set(10)) == LabelDifference(0.25, 2.0, compared=20)


def test_a_limited_number_of_pairs_is_compared():
    assert measured(model(0.0, 1.0), crossed_set(60)).compared == 80


def test_a_model_whose_tokens_see_those_after_them_is_not_compared():
    found = measured(SimpleNamespace(sites=SimpleNamespace(causal=False)), crossed_set(10))
    assert not found.causal
    assert found.compared == 0
