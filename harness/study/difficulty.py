"""The setting of the cells that suits a model: names by its tokenizer, the rest by competence."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from harness import stats
from harness.materials.cell_sets import OF_PROCESSES, draw_cells
from harness.materials.cells import DEMONSTRATED
from harness.materials.difficulty import SHUFFLED, TOLD, Difficulty
from harness.materials.items import DISCOVERY, Item, PromptSet
from harness.materials.relations import MADE_UP, MATCHED, load_relations
from harness.study.subject import Subject

LOOKS = (15, 30, 60, 120)  # items of each cell that are asked until it is known what counts
GATE = 0.40  # of what chance leaves
ACCURACY = 0.60  # what claims ask of each cell: more than `GATE` where four answers are told
LEAST_CHAINS = 3  # where words of one chain are compared with those of others
# Gates of claims on the cells, as verdicts name them: what is not told in order and tells enough
# chains; that enough items are answered right to judge circuits on; that a cell is answered. And
# that crossed prompts are.
ORDER, CHAINS, RIGHT, CROSSED = "order", "chains", "items", "crossed"
GATES = (ORDER, CHAINS, RIGHT, *DEMONSTRATED)
LEAST_RIGHT = 24  # of a cell
RETRIEVAL = OF_PROCESSES[0]
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
    """Answers in a cell.

    Attributes:
        right: Answers that are right.
        asked: Of so many.
        chance: Accuracy of guessing.
    """

    cell: str
    right: int
    asked: int
    chance: float

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's exact 95 % interval."""
        return stats.binomial_interval(self.right, self.asked)

    @property
    def needed(self) -> float:
        """The accuracy of a setting that is taken before easier ones are asked."""
        return max(ACCURACY, self.chance + GATE * (1 - self.chance))

    def passes(self, needed: float) -> bool:
        """Whether the accuracy is as high, and surely above guessing."""
        return self.accuracy > needed - ROUNDING and self.interval[0] > self.chance

    def surely(self, needed: float) -> bool | None:
        """Whether the accuracy is as high; None where its interval includes what is needed."""
        low, high = self.interval
        return True if low > needed - ROUNDING else False if high < needed else None

    def __str__(self) -> str:
        value, low, high = (
            (share - self.chance) / (1 - self.chance) for share in (self.accuracy, *self.interval)
        )
        return f"{self.cell} {value:.2f} [{low:.2f}, {high:.2f}]"


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
        right = min((c.interval[1] for c in self.cells), default=1.0) * items / 4
        expected = {ORDER: not told, CHAINS: enough, RIGHT: right >= LEAST_RIGHT}
        return expected | {c.cell: c.passes(ACCURACY) for c in self.cells}


def choose_difficulty(subject: Subject, asked: Asked, seed: int) -> Chosen:
    """The hardest setting at which recall, lookup and reasoning pass the gate.

    If none is, the hardest of those that surely let most processes be judged: the cells that differ
    in a process are answered as claims ask. If none surely does, the one whose poorest cell of
    retrieval is answered best. So cells that no claim can use there, as reasoning in stories told
    in order, do not count, and the choice does not hang on one answer.
    """
    notes: tuple[str, ...] = ()
    if asked.names is None:
        names, why = choose_names(subject)
        asked, notes = replace(asked, names=names), (why,) if names == MATCHED else ()
    settings = asked.settings()
    if len(settings) == 1:
        return Chosen(settings[0], notes)
    for difficulty in settings:
        cells = competence(subject, difficulty, seed, _is_known)
        if all(cell.passes(cell.needed) for cell in cells):
            return _chosen(difficulty, cells, "the hardest setting that is answered", notes)

    found = {
        difficulty: competence(subject, difficulty, seed, partial(_are_known, difficulty))
        for difficulty in settings
    }

    def answered(difficulty: Difficulty) -> tuple[int, float]:
        cells = found[difficulty]
        sure = sum(known is True for known in _processes(difficulty, cells))
        of_retrieval = min(cell.accuracy for cell in cells if cell.cell in RETRIEVAL)
        return sure, 0.0 if sure else of_retrieval

    difficulty = max(found, key=answered)  # the first of several, so the hardest
    sure, _ = answered(difficulty)
    what = f"no setting passes in all cells; of {len(found)} the "
    what += "hardest that lets most processes be judged" if sure else "best in recall and lookup"
    return _chosen(difficulty, found[difficulty], what, notes)


def _is_known(cells: Sequence[Competence]) -> bool:
    """Whether one cell surely fails, or all surely pass."""
    known = [cell.surely(cell.needed) for cell in cells]
    return False in known or None not in known


def _are_known(difficulty: Difficulty, cells: Sequence[Competence]) -> bool:
    """Whether it is known of each process if it can be judged."""
    return None not in _processes(difficulty, cells)


def _processes(difficulty: Difficulty, cells: Sequence[Competence]) -> list[bool | None]:
    """Whether each process that stories told so can show is answered as claims ask."""
    known = {cell.cell: cell.surely(ACCURACY) for cell in cells}
    shown = OF_PROCESSES if difficulty.order == SHUFFLED else (RETRIEVAL,)
    both = [[known[cell] for cell in pair] for pair in shown]
    return [False if False in pair else None if None in pair else True for pair in both]


def _chosen(
    difficulty: Difficulty, cells: tuple[Competence, ...], what: str, notes: tuple[str, ...]
) -> Chosen:
    note = (
        f"difficulty {difficulty}: {what}, by discovery items (gate {GATE:.2f} of accuracy "
        f"corrected for chance, {ACCURACY:.2f} of accuracy; corrected: "
        f"{', '.join(f'{cell} of {cell.asked}' for cell in cells)})"
    )
    return Chosen(difficulty, (note, *notes), cells)


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


def competence(
    subject: Subject,
    difficulty: Difficulty,
    seed: int,
    is_known: Callable[[Sequence[Competence]], bool],
) -> tuple[Competence, ...]:
    """Competence in the cells that are demonstrated, on discovery items of all relations.

    Few items are asked first, then twice as many, and on, until what counts is known; all cells of
    a story together.
    """
    both = draw_cells("cells", 2 * LOOKS[-1], seed, difficulty)
    prompts = both.where(lambda item: item.split == DISCOVERY and item.task in DEMONSTRATED)
    right, asked = Counter[str](), Counter[str]()
    found: tuple[Competence, ...] = ()
    for number, part in enumerate(_in_parts(prompts), start=1):
        some = replace(part, name=f"{both.name}, {DISCOVERY}, part {number} of {len(LOOKS)}")
        for item, hit in zip(some.items, subject.answers(some).correct, strict=True):
            right[item.task] += int(hit)
            asked[item.task] += 1
        found = tuple(
            Competence(cell, right[cell], asked[cell], 1 / difficulty.chains)
            for cell in DEMONSTRATED
        )
        if is_known(found):
            break
    return found


def _in_parts(prompts: PromptSet) -> list[PromptSet]:
    """Blocks until each look has its items: over a block answers are balanced."""
    pairs = np.array(prompts.pairs)
    ends = [round(len(pairs) * items / LOOKS[-1]) for items in LOOKS[:-1]]
    parts = np.split(pairs, ends)
    return [prompts.where(partial(_is_of, set(part))) for part in parts if len(part)]


def _is_of(pairs: Collection[str], item: Item) -> bool:
    return item.pair in pairs
