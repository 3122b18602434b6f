"""Contrasts of relations whose truth is known, for error rates and power."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

FACTORS = 5


@dataclass(frozen=True, slots=True)
class World:
    """How contrasts come about.

    Attributes:
        relations: How many.
        components: How many.
        entities: Pairs of items in each relation, an entity each.
        icc: Share of an item's variance that belongs to its entity, asked twice.
        own: Standard deviation of a relation's own effect, in those of an item.
        heavy: Whether effects and noise are t with 3 degrees of freedom, else normal.
        alike: Share of variance that components have in common, in `FACTORS` factors.
        uneven: Standard deviation of log scale over relations and over components.
        pools: Number of the pool that each relation draws its entities from; a pool of its own
            for each if empty.
        pool_size: Entities in a pool.
    """

    relations: int
    components: int
    entities: int = 8
    icc: float = 0.2
    own: float = 0.5
    heavy: bool = False
    alike: float = 0.3
    uneven: float = 0.5
    pools: tuple[int, ...] = ()
    pool_size: int = 16

    def draw(self, generator: np.random.Generator) -> Float[np.ndarray, "relation component"]:
        """Contrasts of a world in which nothing holds over relations."""
        values, _, _ = self.draw_items(generator)
        return values.reshape(self.relations, self.entities, self.components).mean(axis=1)

    def draw_items(
        self, generator: np.random.Generator
    ) -> tuple[
        Float[np.ndarray, "item component"], Int[np.ndarray, " item"], Int[np.ndarray, " item"]
    ]:
        """Contrast of every pair of items, its relation and its entity."""
        effect, entity = self._entities(generator)
        relation = np.repeat(np.arange(self.relations), self.entities)
        noise = self._effects(generator, len(relation))
        values = np.sqrt(self.icc) * effect + np.sqrt(1 - self.icc) * noise
        values += self.own * self._effects(generator, self.relations)[relation]
        scale = np.exp(self.uneven * generator.standard_normal(self.relations))
        values *= scale[relation][:, None]
        values *= np.exp(self.uneven * generator.standard_normal(self.components))
        return values, relation, entity

    def _entities(
        self, generator: np.random.Generator
    ) -> tuple[Float[np.ndarray, "item component"], Int[np.ndarray, " item"]]:
        """Effect and number of each item's entity; drawn from a pool that others may share."""
        pools = self.pools or tuple(range(self.relations))
        effect = self._effects(generator, (max(pools) + 1) * self.pool_size)
        drawn = [generator.permutation(self.pool_size)[: self.entities] for _ in pools]
        entity = np.concatenate(
            [pool * self.pool_size + some for pool, some in zip(pools, drawn, strict=True)]
        )
        return effect[entity], entity

    def _effects(
        self, generator: np.random.Generator, rows: int
    ) -> Float[np.ndarray, "row component"]:
        """Effects of variance one, partly common to all components."""

        def standard(*shape: int) -> np.ndarray:
            if self.heavy:
                return generator.standard_t(3, shape) / np.sqrt(3)
            return generator.standard_normal(shape)

        loadings = generator.standard_normal((FACTORS, self.components)) / np.sqrt(FACTORS)
        common = standard(rows, FACTORS) @ loadings
        own = standard(rows, self.components)
        return np.sqrt(self.alike) * common + np.sqrt(1 - self.alike) * own
