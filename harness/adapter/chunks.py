"""Chunks: edit sets that run together, and how much of the clean run they can start from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.adapter.editing import SourceValues, store_at
from harness.interventions.sites import Site


@dataclass(frozen=True, slots=True)
class Chunk:
    """Edit sets that run together.

    Attributes:
        sets: Their numbers.
        start: The first layer to run; the number of layers if none.
        stage: How much of that layer is known (see `KNOWN`).
        column: The first position to run, in the padded batch.
    """

    sets: tuple[int, ...]
    start: int
    stage: int
    column: int


# What the clean run gives of the first layer, by stage: nothing if the stream before it is edited
# (0), z if heads are (1), the attention's output if neurons are (2), also the MLP's if that is (3).
KNOWN: tuple[tuple[str, ...], ...] = (
    (),
    ("z",),
    ("attention", "neurons"),
    ("attention", "feedforward"),
)
STAGES = {"resid": 0, "z": 1, "attn": 1, "neurons": 2, "mlp": 3}


def first_stage(sites: Iterable[Site], highest: int = 3) -> tuple[int, int]:
    """The first layer whose computation the edits change, and the stage within it.

    Args:
        sites: Where the edits are.
        highest: The highest stage at which the model's layers can be entered.
    """
    sites = list(sites)
    start = min(first_layer(site) for site in sites)
    entered = [site for site in sites if first_layer(site) == start]
    if any(site.kind == "resid" for site in entered):
        return start, 0
    return start, min(highest, *(STAGES[store_at(site)[0]] for site in entered))


def known_stores(start: int, stage: int) -> set[SourceValues]:
    """What a clean run must keep so that a chunk can start there."""
    return {(store, start) for store in KNOWN[stage]}


def first_layer(site: Site) -> int:
    """The first layer whose computation an edit at the site changes."""
    return site.layer + 1 if site.kind == "resid" else site.layer


def halves(chunk: Chunk) -> Iterator[Chunk]:
    """The chunk in two, for when memory runs out."""
    middle = len(chunk.sets) // 2
    yield replace(chunk, sets=chunk.sets[:middle])
    yield replace(chunk, sets=chunk.sets[middle:])
