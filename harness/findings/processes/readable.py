"""At which layer the words of a two-step question become readable at the last token.

A word is read by the logit lens. It is compared with the words in its place in chains of the same
story that no question is about, once in the prompt that needs it and once in the prompt of the
same story that asks the other question. What the second one shows too is owed to the word, to its
place and to its standing in the story; the rest, *readability*, is owed to what is asked.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from harness.findings.processes.kinds import cell_of
from harness.materials.chains import Chain, chains_told
from harness.materials.difficulty import Difficulty
from harness.materials.items import DISCOVERY, EVALUATION, Item, PromptSet
from harness.study.study import Study

if TYPE_CHECKING:
    from harness.adapter import Model

BRIDGE, ANSWER, ONE_STEP, BESIDE = "bridge", "answer", "answer of one step", "name beside"
WORDS = (BRIDGE, ANSWER, ONE_STEP, BESIDE)
LENS_VERSION = 1  # raise it when what is stored changes its meaning

Curves = Float[np.ndarray, "relation layer"]


@dataclass(frozen=True, slots=True)
class Readings:
    """How readable each word is, story by story.

    The bridge is the name that the first step of a reasoning question leads to. The name beside is
    told in one sentence with the name that a lookup question is about, and not needed there.

    Attributes:
        excess: Share of comparisons won where the word is needed, less that where it is not; from
            -1 to 1, and 0 by chance. The words are `WORDS`.
        relation, split: Of each story.
    """

    excess: Float[np.ndarray, "story word layer"]
    relation: Shaped[np.ndarray, " story"]
    split: Shaped[np.ndarray, " story"]

    @property
    def relations(self) -> tuple[str, ...]:
        """Those that have stories in both splits."""
        halves = [set(self.relation[self.split == s].tolist()) for s in (DISCOVERY, EVALUATION)]
        return tuple(sorted(set.intersection(*halves)))

    def of(self, word: str, split: str) -> Float[np.ndarray, "story layer"]:
        """Of one word in the stories of a split."""
        return self.excess[self.split == split, WORDS.index(word)]

    def curves(self, word: str, split: str = EVALUATION) -> Curves:
        """Of one word, means over the stories of each relation."""
        rows, relation = self.of(word, split), self.relation[self.split == split]
        return np.array([rows[relation == name].mean(0) for name in self.relations])

    def best(self, word: str) -> int:
        """The layer at which a word is most readable on discovery entities."""
        return int(self.curves(word, DISCOVERY).mean(0).argmax())


@dataclass(frozen=True, slots=True)
class Two:
    """The two prompts of a story, as rows of a set: what one needs, the other does not."""

    reasoning: int
    lookup: int


def answered_stories(study: Study, prompts: PromptSet) -> list[Two]:
    """Stories of which both questions are answered right; of crossed prompts, for each order."""
    found: dict[str, dict[str, int]] = {}
    correct = study.subject.answers(prompts).correct == 1
    for row, (item, right) in enumerate(zip(prompts.items, correct, strict=True)):
        if right:
            found.setdefault(_story(item), {})[cell_of(item)] = row
    return [Two(**rows) for rows in found.values() if rows.keys() == {"reasoning", "lookup"}]


def _story(item: Item) -> str:
    """What the two prompts share of their ids: all but the label, or the question."""
    return item.id[:-1] if item.label else item.id.rpartition("-")[0]


def two_cells(prompts: PromptSet) -> PromptSet:
    """The prompts that ask for one or more steps in the story."""
    return prompts.where(
        lambda item: cell_of(item) in ("reasoning", "lookup"), f"{prompts.name}, told steps"
    )


def readings(
    study: Study,
    prompts: PromptSet,
    difficulty: Difficulty,
    stories: Sequence[Two],
    twin: int | None = None,
) -> Readings:
    """Read every word of some stories, from the model or from an untrained twin.

    Args:
        study: The model.
        prompts: With two prompts of each story.
        difficulty: Of the stories, which tell three chains or more.
        stories: Which.
        twin: Seed of the twin that is read in the model's place.
    """
    chains = [chains_told(item, difficulty) for item in prompts.items]
    logits = _logits(study, prompts, chains, twin)
    made = []
    for two in stories:
        rows = (two.reasoning, two.lookup)
        asked = [_asked(prompts.items[row], chains[row]) for row in rows]
        rest = [c for c in range(difficulty.chains) if c not in asked]
        composed, looked = (_won(logits[list(rows)], own, rest) for own in asked)
        steps = composed.shape[1] - 1
        first, one_step = composed[0] - composed[1], looked[1] - looked[0]
        made.append([first[steps - 1], first[0], one_step[0], one_step[2]])
    items = [prompts.items[two.reasoning] for two in stories]
    return Readings(
        np.array(made).reshape(-1, len(WORDS), logits.shape[1]),  # there may be no stories
        np.array([item.relation for item in items]),
        np.array([item.split for item in items]),
    )


def _asked(item: Item, chains: Sequence[Chain]) -> int:
    return [chain.answer for chain in chains].index(item.answer)


def _won(
    logits: Float[np.ndarray, "two layer chain level"], own: int, rest: Sequence[int]
) -> Float[np.ndarray, "two level layer"]:
    """Share of the other chains whose word has a lower logit; one half where they are equal."""
    over = np.sign(logits[:, :, [own]] - logits[:, :, list(rest)])
    return np.asarray((0.5 + over / 2).mean(2).transpose(0, 2, 1))


def _logits(
    study: Study, prompts: PromptSet, chains: Sequence[Sequence[Chain]], twin: int | None
) -> Float[np.ndarray, "prompt layer chain level"]:
    """Of every word that a story tells, by chain: its answer, then its names; from the store."""
    told = [[w for chain in each for w in (chain.answer, *chain.names)] for each in chains]
    words = {item.id: row for item, row in zip(prompts.items, told, strict=True)}
    at = {item.id: row for row, item in enumerate(prompts.items)}

    def measure(model: "Model", items: tuple[Item, ...]) -> dict[str, np.ndarray]:
        from harness.adapter.lens import lens  # noqa: PLC0415 - torch and nnsight load here

        resid = study.subject.activations(prompts, twin=twin).resid[[at[item.id] for item in items]]
        return {"logits": lens(model, items, resid, [words[item.id] for item in items])}

    what = {
        "kind": "words in the stream",
        "version": LENS_VERSION,
        "words": hashlib.sha256(repr(told).encode()).hexdigest(),
        "twin": twin,
    }
    found = study.subject.fetch(what, prompts, measure, twin)["logits"]
    return found.reshape(*found.shape[:2], len(chains[0]), -1)


def onset(curve: Float[np.ndarray, " layer"]) -> float:
    """The depth at which a word becomes readable, as a share of the layers; above 1 if it never is.

    Half of the largest readability is passed there, on the way to it: sought back from the layer
    where it is largest, so that noise in layers before is no onset, and with straight lines between
    layers. Before the first layer readability is 0.
    """
    layers, peak = len(curve), int(curve.argmax())
    half = curve[peak] / 2
    if half <= 0:
        return (layers + 1) / layers
    low = next((at for at in range(peak - 1, -1, -1) if curve[at] < half), -1)
    below = curve[low] if low >= 0 else 0.0
    return float(low + 1 + (half - below) / (curve[low + 1] - below)) / layers
