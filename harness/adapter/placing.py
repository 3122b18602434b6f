"""Edits placed on a batch: at which tokens they act, and which tensors they patch from."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from harness.adapter.editing import Placed, SourceValues, store_at
from harness.adapter.encoding import Batch
from harness.interventions.edits import Edit, EditSet
from harness.interventions.sites import Source


@dataclass(frozen=True, slots=True)
class Marked:
    """The positions of an edit in a batch.

    Attributes:
        mask: Where they are.
        agreed: Whether the prompts of each tree agree on them in their shared prefix.
        applies: Which prompts have such a position.
    """

    mask: Bool[Tensor, "tree pos"]
    agreed: bool
    applies: Bool[np.ndarray, " prompt"]


def shareable_edits(edits: EditSet) -> bool:
    """Whether the edits depend only on a token and those before it, so on the shared prefix."""
    return bool(edits) and all(edit.source is None for edit in edits)


def placed_edit(edit: Edit, mask: Bool[Tensor, "tree pos"], other: Tensor | None = None) -> Placed:
    """The edit with the first and last column of its mask, and the tensor it patches from."""
    columns = mask.any(0).nonzero()[:, 0].tolist()
    start, end = (columns[0], columns[-1]) if columns else (mask.shape[1], -1)
    return Placed(edit, mask, start, end, other)


def with_source(
    placed: Placed, others: dict[Source, tuple[dict[SourceValues, Tensor], Tensor]], batch: Batch
) -> Placed:
    """The edit with the tensor that it patches from, at positions that the other run has too."""
    if placed.edit.source is None:
        return placed
    stores, there = others[placed.edit.source]
    store = stores[store_at(placed.edit.site)]
    assert batch.ids.shape[1] == store.shape[1]
    return placed_edit(placed.edit, placed.mask & there.cpu(), store)


def aligned(values: Tensor, width: int) -> Tensor:
    """Cut, or fill with zeros, on the left to `width` positions."""
    spare = width - values.shape[1]
    if spare <= 0:
        return values[:, -spare:]
    return torch.cat([values.new_zeros(len(values), spare, *values.shape[2:]), values], dim=1)
