"""Same-process contrasts: two questions of one process, measured like the claim.

They say what the same rule makes of a difference that is none of process. Two kinds: relations
of one cell, put together in pairs at random, as many pairs as the claim has relations; and, within
relations of one cell, questions whose answer is told first in the story against those whose
answer is told last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.processes.contrasts import Questions, in_units, pooled_sd
from harness.materials.items import DISCOVERY, EVALUATION, Item


@dataclass(frozen=True, slots=True)
class SameProcess:
    """A contrast of two questions of one process.

    Attributes:
        discovery, evaluation: By unit (a pair of relations, or a relation), as the claim's.
    """

    discovery: Float[np.ndarray, "unit place"]
    evaluation: Float[np.ndarray, "unit place"]


def same_process_contrasts(
    questions: Questions, cells: Sequence[str], *, units: int, draws: int, seed: int
) -> Iterator[SameProcess]:
    """Random pairs of relations, `draws` times.

    Args:
        questions: Of both splits.
        cells: Those that pairs are drawn in.
        units: Pairs of a contrast.
        draws: Contrasts.
        seed: Of the pairs.
    """
    means = {split: _Means.of(questions, split, cells) for split in (DISCOVERY, EVALUATION)}
    for chosen in drawn_pairs(questions, cells, units=units, draws=draws, seed=seed):
        yield SameProcess(*(means[split].differences(chosen) for split in (DISCOVERY, EVALUATION)))


def drawn_pairs(
    questions: Questions, cells: Sequence[str], *, units: int, draws: int, seed: int
) -> Iterator[list[tuple[str, str, str]]]:
    """(cell, one relation, another one), put together at random; `units` or all, `draws` times."""
    generator = np.random.default_rng(seed)
    asked = {
        split: set(zip(rows.asked.tolist(), rows.relation.tolist(), strict=True))
        for split in (DISCOVERY, EVALUATION)
        for rows in [questions.rows(questions.split == split)]
    }
    both = sorted(asked[DISCOVERY] & asked[EVALUATION])
    for _ in range(draws):
        pairs = [
            pair
            for cell in cells
            for pair in _pairs(cell, [key[1] for key in both if key[0] == cell], generator)
        ]
        yield [pairs[at] for at in generator.permutation(len(pairs))[:units]]


def _pairs(
    cell: str, relations: Sequence[str], generator: np.random.Generator
) -> list[tuple[str, str, str]]:
    """(cell, one, other) of relations put together at random, in random order."""
    order = [relations[at] for at in generator.permutation(len(relations))]
    return [(cell, one, other) for one, other in zip(order[::2], order[1::2], strict=False)]


@dataclass(frozen=True, slots=True)
class _Means:
    """Mean of every cell and relation in units of the pooled SD."""

    keys: dict[tuple[str, str], int]
    values: Float[np.ndarray, "group place"]

    @classmethod
    def of(cls, questions: Questions, split: str, cells: Sequence[str]) -> "_Means":
        found = questions.rows((questions.split == split) & np.isin(questions.asked, cells))
        names = list(zip(found.asked.tolist(), found.relation.tolist(), strict=True))
        keys = {key: at for at, key in enumerate(sorted(set(names)))}
        group = np.array([keys[name] for name in names], dtype=int)
        means = np.array([found.values[group == at].mean(0, dtype=float) for at in keys.values()])
        return cls(keys, in_units(means, pooled_sd(found.values, group)) if keys else means)

    def differences(self, pairs: Sequence[tuple[str, str, str]]) -> Float[np.ndarray, "unit place"]:
        one = [self.keys[cell, first] for cell, first, _ in pairs]
        other = [self.keys[cell, second] for cell, _, second in pairs]
        return np.asarray(self.values[one] - self.values[other])


def places_note(compared: int, cells: Sequence[str]) -> tuple[str, ...]:
    """A note on cells in which answers told first were not compared with answers told last.

    Args:
        compared: In how many of the cells they were.
        cells: Of the process.
    """
    if compared == len(cells):
        return ()
    return (
        f"answers told first in the story were compared with answers told last in {compared} of "
        f"{len(cells)} cells ({', '.join(cells)}): elsewhere too few relations have both",
    )


def told_places(items: Sequence[Item]) -> np.ndarray:
    """Whether the answer is told `first` or `last` in the story; empty in between and elsewhere."""
    return np.array([_told(item) for item in items])


def _told(item: Item) -> str:
    story = item.premises[0].partition("\n")[0] if item.premises else ""
    places = {answer: story.find(answer) for answer in (item.answer, *item.distractors)}
    if -1 in places.values() or len(places) < 2:
        return ""
    order = sorted(places, key=lambda answer: places[answer])
    return {order[0]: "first", order[-1]: "last"}.get(item.answer, "")
