"""How far relations agree about components: what a component's loss costs in each, compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.kinds import CELLS, Process, cell_of
from harness.materials.items import Item
from harness.materials.relations import load_relations
from harness.stats.permutation import sign_patterns

MOST_FLIPS = 4096  # all exchanges of 13 relations; of more, as many at random


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Contrasts of two cells, each in the effects of all components.

    Attributes:
        names: Of the relations, or of other questions that are contrasted.
        families: What kinds of entities each asks about; empty where that is not known.
        effects: What a component's loss costs in the one cell minus in the other.
        serving: What it costs the one cell, in three readings (`serving`).
        other: As `effects`, of the other process.
    """

    names: tuple[str, ...]
    families: tuple[frozenset[str], ...]
    effects: Float[np.ndarray, "relation component"]
    serving: Float[np.ndarray, "reading relation component"]
    other: Float[np.ndarray, "relation component"]

    @property
    def apart(self) -> Bool[np.ndarray, "relation relation"]:
        """Which of them have no family in common."""
        apart = [[not one & other for other in self.families] for one in self.families]
        return np.array(apart, dtype=bool).reshape(len(self.names), len(self.names))


@dataclass(frozen=True, slots=True)
class Costs:
    """What each component's loss costs the items of each label, relation by relation.

    Attributes:
        names: Of the relations.
        shares: Of the intact logit difference of these items.
        heights: That difference, nats.
    """

    names: tuple[str, ...]
    shares: Float[np.ndarray, "relation label component"]
    heights: Float[np.ndarray, "relation label"]


def costs_by_relation(search: Search, label: Sequence[str], labels: tuple[str, ...]) -> Costs:
    """What each component costs the items of each label.

    Relations that lack an answer that can be lost under one of the labels are left out.

    Args:
        search: Its items, and what each component costs each of them.
        label: Of each item.
        labels: Those that are wanted.
    """
    of_item, relation = np.array(label), np.array([i.relation for i in search.prompts.items])
    known = ~np.isnan(search.costs[:, 0, 0])
    names, found, heights = [], [], []
    for name in np.unique(relation[known]).tolist():
        rows = [known & (relation == name) & (of_item == wanted) for wanted in labels]
        if all(of.any() for of in rows):
            heights.append([search.intact[of].mean() for of in rows])
            costs = zip((search.costs[of].mean(0) for of in rows), heights[-1], strict=True)
            found.append([(cost / height).ravel() for cost, height in costs])
            names.append(name)
    size = len(names), len(labels)
    shares = np.array(found).reshape(*size, search.costs[0].size)
    return Costs(tuple(names), shares, np.array(heights).reshape(size))


def costs_in_cells(search: Search) -> Costs:
    """What each component costs in each of `CELLS`."""
    return costs_by_relation(search, [cell_of(item) for item in search.prompts.items], CELLS)


def effects_of(process: Process, costs: Costs) -> Float[np.ndarray, "relation component"]:
    """The costs to the cell with the process minus those to the cell without it."""
    own, without = (CELLS.index(cell) for cell in process.cells)
    return np.asarray(costs.shares[:, own] - costs.shares[:, without])


def serving_of(process: Process, costs: Costs) -> Float[np.ndarray, "reading relation component"]:
    """`serving` of the cell with the process, against the cell without it."""
    own, without = (CELLS.index(cell) for cell in process.cells)
    ratio = costs.heights[:, [without]] / costs.heights[:, [own]]
    return serving(costs.shares[:, own], costs.shares[:, without], ratio)


def serving(
    own: Float[np.ndarray, "relation component"],
    without: Float[np.ndarray, "relation component"],
    ratio: Float[np.ndarray, "relation one"],
) -> Float[np.ndarray, "reading relation component"]:
    """What a component's loss costs a cell: by itself, and beyond another one in shares and nats.

    What makes the other cell better when it is lost serves none, nor does what takes the same
    share, or as many nats, of both. So a component serves the cell as far as all three say.

    Args:
        own: Lost by the cell, in shares of its logit difference.
        without: Lost by the other one, in shares of that one's.
        ratio: The other cell's logit difference as a multiple of this one's.
    """
    return np.stack([own, own - without, own - ratio * without])


def families_of(items: tuple[Item, ...], names: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """The family of each relation: that of the suite's own, else the domain its items state."""
    family = {item.relation: item.domain for item in items}
    family |= {relation.name: relation.family for relation in load_relations()}
    return tuple(frozenset(filter(None, [family.get(name, "")])) for name in names)


def rank_correlations(
    one: Float[np.ndarray, "relation component"], other: Float[np.ndarray, "relation component"]
) -> Float[np.ndarray, "relation relation"]:
    """Spearman's rho of every relation in `one` with every relation in `other`; 0 of constants."""
    standard = []
    for values in (one, other):
        ranks = stats.ranks_in_rows(values)
        ranks -= ranks.mean(1, keepdims=True)
        length = np.linalg.norm(ranks, axis=1, keepdims=True)
        standard.append(ranks / np.where(length > 0, length, 1))
    return np.asarray(standard[0] @ standard[1].T)


def between(
    one: Float[np.ndarray, "relation component"], other: Float[np.ndarray, "relation component"]
) -> Float[np.ndarray, "relation relation"]:
    """`rank_correlations`, with a diagonal of nan.

    What two effects of one relation share may be its items.
    """
    rho = rank_correlations(one, other)
    np.fill_diagonal(rho, np.nan)
    return rho


def flips(rho: Float[np.ndarray, "relation relation"], seed: int) -> Float[np.ndarray, " flip"]:
    """The mean of rho with the two cells exchanged in some relations; first in none.

    Exchanging them turns the sign of a relation's effects, and of each rho that it is part of.
    All exchanges where they are few, else `MOST_FLIPS` at random.
    """
    signs = sign_patterns(len(rho), MOST_FLIPS, seed).astype(float)
    pairs = np.nan_to_num(rho)
    sums = np.einsum("fi,fi->f", signs @ pairs, signs)
    return np.asarray(sums / np.count_nonzero(~np.isnan(rho)))


def p_of(null: Float[np.ndarray, " flip"]) -> float:
    """How often exchanges reach the first value, which counts as one of them."""
    return float((null >= null[0] - 1e-12).mean())


def mean(rho: Float[np.ndarray, "relation relation"], weights: np.ndarray | None = None) -> float:
    """Over pairs of relations whose rho is a number, each as often as both are there."""
    n = len(rho)
    weights = np.full(n, 1 / n) if weights is None else weights
    pairs = np.outer(weights, weights) * ~np.isnan(rho)
    return float((pairs * np.nan_to_num(rho)).sum() / pairs.sum()) if pairs.any() else np.nan


def strongest(
    effects: Float[np.ndarray, "relation component"], share: float
) -> Bool[np.ndarray, "relation component"]:
    """Which components are among this share, 1 at least, with the largest effects above 0."""
    size = max(1, round(share * effects.shape[1]))
    top = np.zeros(effects.shape, dtype=bool)
    np.put_along_axis(top, np.argsort(-effects, axis=1, kind="stable")[:, :size], True, axis=1)
    return top & (effects > 0)


def carried_over(
    serving: Float[np.ndarray, "reading relation component"], share: float
) -> Float[np.ndarray, "reading relation relation"]:
    """What those that serve each relation most (rows) add up to in each relation (columns)."""
    top = strongest(serving.min(0), share).astype(serving.dtype)
    return np.asarray(top @ serving.swapaxes(1, 2))


def share_carried(
    sums: Float[np.ndarray, "reading relation relation"],
    weights: Float[np.ndarray, " relation"] | None = None,
) -> float:
    """Of `carried_over`, the mean over pairs of relations, by the mean of each with itself.

    In the reading where it is least. 1 where the same components are strongest; about 0, or less,
    where they are strongest by chance or have another sign in each relation; nan where none serves.
    """
    n = sums.shape[-1]
    weights = np.full(n, 1 / n) if weights is None else weights
    own = np.diagonal(sums, axis1=1, axis2=2) @ weights / weights.sum()
    if not (own > 0).all():
        return np.nan
    elsewhere = np.where(np.eye(n, dtype=bool), np.nan, sums)
    return float(min(mean(s, weights) / o for s, o in zip(elsewhere, own, strict=True)))


def jaccards(
    one: Bool[np.ndarray, "relation component"], other: Bool[np.ndarray, "relation component"]
) -> Float[np.ndarray, " relation"]:
    """Jaccard index of each relation's two sets; 0 of two empty ones."""
    shared, either = (one & other).sum(1), (one | other).sum(1)
    return np.asarray(shared / np.maximum(either, 1))
