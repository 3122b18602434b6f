"""The hardest setting of the cells that a model answers, found on discovery items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness import stats
from harness.materials.cell_sets import draw_cells
from harness.materials.cells import DEMONSTRATED
from harness.materials.difficulty import SHUFFLED, TOLD, Difficulty
from harness.materials.items import DISCOVERY
from harness.study.subject import Subject

ITEMS = 30  # of each cell
GATE = 0.40  # of what chance leaves: accuracy .60 where three answers are told
# Hardest first: (order, chains). Shots are as many as chains.
SETTINGS = ((SHUFFLED, 4), (SHUFFLED, 3), (TOLD, 4), (TOLD, 3), (TOLD, 2))


@dataclass(frozen=True, slots=True)
class Asked:
    """The difficulty that a run asks for; None is left to the model's competence."""

    shots: int | None = None
    chains: int | None = None
    order: str | None = None
    steps: int = 2

    def settings(self) -> tuple[Difficulty, ...]:
        """What it leaves open, hardest first.

        Raises:
            MaterialsError: If there is no such difficulty.
        """
        if self.chains is None and self.shots:
            pairs = [(o, c) for o, c in SETTINGS if self.shots % c == 0] or [(TOLD, self.shots)]
        elif self.chains is None:
            pairs = list(SETTINGS)
        else:
            pairs = [(order, self.chains) for order in (SHUFFLED, TOLD)]
        if self.order is not None:
            pairs = [(self.order, chains) for chains in dict.fromkeys(c for _, c in pairs)]
        return tuple(
            Difficulty(chains if self.shots is None else self.shots, chains, order, self.steps)
            for order, chains in pairs
        )


@dataclass(frozen=True, slots=True)
class Competence:
    """Accuracy in a cell less what guessing gives: 0 is chance, 1 is no error.

    Attributes:
        low: Of its exact 95 % interval.
        high: The same.
    """

    cell: str
    value: float
    low: float
    high: float

    @property
    def passes(self) -> bool:
        """Whether the cell is answered."""
        return self.value >= GATE and self.low > 0

    def __str__(self) -> str:
        return f"{self.cell} {self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The setting that was chosen, and why, as a sentence."""

    difficulty: Difficulty
    note: str


def choose_difficulty(subject: Subject, asked: Asked, seed: int) -> Chosen:
    """The hardest setting at which recall, lookup and reasoning pass the gate.

    If none is, the one at which most of the three pass, and of those the one that is answered
    best: the claims' own gates then say which cells are not answered.
    """
    found: dict[Difficulty, tuple[Competence, ...]] = {}
    for difficulty in asked.settings():
        found[difficulty] = competence(subject, difficulty, seed)
        if all(cell.passes for cell in found[difficulty]):
            return Chosen(difficulty, _note(difficulty, found[difficulty]))

    def answered(difficulty: Difficulty) -> tuple[int, float]:
        cells = found[difficulty]
        return sum(cell.passes for cell in cells), sum(cell.value for cell in cells)

    difficulty = max(found, key=answered)  # the first of several, so the hardest
    return Chosen(difficulty, _note(difficulty, found[difficulty]))


def _note(difficulty: Difficulty, found: Sequence[Competence]) -> str:
    passed = sum(cell.passes for cell in found)
    what = "the hardest setting" if passed == len(found) else "no setting passes in all; one"
    return (
        f"difficulty {difficulty}: {what} with {passed} of {len(found)} cells above the gate of "
        f"{GATE:.2f} on discovery items (accuracy corrected for chance: "
        f"{', '.join(map(str, found))})"
    )


def competence(subject: Subject, difficulty: Difficulty, seed: int) -> tuple[Competence, ...]:
    """Competence in the cells that are demonstrated, on discovery items of all relations."""
    both = draw_cells("cells", 2 * ITEMS, seed, difficulty)
    prompts = both.where(
        lambda item: item.split == DISCOVERY and item.task in DEMONSTRATED,
        name=f"{both.name}, {DISCOVERY}",
    )
    correct = subject.answers(prompts).correct
    tasks = np.array([item.task for item in prompts.items])
    chance = 1 / difficulty.chains
    found = []
    for cell in DEMONSTRATED:
        hits = correct[tasks == cell]
        right, n = int(hits.sum()), len(hits)
        low, high = stats.binomial_interval(right, n)
        found.append(
            Competence(cell, *((share - chance) / (1 - chance) for share in (right / n, low, high)))
        )
    return tuple(found)
