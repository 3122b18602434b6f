"""The difference between labels, on a model that is a rule."""

from types import SimpleNamespace

import numpy as np

from harness.study.causality import LabelDifference, measured
from tests.support.synthetic import crossed_set


def model(before: float, at_end: float) -> SimpleNamespace:
    """Prompts with label 2 have a residual stream that lies this far from the others."""

    def residuals_at(items, index):
        lengths = [len(item.prompt) for item in items]
        moved = [
            (at_end if at == length - 1 else before) * (item.label == 2)
            for item, at, length in zip(items, index, lengths, strict=True)
        ]
        texts = [item.prompt[: at + 1] for item, at in zip(items, index, strict=True)]
        if all(at < length - 1 for at, length in zip(index, lengths, strict=True)):
            assert texts[::2] == texts[1::2]  # the label is not read yet
        return np.array(moved)[:, None, None]

    encoder = SimpleNamespace(ids=lambda items: [[ord(c) for c in i.prompt] for i in items])
    return SimpleNamespace(encoder=encoder, residuals_at=residuals_at)


def test_the_labels_are_compared_before_they_are_read_and_at_the_end():
    assert measured(model(0.25, 2.0), crossed_set(10)) == LabelDifference(0.25, 2.0, compared=20)


def test_a_limited_number_of_pairs_is_compared():
    assert measured(model(0.0, 1.0), crossed_set(60)).compared == 80
