"""Circuits as values: which components, how they are ranked, and sets that match one by chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal, Self

import numpy as np
from jaxtyping import Float, Int

from harness.interventions.sites import Site, joined

Kind = Literal["head", "neuron"]
Place = tuple[int, int]  # layer and number
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

    They are drawn from what is not in the circuit, where that is enough: would others have done
    as well? A set that shares the half of a small model's circuit is no answer. Where fewer than
    `least` such sets exist, sets that match in size alone. All of them are taken where there are
    no more than `draws`.

    Args:
        circuit: What to match.
        layers: Of the model.
        width: Components a layer.
        draws: Sets wanted.
        least: Sets without which no p-value could be small enough.
        seed: Of the draws.
    """
    own = circuit.places
    strata = [Stratum.of(own, list(product([n], range(width)))) for n in circuit.by_layer()]
    match = "layer"
    if _exist(strata) < least:
        strata = [Stratum.of(own, list(product(range(layers), range(width))))]
        match = "size"
    exists = _exist(strata)
    generator = np.random.default_rng(seed)
    source: Iterator[list[tuple[Place, ...]]]
    if exists <= draws:
        source = (list(parts) for parts in product(*(s.all() for s in strata)))
    else:
        source = ([s.draw(generator) for s in strata] for _ in iter(int, 1))
    found: dict[frozenset[Place], Circuit] = {}
    for parts in source:
        candidate = _of(circuit, [place for part in parts for place in part])
        if _key(candidate) != _key(circuit):
            found[_key(candidate)] = candidate
        if len(found) == min(draws, exists):
            break
    return Matched(tuple(found.values()), exists, match)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Where some components of a set are drawn from: a layer, or the whole model.

    Attributes:
        own: The circuit's components there; as many are drawn.
        others: The rest, from which they are drawn as far as there are enough.
    """

    own: tuple[Place, ...]
    others: tuple[Place, ...]

    @classmethod
    def of(cls, own: Sequence[Place], pool: Sequence[Place]) -> Self:
        """The part of a circuit that lies in a pool, and the rest of the pool."""
        inside = set(own)
        return cls(tuple(p for p in pool if p in inside), tuple(p for p in pool if p not in inside))

    @property
    def taken(self) -> int:
        """How many of the others a drawn set has."""
        return min(len(self.own), len(self.others))

    @property
    def kept(self) -> int:
        """How many it must share with the circuit."""
        return len(self.own) - self.taken

    @property
    def count(self) -> int:
        """How many sets there are."""
        return math.comb(len(self.others), self.taken) * math.comb(len(self.own), self.kept)

    def all(self) -> Iterator[tuple[Place, ...]]:
        """Every set."""
        for new, old in product(
            combinations(self.others, self.taken), combinations(self.own, self.kept)
        ):
            yield (*new, *old)

    def draw(self, generator: np.random.Generator) -> tuple[Place, ...]:
        """One of them, all equally probable."""
        new = generator.choice(len(self.others), self.taken, replace=False)
        old = generator.choice(len(self.own), self.kept, replace=False)
        return (*(self.others[i] for i in new), *(self.own[i] for i in old))


def _exist(strata: Sequence[Stratum]) -> int:
    """How many sets there are beside the circuit itself."""
    only_itself = not any(s.taken for s in strata)
    return math.prod(s.count for s in strata) - only_itself


def _key(circuit: Circuit) -> frozenset[Place]:
    return frozenset(circuit.places)


def _of(circuit: Circuit, places: Sequence[Place]) -> Circuit:
    layer, index = np.array(places, dtype=int).reshape(-1, 2).T
    return replace(circuit, layer=layer, index=index)


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
