"""Editing inside a trace: take a site's values out of their tensor, change them, put them back.

Rows of a stacked forward are ordered by edit set, then by tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.adapter.architectures import Sites, Tree, first, follow
from harness.interventions.edits import Edit
from harness.interventions.sites import EditError, Site

# The tensors that contain sites, in the order in which a layer computes them.
STORES = ("z", "attn", "neurons", "mlp", "resid")
# Also the outputs of attention and MLP, which need not be computed again when they are known. They
# differ from what the residual stream receives where a norm stands between.
KEPT_STORES = ("z", "attention", "attn", "neurons", "feedforward", "mlp")
SourceValues = tuple[str, int]  # one of them and its layer; ("resid", -1) is the embedding

_ROUNDING = 32  # times the dtype's precision: the difference that two orders of adding may make


def store_at(site: Site) -> SourceValues:
    """The tensor that holds a site."""
    return {"head": "z", "neuron": "neurons"}.get(site.kind, site.kind), site.layer


def read_store(layer: Tree, sites: Sites, store: str) -> Tensor:
    """A layer's tensor at a point where writing has an effect; call it in order, inside a trace."""
    attention, mlp = follow(layer, sites.attention), follow(layer, sites.mlp)
    match store:
        case "z":
            tensor = follow(attention, sites.head_mix).input
        case "attention":
            tensor = first(attention.output)
        case "attn":
            tensor = first(follow(layer, sites.attn_out or sites.attention).output)
        case "neurons":
            tensor = follow(mlp, sites.neuron_mix).input
        case "feedforward":
            tensor = first(mlp.output)
        case "mlp":
            tensor = first(follow(layer, sites.mlp_out or sites.mlp).output)
        case _:
            tensor = first(layer.output)
    read: Tensor = tensor
    return read


def mix_of(layer: Tree, sites: Sites, store: str) -> Tree:
    """The module whose input is a layer's `z` or `neurons`."""
    if store == "z":
        return follow(follow(layer, sites.attention), sites.head_mix)
    return follow(follow(layer, sites.mlp), sites.neuron_mix)


def values_of(store: Tensor, site: Site, heads: int) -> Float[Tensor, "row pos *axes"]:
    """The site's part of its tensor; a view except for chosen neurons."""
    if site.kind == "head":
        return store.view(*store.shape[:-1], heads, -1)[..., site.index, :]
    if site.kind == "neuron" and site.index is not None:
        return store.index_select(-1, _numbers(site.index, store.device))
    return store


def put(store: Tensor, site: Site, heads: int, values: Tensor) -> None:
    """Write the site's part of its tensor, in place."""
    if site.kind == "neuron" and site.index is not None:
        store.index_copy_(-1, _numbers(site.index, store.device), values)
    else:
        values_of(store, site, heads).copy_(values)


@lru_cache(maxsize=1024)  # the same set is edited in every batch
def _numbers(index: int | tuple[int, ...], device: torch.device) -> Int[Tensor, " neuron"]:
    assert isinstance(index, tuple)
    return torch.tensor(index, device=device)


@dataclass(frozen=True, slots=True)
class Placed:
    """An edit placed in one batch.

    Attributes:
        edit: The edit.
        mask: The positions it writes.
        first: The first column of `mask` in which any tree has one; its width if none.
        last: The last such column, -1 if none.
        other: The whole tensor of the run it patches from, aligned.
    """

    edit: Edit
    mask: Bool[Tensor, "tree pos"]
    first: int
    last: int
    other: Tensor | None


@dataclass(frozen=True, slots=True)
class Written:
    """What an edit did.

    Attributes:
        number: The edit set's index in the chunk.
        placed: The edit.
        columns: The positions that the tensor had.
        moved: The largest change of a value there.
        something: The largest value at its positions there, if the edit must have an effect.
    """

    number: int
    placed: Placed
    columns: Int[Tensor, " column"]
    moved: Float[Tensor, "tree column"]
    something: Float[Tensor, "tree column"]


def write(
    store: Tensor,
    edits: Sequence[tuple[int, Placed]],
    columns: Int[Tensor, " column"],
    heads: int,
) -> list[Written]:
    """Edit a stacked tensor [edit_set x tree, column, ...] in place.

    Args:
        store: The tensor.
        edits: Each with its edit set's index in the chunk.
        columns: Which positions the tensor has, on the CPU as the edits' masks are.
        heads: The model's heads.
    """
    done = []
    for number, placed in edits:
        if placed.last < columns[0]:
            continue  # none of its positions is run
        mask = placed.mask[:, columns]
        trees, site = len(mask), placed.edit.site
        rows = store[number * trees : (number + 1) * trees]
        values = values_of(rows, site, heads)
        mask = mask[:, :, None].to(values.device)
        other = placed.other
        if other is not None:
            other = values_of(other, site, heads)[:, columns].to(values)
        edited = placed.edit.function(values.clone(), other)
        if edited.shape != values.shape:
            raise EditError(
                f"{placed.edit} returned values of shape {tuple(edited.shape)}, "
                f"expected {tuple(values.shape)}."
            )
        changed = torch.where(mask, edited.to(values), values)
        moved = _distance(changed, values, rounds=other is not None)
        something = torch.zeros_like(moved)
        if not placed.edit.may_be_idle:  # otherwise not needed
            something = (values * mask).abs().amax(2).float()
        put(rows, site, heads, changed)
        done.append(Written(number, placed, columns, moved, something))
    return done


def _distance(changed: Tensor, values: Tensor, rounds: bool) -> Float[Tensor, "tree column"]:
    """The largest change at each position, beyond rounding for values computed twice."""
    moved = (changed - values).abs().amax(2).float()
    if rounds:
        scale = values.flatten(1).abs().amax(1).float()[:, None]
        moved = torch.where(moved <= _ROUNDING * torch.finfo(values.dtype).eps * scale, 0, moved)
    return moved
