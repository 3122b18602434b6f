"""Where an edit can be made, as plain values; torch is not needed to find stored results."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

SiteKind = Literal["resid", "attn", "mlp", "head", "neuron"]
SITE_KINDS: tuple[SiteKind, ...] = ("resid", "attn", "mlp", "head", "neuron")
NAMED_POSITIONS = ("all", "final", "subject", "premises")

# `all`, `final`, `subject` and `premises` (every token of them), or token numbers counted from
# the left of the unpadded prompt, negative ones from the right.
Positions = str | tuple[int, ...]


class EditError(ValueError):
    """An edit that cannot be made; the message is one sentence naming the site."""


class Source(Enum):
    """The forward whose activations an edit writes into the run."""

    DONOR = "donor"  # the item's donor, positions counted from the right
    COUNTERFACTUAL = "counterfactual"  # the item's counterfactual prompt, of the same length


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the model.

    Attributes:
        kind: One of `KINDS`.
        layer: Its layer; -1 with `resid` is the embedding.
        index: A head's number (`head`), neurons' numbers (`neuron`), None for all.
    """

    kind: SiteKind
    layer: int
    index: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in SITE_KINDS:
            raise EditError(f"site kind {self.kind!r} is not one of {', '.join(SITE_KINDS)}.")
        if self.kind == "head" and not isinstance(self.index, int):
            raise EditError(f"site {self} needs the number of one head: use `attn` for all heads.")
        if self.kind == "neuron" and (isinstance(self.index, int) or self.index == ()):
            raise EditError(f"site {self} needs a tuple of neurons' numbers, or none for all.")
        if self.kind in ("resid", "attn", "mlp") and self.index is not None:
            raise EditError(f"site {self} takes no index.")
        if self.layer < (-1 if self.kind == "resid" else 0):
            raise EditError(f"site {self}: there is no layer {self.layer}.")

    def __str__(self) -> str:
        if self.index is None:
            return f"{self.kind} {self.layer}"
        if isinstance(self.index, int):
            return f"{self.kind} {self.layer}.{self.index}"
        shown = ",".join(map(str, self.index[:4])) + (",…" if len(self.index) > 4 else "")
        return f"{self.kind} {self.layer}.{shown}"


def joined(sites: Sequence[Site]) -> tuple[Site, ...]:
    """The same components in layer order, with the neurons of each layer as one site."""
    neurons: dict[int, list[int]] = {}
    others = []
    for site in sites:
        if site.kind == "neuron" and isinstance(site.index, tuple):
            neurons.setdefault(site.layer, []).extend(site.index)
        else:
            others.append(site)
    made = [Site("neuron", layer, tuple(sorted(set(i)))) for layer, i in neurons.items()]
    order = {"attn": 0, "head": 1, "mlp": 2, "neuron": 3}
    return tuple(
        sorted(
            [*others, *made],
            key=lambda s: (
                s.layer,
                order.get(s.kind, 4),
                s.index if isinstance(s.index, int) else 0,
            ),
        )
    )
