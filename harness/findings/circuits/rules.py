"""The numbers of the circuit predictions, which a hypothesis file gives by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.findings.circuits.circuits import CircuitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How circuits are selected.

    Attributes:
        doses: Sizes that a circuit may have, as shares of the model's components of its kind.
        pairs: Discovery pairs that circuits are selected on, at most.
        margin: Components whose loss costs the other task more than this share of its intact
            logit difference are selected last.
    """

    doses: Mapping[CircuitKind, tuple[float, ...]]
    pairs: int
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSets:
    """Random sets that a circuit is compared with.

    Attributes:
        count: Sets, at most.
        pairs: Evaluation pairs of each task that they are run on, at most.
    """

    count: int
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DissociationRule:
    """When a circuit carries its task and no other (h5).

    Attributes:
        selection: How circuits are selected.
        alpha: Of every test.
        margin: A task is spared if less than this share of its correct answers is lost.
        random_sets: Sets of the circuit's size, whose 95th percentile it must exceed.
        other_sizes: Sets of the sizes that are only shown. A circuit that fails another
            requirement is compared with its random sets on so few pairs too.
    """

    selection: Selection
    alpha: float
    margin: float
    random_sets: RandomSets
    other_sizes: RandomSets


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionRule:
    """When two circuits are separable, and when they interact (h8).

    Attributes:
        selection: How circuits are selected.
        alpha: Of every test.
        random_pairs: Random pairs of sets, whose 95th percentile the two circuits must exceed.
        smallest: Share of the intact logit difference below which a main effect on the own task
            beyond the other, or an interaction, is none.
        components: Strongest heads and MLPs in the map of pairs.
    """

    selection: Selection
    alpha: float
    random_pairs: RandomSets
    smallest: float
    components: int
