"""At which layer the words of a two-step question become readable at the last token.

A word is compared with the words in its place in chains of the same story that no question is
about, once in the prompt that needs it and once in the prompt of the same story that asks the
other question. What the second one shows too is owed to the word, to its place and to its standing
in the story; the rest, *readability*, is owed to what is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped

from harness.findings.processes.kinds import cell_of
from harness.materials.chains import Chain, chains_told
from harness.materials.difficulty import Difficulty
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.study.study import Study

BRIDGE, ANSWER, ONE_STEP, BESIDE = "bridge", "answer", "answer of one step", "name beside"
WORDS = (BRIDGE, ANSWER, ONE_STEP, BESIDE)
CELLS = ("reasoning", "lookup")
DIP = 1 / 8  # of the layers

Curves = Float[np.ndarray, "relation layer"]


@dataclass(frozen=True)
class Stories:
    """Stories of which both questions are answered right, and where their words are told.

    Attributes:
        study: The model.
        prompts: With two prompts of each story; crossed ones, of each order.
        difficulty: Of the stories.
        rows: Of the two prompts, in the order of `CELLS`.
        twin: Seed of the untrained twin that is read in the model's place.
    """

    study: Study
    prompts: PromptSet
    difficulty: Difficulty
    rows: Int[np.ndarray, "story cell"]
    twin: int | None = None

    @classmethod
    def answered(cls, study: Study, prompts: PromptSet, difficulty: Difficulty) -> "Stories":
        """Those of some prompts; prompts of other cells are left out."""
        if {cell_of(item) for item in prompts.items} != {*CELLS}:
            name = f"{prompts.name}, steps told"
            prompts = prompts.where(lambda item: cell_of(item) in CELLS, name)
        found: dict[str, dict[str, int]] = {}
        correct = study.subject.answers(prompts).correct == 1
        for row, (item, right) in enumerate(zip(prompts.items, correct, strict=True)):
            if right:
                found.setdefault(_story(item), {})[cell_of(item)] = row
        rows = [[two[cell] for cell in CELLS] for two in found.values() if len(two) == len(CELLS)]
        return cls(study, prompts, difficulty, np.array(rows, dtype=int).reshape(-1, len(CELLS)))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def chains(self) -> list[tuple[Chain, ...]]:
        """Of each prompt's story."""
        return [chains_told(item, self.difficulty) for item in self.prompts.items]

    @cached_property
    def words(self) -> list[list[str]]:
        """What each prompt's story tells: the answer of each chain, then its names."""
        return [[w for chain in told for w in (chain.answer, *chain.names)] for told in self.chains]

    @cached_property
    def asked(self) -> Int[np.ndarray, "story cell"]:
        """Number of the chain that each prompt asks about."""

        def chain(row: int) -> int:
            return [told.answer for told in self.chains[row]].index(self.prompts.items[row].answer)

        return np.array([[chain(row) for row in two] for two in self.rows], dtype=int)

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Of each word: its place in its chain, from the answer on, and the cell it belongs to.

        A reasoning question is about the last name of its chain: the bridge is the one that this
        leads to. A lookup is about the first: the name beside is told in one sentence with it, and
        not needed.
        """
        return ((self.difficulty.steps - 1, 0), (0, 0), (0, 1), (2, 1))

    @property
    def relation(self) -> Shaped[np.ndarray, " story"]:
        """Of each story."""
        return np.array([self.prompts.items[row].relation for row in self.rows[:, 0]])

    @property
    def split(self) -> Shaped[np.ndarray, " story"]:
        """Of each story."""
        return np.array([self.prompts.items[row].split for row in self.rows[:, 0]])

    @property
    def relations(self) -> tuple[str, ...]:
        """Those that have stories in both splits."""
        return in_both(self.relation, self.split)


def in_both(
    relation: Shaped[np.ndarray, " story"], split: Shaped[np.ndarray, " story"]
) -> tuple[str, ...]:
    """Relations that have stories in both splits."""
    halves = [set(relation[split == half].tolist()) for half in (DISCOVERY, EVALUATION)]
    return tuple(sorted(set.intersection(*halves)))


# How high each chain's word stands in the prompt that needs the word, and in the other one.
Scores = Float[np.ndarray, "story word two layer chain"]
Reader = Callable[[Stories], Scores]


@dataclass(frozen=True, slots=True)
class Readings:
    """How readable each word is, story by story.

    Attributes:
        reader: Of the words.
        won: Share of comparisons won in the prompt that needs the word, and in the other one; one
            half by chance. The words are `WORDS`.
        relation, split: Of each story.
    """

    reader: Reader
    won: Float[np.ndarray, "story word two layer"]
    relation: Shaped[np.ndarray, " story"]
    split: Shaped[np.ndarray, " story"]

    @classmethod
    def by(cls, reader: Reader, stories: Stories) -> "Readings":
        """As a reader has them."""
        scores = reader(stories)
        won = np.zeros(scores.shape[:-1])
        for story, asked in enumerate(stories.asked):
            rest = [c for c in range(stories.difficulty.chains) if c not in asked]
            for word, (_, cell) in enumerate(stories.places):
                each = scores[story, word]
                won[story, word] = _won(each[..., asked[cell]], each[..., rest])
        return cls(reader, won, stories.relation, stories.split)

    @property
    def relations(self) -> tuple[str, ...]:
        """Those that have stories in both splits."""
        return in_both(self.relation, self.split)

    def of(self, word: str, split: str) -> Float[np.ndarray, "story layer"]:
        """Readability of one word in the stories of a split: -1 to 1, 0 by chance."""
        needed, not_needed = self.won[self.split == split, WORDS.index(word)].swapaxes(0, 1)
        return np.asarray(needed - not_needed)

    def won_where_asked(self, word: str, split: str) -> Float[np.ndarray, "story layer"]:
        """Share of comparisons that one word wins in its own prompt."""
        return np.asarray(self.won[self.split == split, WORDS.index(word), 0])

    def curves(self, word: str, split: str = EVALUATION) -> Curves:
        """Of one word, means over the stories of each relation."""
        rows, relation = self.of(word, split), self.relation[self.split == split]
        return np.array([rows[relation == name].mean(0) for name in self.relations])

    def selecting(self, word: str) -> Float[np.ndarray, " layer"]:
        """Of one word on discovery entities, the mean over relations."""
        return np.asarray(self.curves(word, DISCOVERY).mean(0))

    def best(self, word: str) -> int:
        """The layer at which a word is most readable on discovery entities."""
        return int(self.selecting(word).argmax())


def _story(item: Item) -> str:
    """What the two prompts share of their ids: all but the label, or the question."""
    return item.id[:-1] if item.label else item.id.rpartition("-")[0]


def _won(
    own: Float[np.ndarray, "two layer"], rest: Float[np.ndarray, "two layer chain"]
) -> Float[np.ndarray, "two layer"]:
    """Share of the others that a word stands above; one half where they are equal."""
    return np.asarray((0.5 + np.sign(own[..., None] - rest) / 2).mean(-1))


def most_readable(each: Sequence[Readings], word: str) -> Readings:
    """By the reader that reads a word best on discovery entities."""
    return max(each, key=lambda read: float(read.selecting(word).max()))


def onset(curve: Float[np.ndarray, " layer"]) -> float:
    """The depth at which a word becomes readable, as a share of the layers; above 1 if it never is.

    Half of the largest readability is passed there, on the way to it: sought back from the layer
    where it is largest, so that noise in layers before is no onset, with straight lines between
    layers. A dip below half that is no longer than `DIP` of the layers is noise too. Before the
    first layer readability is 0.
    """
    layers, peak = len(curve), int(curve.argmax())
    half, dip = curve[peak] / 2, int(DIP * layers)
    if half <= 0:
        return (layers + 1) / layers
    low = peak - 1
    while low >= 0 and (curve[max(low - dip, 0) : low + 1] >= half).any():
        low -= 1
    before = curve[low] if low >= 0 else 0.0
    return float(low + 1 + (half - before) / (curve[low + 1] - before)) / layers
