"""The setting of the cells that suits a model: names by its tokenizer, the rest by competence."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from harness import stats
from harness.materials.cell_sets import draw_cells
from harness.materials.cells import DEMONSTRATED
from harness.materials.difficulty import SHUFFLED, TOLD, Difficulty
from harness.materials.items import DISCOVERY, Item, PromptSet
from harness.materials.relations import MADE_UP, MATCHED, load_relations
from harness.study.subject import Subject

ITEMS = 30  # of each cell
PARTS = 3  # of the items, after each of which a setting may be left
GATE = 0.40  # of what chance leaves
ACCURACY = 0.60  # what claims ask of each cell: more than `GATE` where four answers are told
LEAST_CHAINS = 3  # where words of one chain are compared with those of others
# Gates of claims on the cells, as verdicts name them: what is not told in order and tells enough
# chains; that enough items are answered right to judge circuits on; that a cell is answered. And
# that crossed prompts are.
ORDER, CHAINS, RIGHT, CROSSED = "order", "chains", "items", "crossed"
GATES = (ORDER, CHAINS, RIGHT, *DEMONSTRATED)
LEAST_RIGHT = 24  # of a cell
ROUNDING = 1e-9  # 21 of 30 where two answers are told is .40, not less
# Hardest first: (order, chains). Shots are as many as chains. Stories told in order come last:
# copying is enough there, so that nothing can be said of composing.
SETTINGS = (*((SHUFFLED, n) for n in (4, 3, 2)), *((TOLD, n) for n in (4, 3, 2)))


@dataclass(frozen=True, slots=True)
class Asked:
    """The difficulty that a run asks for; None is left to the model's competence."""

    shots: int | None = None
    chains: int | None = None
    order: str | None = None
    steps: int = 2
    names: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether something of it is left to the model."""
        return self.names is None or len(self.settings()) > 1

    def allows(self, difficulty: Difficulty) -> bool:
        """Whether it leaves room for this setting."""
        names = self.names or difficulty.names
        return difficulty in (replace(setting, names=names) for setting in self.settings())

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
            Difficulty(
                chains if self.shots is None else self.shots,
                chains,
                order,
                self.steps,
                self.names or MADE_UP,
            )
            for order, chains in pairs
        )


@dataclass(frozen=True, slots=True)
class Competence:
    """Accuracy in a cell less what guessing gives: 0 is chance, 1 is no error.

    Attributes:
        low: Of its exact 95 % interval.
        high: The same.
        accuracy: As it is.
        most: Highest accuracy of that interval.
    """

    cell: str
    value: float
    low: float
    high: float
    accuracy: float
    most: float

    @property
    def passes(self) -> bool:
        """Whether the cell is answered."""
        enough = self.value > GATE - ROUNDING and self.accuracy > ACCURACY - ROUNDING
        return enough and self.low > 0

    def __str__(self) -> str:
        return f"{self.cell} {self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The setting that was chosen, and why, as sentences.

    Attributes:
        cells: Competence there, where it was measured.
    """

    difficulty: Difficulty
    notes: tuple[str, ...]
    cells: tuple[Competence, ...] = ()

    def gates(self, items: int) -> dict[str, bool]:
        """Whether gates of the cells will be met, by name, for all that is known by now.

        Answers are said to be too few only where the highest accuracy of an interval is too low.

        Args:
            items: Asked of each cell; circuits are judged on a quarter of them.
        """
        told, enough = self.difficulty.order == TOLD, self.difficulty.chains >= LEAST_CHAINS
        right = min((c.most for c in self.cells), default=1.0) * items / 4
        expected = {ORDER: not told, CHAINS: enough, RIGHT: right >= LEAST_RIGHT}
        return expected | {c.cell: c.passes for c in self.cells}


def choose_difficulty(subject: Subject, asked: Asked, seed: int) -> Chosen:
    """The hardest setting at which recall, lookup and reasoning pass the gate.

    If none is, the one at which most of the three pass, and of those the one that is answered
    best: the claims' own gates then say which cells are not answered. A setting is left as soon
    as a cell cannot pass any more; only if none passes is the rest of each asked too.
    """
    notes: tuple[str, ...] = ()
    if asked.names is None:
        names, why = choose_names(subject)
        asked, notes = replace(asked, names=names), (why,) if names == MATCHED else ()
    settings = asked.settings()
    if len(settings) == 1:
        return Chosen(settings[0], notes)
    found: dict[Difficulty, tuple[Competence, ...]] = {}
    for difficulty in settings:
        found[difficulty] = competence(subject, difficulty, seed)
        if all(cell.passes for cell in found[difficulty]):
            return _chosen(difficulty, found[difficulty], notes)

    found = {difficulty: competence(subject, difficulty, seed, whole=True) for difficulty in found}

    def answered(difficulty: Difficulty) -> tuple[int, float]:
        cells = found[difficulty]
        return sum(cell.passes for cell in cells), sum(cell.value for cell in cells)

    difficulty = max(found, key=answered)  # the first of several, so the hardest
    return _chosen(difficulty, found[difficulty], notes)


def _chosen(
    difficulty: Difficulty, cells: tuple[Competence, ...], notes: tuple[str, ...]
) -> Chosen:
    return Chosen(difficulty, (_note(difficulty, cells), *notes), cells)


def choose_names(subject: Subject) -> tuple[str, str]:
    """The invented names that are cut into as many pieces as known entities, and why.

    Made-up ones where they are no further off than the matched ones: a tokenizer of words cuts
    nothing.
    """
    off = {names: pieces_off(subject, names) for names in (MADE_UP, MATCHED)}
    names = MATCHED if off[MATCHED] < off[MADE_UP] else MADE_UP
    return names, (
        f"names {names}: the tokenizer cuts made-up names into {off[MADE_UP]:.2f} pieces more or "
        f"less than known entities, matched names into {off[MATCHED]:.2f}"
    )


def pieces_off(subject: Subject, names: str) -> float:
    """Pieces by which invented entities differ from known ones, a mean over relations."""
    relations = load_relations(names=names)
    words = sorted({word for r in relations for word in (*r.facts, *r.names)})
    pieces = dict(zip(words, subject.pieces(words), strict=True))
    off = []
    for relation in relations:
        known, invented = ([pieces[w] for w in some] for some in (relation.facts, relation.names))
        off.append(abs(float(np.mean(invented) - np.mean(known))))
    return float(np.mean(off))


def _note(difficulty: Difficulty, found: Sequence[Competence]) -> str:
    passed = sum(cell.passes for cell in found)
    what = "the hardest setting" if passed == len(found) else "no setting passes in all; one"
    return (
        f"difficulty {difficulty}: {what} with {passed} of {len(found)} cells above the gates of "
        f"{GATE:.2f} (accuracy corrected for chance) and {ACCURACY:.2f} (accuracy) on discovery "
        f"items (corrected: {', '.join(map(str, found))})"
    )


def competence(
    subject: Subject, difficulty: Difficulty, seed: int, *, whole: bool = False
) -> tuple[Competence, ...]:
    """Competence in the cells that are demonstrated, on discovery items of all relations.

    Stories are asked a third at a time, all cells of a story together; unless all are wanted, until
    a cell is so poorly answered that its interval lies below the gate.
    """
    both = draw_cells("cells", 2 * ITEMS, seed, difficulty)
    prompts = both.where(lambda item: item.split == DISCOVERY and item.task in DEMONSTRATED)
    right = dict.fromkeys(DEMONSTRATED, 0)
    asked = dict.fromkeys(DEMONSTRATED, 0)
    found: tuple[Competence, ...] = ()
    for number, part in enumerate(_in_parts(prompts), start=1):
        some = replace(part, name=f"{both.name}, {DISCOVERY}, part {number} of {PARTS}")
        for item, hit in zip(some.items, subject.answers(some).correct, strict=True):
            right[item.task] += int(hit)
            asked[item.task] += 1
        found = tuple(
            _competence(cell, right[cell], asked[cell], difficulty.chains) for cell in DEMONSTRATED
        )
        if not whole and any(cell.high < GATE for cell in found):
            break
    return found


def _in_parts(prompts: PromptSet) -> list[PromptSet]:
    """A third of the blocks at a time: over a block answers are balanced."""
    parts = np.array_split(np.array(prompts.pairs), PARTS)
    return [prompts.where(partial(_is_of, set(part))) for part in parts if len(part)]


def _is_of(pairs: Collection[str], item: Item) -> bool:
    return item.pair in pairs


def _competence(cell: str, right: int, n: int, chains: int) -> Competence:
    low, most = stats.binomial_interval(right, n)
    chance = 1 / chains
    value, low, high = ((share - chance) / (1 - chance) for share in (right / n, low, most))
    return Competence(cell, value, low, high, right / n, most)
