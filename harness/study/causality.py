"""What the residual stream of crossed prompts knows before the label: nothing, by causality.

The prompts of a pair and order differ only in their label, so that at every token before it the
model has read the same text.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.materials.items import Item, PromptSet
from harness.study.subject import Subject

if TYPE_CHECKING:
    from harness.adapter import Model

MOST = 80  # orders of pairs that are compared
VERSION = 2  # raise it when the meaning of `LabelDifference` changes


@dataclass(frozen=True, slots=True)
class LabelDifference:
    """How far the residual streams of the two labels lie apart, over all layers.

    Attributes:
        largest: Largest absolute difference at the token before the label; a step of rounding of
            the value itself is none.
        largest_at_end: The largest at the last token.
        compared: Pairs of prompts.
        causal: Whether the model's tokens see only those before them; else nothing is compared.
    """

    largest: float
    largest_at_end: float
    compared: int
    causal: bool = True


def label_difference(subject: Subject, prompts: PromptSet) -> LabelDifference:
    """The difference between the two labels of crossed prompts; from the store or measured."""
    what = {"kind": "before-label", "version": VERSION, "materials": prompts.hash}
    key = {**subject.identity, **what}
    stored = subject.store.fetch_json(key, lambda: asdict(measured(subject.model, prompts)))
    return LabelDifference(**stored)


def measured(model: "Model", prompts: PromptSet) -> LabelDifference:
    """The difference on the first `MOST` orders of pairs that have both labels."""
    if not model.sites.causal:
        return LabelDifference(0.0, 0.0, compared=0, causal=False)
    by_order: dict[tuple[str, int | None, tuple[str, ...]], list[Item]] = {}
    for item in prompts.items:
        by_order.setdefault((item.pair, item.order, item.premises), []).append(item)
    complete = [two for two in by_order.values() if len(two) == 2][:MOST]
    items = [item for two in complete for item in two]
    ids = model.encoder.ids(items)
    label_at = [
        next(place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        for one, other in zip(ids[::2], ids[1::2], strict=True)
    ]
    ends = [len(row) - 1 for row in ids]
    tokens = list(zip(np.repeat(label_at, 2) - 1, ends, strict=True))
    # In batches of other shapes the same numbers are added up in another order, and rounded
    # otherwise in every layer: so the two prompts of a pair are in one batch.
    resid = model.residuals_at(items, tokens, together=2)
    before, at_end = np.abs(resid[::2] - resid[1::2]).swapaxes(0, 1)
    step = model.rounding * np.maximum(*(np.abs(resid[first::2, 0]) for first in (0, 1)))
    before = np.where(before <= step, 0.0, before)
    return LabelDifference(float(before.max()), float(at_end.max()), compared=len(complete))
