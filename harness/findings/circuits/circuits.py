"""Circuits as values: which components, how they are ranked, and sets that match one by chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, count, product
from typing import Literal, Self

import numpy as np
from jaxtyping import Float, Int

from harness.interventions.sites import Site, joined
from harness.study.study import Study

CircuitKind = Literal["head", "neuron"]
Member = tuple[int, int]  # a component by its layer and its number there
TRIES = 5  # draws for each pair wanted; then there are assumed to be no more


@dataclass(frozen=True, slots=True)
class Circuit:
    """Components of one kind, strongest first."""

    kind: CircuitKind
    layer: Int[np.ndarray, " component"]
    index: Int[np.ndarray, " component"]

    def __len__(self) -> int:
        return len(self.layer)

    def top(self, size: int) -> Self:
        """Its strongest components."""
        return replace(self, layer=self.layer[:size], index=self.index[:size])

    def union(self, other: Self) -> Self:
        """The components of either."""
        members = dict.fromkeys((*self.members, *other.members))
        layer, index = np.array(list(members), dtype=int).reshape(-1, 2).T
        return replace(self, layer=layer, index=index)

    @property
    def members(self) -> list[Member]:
        """(layer, number) of each."""
        return list(zip(self.layer.tolist(), self.index.tolist(), strict=True))

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where they are."""
        if self.kind == "head":
            return joined([Site("head", layer, index) for layer, index in self.members])
        return joined([Site("neuron", layer, (index,)) for layer, index in self.members])

    def by_layer(self) -> dict[int, int]:
        """How many components in each layer, layers ascending."""
        layers, counts = np.unique(self.layer, return_counts=True)
        return dict(zip(layers.tolist(), counts.tolist(), strict=True))


def shape(study: Study, kind: CircuitKind) -> tuple[int, int]:
    """Layers, and components of a kind in each."""
    architecture = study.subject.architecture
    return architecture.layers, architecture.heads if kind == "head" else architecture.neurons


def ranked(kind: CircuitKind, score: Float[np.ndarray, "layer component"]) -> Circuit:
    """Every component of a kind by falling score; ties in order of layer and number."""
    layer, index = np.unravel_index(np.argsort(-score.ravel(), kind="stable"), score.shape)
    return Circuit(kind, layer, index)


def sizes(shares: Sequence[float], total: int) -> tuple[int, ...]:
    """Doses as numbers of components, rising, at least one each."""
    return tuple(sorted({max(1, round(share * total)) for share in shares}))


@dataclass(frozen=True, slots=True)
class Matched:
    """Sets of components drawn to match a circuit.

    Attributes:
        circuits: Different from the circuit and from each other.
        match: `layer` if each has the circuit's number in every layer, else `size`.
    """

    circuits: tuple[Circuit, ...]
    match: Literal["layer", "size"]


def matched_sets(
    circuit: Circuit, layers: int, width: int, draws: int, least: int, seed: int
) -> Matched:
    """Random sets of a circuit's size, each layer with as many components as in the circuit.

    The question is whether other components would have done as well, so the sets are drawn from
    the components outside the circuit, as far as there are enough. If fewer than `least` such sets
    exist, the sets match the circuit in size alone. If no more than `draws` exist, all are taken.

    Args:
        circuit: What to match.
        layers: Of the model.
        width: Components a layer.
        draws: Sets wanted.
        least: Sets that a small enough p-value needs.
        seed: Of the draws.
    """
    own = circuit.members
    strata = [Stratum.of(own, list(product([n], range(width)))) for n in circuit.by_layer()]
    match: Literal["layer", "size"] = "layer"
    if _exist(strata) < least:
        strata = [Stratum.of(own, list(product(range(layers), range(width))))]
        match = "size"
    exists = _exist(strata)
    generator = np.random.default_rng(seed)
    source: Iterator[list[tuple[Member, ...]]]
    if exists <= draws:
        source = (list(parts) for parts in product(*(s.all() for s in strata)))
    else:
        source = ([s.draw(generator) for s in strata] for _ in count())
    found: dict[frozenset[Member], Circuit] = {}
    for parts in source:
        candidate = _with(circuit, [member for part in parts for member in part])
        if _key(candidate) != _key(circuit):
            found[_key(candidate)] = candidate
        if len(found) == min(draws, exists):
            break
    return Matched(tuple(found.values()), match)


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the model that components of a set are drawn from: a layer, or all of it.

    Attributes:
        own: The circuit's components there; as many are drawn.
        others: The other components there; the draw is from these as far as there are enough.
    """

    own: tuple[Member, ...]
    others: tuple[Member, ...]

    @classmethod
    def of(cls, own: Sequence[Member], pool: Sequence[Member]) -> Self:
        """The part of a circuit that lies in a pool, and the rest of the pool."""
        inside = set(own)
        return cls(tuple(p for p in pool if p in inside), tuple(p for p in pool if p not in inside))

    @property
    def taken(self) -> int:
        """How many of the others a drawn set holds."""
        return min(len(self.own), len(self.others))

    @property
    def kept(self) -> int:
        """How many components a drawn set must share with the circuit."""
        return len(self.own) - self.taken

    @property
    def count(self) -> int:
        """How many different sets can be drawn."""
        return math.comb(len(self.others), self.taken) * math.comb(len(self.own), self.kept)

    def all(self) -> Iterator[tuple[Member, ...]]:
        """Every set."""
        for new, old in product(
            combinations(self.others, self.taken), combinations(self.own, self.kept)
        ):
            yield (*new, *old)

    def draw(self, generator: np.random.Generator) -> tuple[Member, ...]:
        """One set, each with the same probability."""
        new = generator.choice(len(self.others), self.taken, replace=False)
        old = generator.choice(len(self.own), self.kept, replace=False)
        return (*(self.others[i] for i in new), *(self.own[i] for i in old))


def _exist(strata: Sequence[Stratum]) -> int:
    """How many sets there are other than the circuit itself."""
    only_itself = not any(s.taken for s in strata)
    return math.prod(s.count for s in strata) - only_itself


def _key(circuit: Circuit) -> frozenset[Member]:
    return frozenset(circuit.members)


def _with(circuit: Circuit, members: Sequence[Member]) -> Circuit:
    layer, index = np.array(members, dtype=int).reshape(-1, 2).T
    return replace(circuit, layer=layer, index=index)


def relocated(
    pair: tuple[Circuit, Circuit], width: int, draws: int, seed: int
) -> list[tuple[Circuit, Circuit]]:
    """Random pairs of sets with as many components in every layer, sharing as many as the pair.

    In every layer the components are permuted, in both sets alike. The pairs differ from the
    given one and from each other; fewer than `draws` come back if hardly more exist.
    """
    generator = np.random.default_rng(seed)
    layers = int(max(c.layer.max() for c in pair)) + 1
    seen = {tuple(map(_key, pair))}
    found: list[tuple[Circuit, Circuit]] = []
    for _ in range(TRIES * draws):
        permuted = np.array([generator.permutation(width) for _ in range(layers)])
        one, two = (replace(c, index=permuted[c.layer, c.index]) for c in pair)
        if (key := (_key(one), _key(two))) not in seen:
            seen.add(key)
            found.append((one, two))
        if len(found) == draws:
            break
    return found
