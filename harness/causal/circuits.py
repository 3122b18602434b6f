"""Circuits as values: which components, how they are ranked, and sets that match one by chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal, Self

import numpy as np
from jaxtyping import Float, Int

from harness.causal.ablations import joined
from harness.places import Site

Kind = Literal["head", "neuron"]
TRIES = 5  # draws for each pair wanted, before there are taken to be no more


@dataclass(frozen=True, slots=True)
class Circuit:
    """Components of one kind, strongest first."""

    kind: Kind
    layer: Int[np.ndarray, " component"]
    index: Int[np.ndarray, " component"]

    def __len__(self) -> int:
        return len(self.layer)

    def top(self, size: int) -> Self:
        """Its strongest components."""
        return replace(self, layer=self.layer[:size], index=self.index[:size])

    def union(self, other: Self) -> Self:
        """The components of either."""
        places = dict.fromkeys((*self.places, *other.places))
        layer, index = np.array(list(places), dtype=int).reshape(-1, 2).T
        return replace(self, layer=layer, index=index)

    @property
    def places(self) -> list[tuple[int, int]]:
        """(layer, number) of each."""
        return list(zip(self.layer.tolist(), self.index.tolist(), strict=True))

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where they are."""
        if self.kind == "head":
            return joined([Site("head", layer, index) for layer, index in self.places])
        return joined([Site("neuron", layer, (index,)) for layer, index in self.places])

    def by_layer(self) -> dict[int, int]:
        """How many components in each layer, layers ascending."""
        layers, counts = np.unique(self.layer, return_counts=True)
        return dict(zip(layers.tolist(), counts.tolist(), strict=True))


def ranked(kind: Kind, score: Float[np.ndarray, "layer component"], sign: float = 1.0) -> Circuit:
    """Every component of a kind by falling `sign * score`; ties in order of layer and number."""
    layer, index = np.unravel_index(np.argsort(-sign * score.ravel(), kind="stable"), score.shape)
    return Circuit(kind, layer, index)


def sizes(shares: Sequence[float], total: int) -> tuple[int, ...]:
    """Doses as numbers of components, rising, at least one each."""
    return tuple(sorted({max(1, round(share * total)) for share in shares}))


@dataclass(frozen=True, slots=True)
class Matched:
    """Sets of components drawn to match a circuit.

    Attributes:
        circuits: Different from the circuit and from each other.
        exists: How many such sets there are.
        match: `layer` if each has the circuit's number in every layer, else `size`.
    """

    circuits: tuple[Circuit, ...]
    exists: int
    match: Literal["layer", "size"]


def matched_sets(
    circuit: Circuit, layers: int, width: int, draws: int, least: int, seed: int
) -> Matched:
    """Random sets of a circuit's size, each layer with as many components as in the circuit.

    Where fewer than `least` such sets exist, sets that match in size alone. All of them are
    taken where there are no more than `draws`.

    Args:
        circuit: What to match.
        layers: Of the model.
        width: Components a layer.
        draws: Sets wanted.
        least: Sets without which no p-value could be small enough.
        seed: Of the draws.
    """
    counts = circuit.by_layer()
    exists = math.prod(math.comb(width, k) for k in counts.values()) - 1
    generator = np.random.default_rng(seed)
    own = _key(circuit)
    if exists >= least:
        every, match = _all_by_layer(circuit, width), "layer"
        drawn = (_draw_by_layer(circuit, counts, width, generator) for _ in iter(int, 1))
    else:
        exists = math.comb(layers * width, len(circuit)) - 1
        every, match = _all_by_size(circuit, layers, width), "size"
        drawn = (_draw_by_size(circuit, layers, width, generator) for _ in iter(int, 1))
    source = every if exists <= draws else drawn
    found: dict[frozenset[tuple[int, int]], Circuit] = {}
    for candidate in source:
        key = _key(candidate)
        if key != own:
            found[key] = candidate
        if len(found) == min(draws, exists):
            break
    return Matched(tuple(found.values()), exists, match)  # type: ignore[arg-type]


def _key(circuit: Circuit) -> frozenset[tuple[int, int]]:
    return frozenset(circuit.places)


def _of(circuit: Circuit, places: Sequence[tuple[int, int]]) -> Circuit:
    layer, index = np.array(places, dtype=int).reshape(-1, 2).T
    return replace(circuit, layer=layer, index=index)


def _all_by_layer(circuit: Circuit, width: int) -> Iterator[Circuit]:
    counts = circuit.by_layer()
    chosen = product(*(combinations(range(width), k) for k in counts.values()))
    for row in chosen:
        yield _of(
            circuit,
            [(at, i) for at, numbers in zip(counts, row, strict=True) for i in numbers],
        )


def _all_by_size(circuit: Circuit, layers: int, width: int) -> Iterator[Circuit]:
    everywhere = product(range(layers), range(width))
    for places in combinations(everywhere, len(circuit)):
        yield _of(circuit, places)


def _draw_by_layer(
    circuit: Circuit, counts: dict[int, int], width: int, generator: np.random.Generator
) -> Circuit:
    places = [
        (layer, int(i))
        for layer, k in counts.items()
        for i in generator.choice(width, k, replace=False)
    ]
    return _of(circuit, places)


def _draw_by_size(
    circuit: Circuit, layers: int, width: int, generator: np.random.Generator
) -> Circuit:
    drawn = generator.choice(layers * width, len(circuit), replace=False)
    return _of(circuit, [divmod(int(place), width) for place in drawn])


def relocated(
    pair: tuple[Circuit, Circuit], width: int, draws: int, seed: int
) -> list[tuple[Circuit, Circuit]]:
    """Random pairs of sets with the same numbers in every layer, as disjoint as the pair is.

    The numbers of a layer's components are exchanged for both sets alike. Pairs differ from the
    given one and from each other; fewer than `draws` come back where there are hardly more.
    """
    generator = np.random.default_rng(seed)
    layers = int(max(c.layer.max() for c in pair)) + 1
    seen = {tuple(map(_key, pair))}
    found: list[tuple[Circuit, Circuit]] = []
    for _ in range(TRIES * draws):
        exchange = np.array([generator.permutation(width) for _ in range(layers)])
        one, two = (replace(c, index=exchange[c.layer, c.index]) for c in pair)
        if (key := (_key(one), _key(two))) not in seen:
            seen.add(key)
            found.append((one, two))
        if len(found) == draws:
            break
    return found
