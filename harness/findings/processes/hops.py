"""h12: the depths at which words of a question of several steps become readable, and their order.

Nothing is edited: only readings at the last token are compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.processes.kinds import COMPOSING
from harness.findings.processes.materials import (
    LEAST_RELATIONS,
    asked_first,
    design_gates,
    order_gate,
)
from harness.findings.processes.readable import (
    ANSWER,
    BRIDGE,
    Curves,
    Reader,
    Readings,
    Stories,
    most_readable,
    onset,
)
from harness.findings.processes.readers import by_fitted_map, by_lens
from harness.findings.processes.selected import interval_over_relations
from harness.findings.requirements import beyond_same_process, interval
from harness.materials.cell_sets import whole_cells
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.samples import by_sample
from harness.verdicts.severity import Severity

READERS: dict[Reader, str] = {
    by_lens: "the logit lens",
    by_fitted_map: "a map fitted on other relations",
}
LEAST_CHAINS = 3  # two are asked about, and another one has the words to compare with
UNIT = "share of the layers"


@dataclass(frozen=True, slots=True)
class HopRule:
    """When words count as readable in an order.

    Attributes:
        needed: By how much more of its comparisons a word wins where it is needed, at least. An
            answer that does not has no depth, and its order is undecided.
        least: Difference of depths, as a share of the layers, at least.
        halves: Pairs of random halves of the relations, of each word.
        gate: Least accuracy in lookup and in reasoning.
    """

    needed: float
    least: float
    halves: int
    gate: float


@dataclass(frozen=True, slots=True)
class Read:
    """What was read in which stories.

    Attributes:
        each: By each reader.
        names: By the reader that reads the bridge best on discovery entities.
        gates: Those that were met.
    """

    study: Study
    rule: HopRule
    stories: Stories
    each: tuple[Readings, ...]
    names: Readings
    gates: tuple[Gate, ...] = ()

    @classmethod
    def of(
        cls, study: Study, rule: HopRule, stories: Stories, gates: tuple[Gate, ...] = ()
    ) -> "Read":
        """By every reader."""
        each = tuple(Readings.by(reader, stories) for reader in READERS)
        return cls(study, rule, stories, each, most_readable(each, BRIDGE), gates)

    def earliest(self, word: str) -> Readings:
        """By the reader that reads a word at the least depth on discovery entities.

        A reader counts if it reads the word there where it is needed; if none does, the one that
        reads it best is taken.
        """
        able = [found for found in self.each if where_needed(self, found, word, DISCOVERY).passed]
        return min(
            able or [most_readable(self.each, word)],
            key=lambda found: onset(found.selecting(word)),
        )

    def curves(self, word: str) -> Curves:
        """Of one word: the answer of reasoning by the reader that finds it first."""
        return (self.earliest(ANSWER) if word == ANSWER else self.names).curves(word)

    @property
    def note(self) -> str:
        """How much there was to read, and how it was read."""
        answers = READERS[self.earliest(ANSWER).reader]
        return (
            f"words were read at the last token by {READERS[self.names.reader]}, the answer of "
            f"reasoning by {answers}, in {len(self.stories)} stories of "
            f"{self.stories.prompts.name} of which both questions are answered right"
        )


def measured(study: Study, rule: HopRule) -> Read:
    """The words of both questions of every story, behind the gates.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    whole = whole_cells(study.prompts.name)
    chains = whole[1].chains if whole else 0
    reason = (
        f"{study.prompts.name} tells {chains or 'no'} chains of names that can be read back, and "
        f"{LEAST_CHAINS} are needed"
    )
    unmet = (
        ": words are compared with those of a chain that no question is about; take the set cells "
        f"with --chains {LEAST_CHAINS}"
    )
    gates = require(Gate.of("chains", chains >= LEAST_CHAINS, reason, unmet=unmet))
    gates += require(
        *design_gates(study.prompts, COMPOSING.cells), *order_gate(study.prompts, COMPOSING)
    )
    gates += require(*asked_first(study, COMPOSING.cells, rule.gate))
    assert whole is not None
    stories = Stories.answered(study, study.prompts, whole[1])
    gates += require(relations_gate(stories))
    return Read.of(study, rule, stories, gates)


def relations_gate(stories: Stories) -> Gate:
    """Whether there are relations enough with stories in both halves of the entities."""
    found = len(stories.relations)
    reason = (
        f"in {found} relations of {stories.prompts.name} both questions of a story are answered "
        f"right in both halves of the entities; {LEAST_RELATIONS} are needed"
    )
    return Gate("relations read", found >= LEAST_RELATIONS, reason)


def where_needed(read: Read, found: Readings, word: str, split: str = EVALUATION) -> Evidence:
    """A word where the question needs it, against where it does not."""
    layer = found.best(word)
    return comparisons_won(
        read,
        found,
        f"readability of the {word} where it is needed",
        found.of(word, split)[:, layer],
        "more comparisons won, with words in its place in chains that are not asked about, than in "
        f"the prompt of the same story that asks something else; layer {layer}, selected on "
        "discovery; bootstrap of relations",
        key="needed",
        split=split,
    )


def comparisons_won(
    read: Read,
    found: Readings,
    name: str,
    values: Float[np.ndarray, " story"],
    method: str,
    *,
    key: str,
    split: str = EVALUATION,
) -> Evidence:
    """A share of comparisons in the stories of a split, against the bar."""
    within = interval(values, read.study, found.relation[found.split == split])
    return Evidence(
        name,
        Effect("share of comparisons", float(values.mean()), within, method=method),
        threshold=read.rule.needed,
        relation=">=",
        n=len(found.relations),
        key=key,
    )


def answer_gate(read: Read, word: str, called: str) -> Gate:
    """Whether any reader reads an answer: what is never readable has no depth."""
    row = where_needed(read, read.earliest(word), word)
    reason = f"{row.explain()}: the {called} must be readable to have a depth"
    return Gate(f"{called} read", row.passed, reason)


def in_order(read: Read, name: str, curves: dict[str, Curves], earliest: Curves) -> Finding:
    """Whether the second word is readable deeper than the first, and than itself elsewhere.

    Args:
        read: What was read.
        name: Of the evidence.
        curves: Of the two words, by name.
        earliest: Of the first word, by the reader that finds it at the least depth.
    """
    rule, relations = read.rule, read.names.relations
    later = deeper(read, name, curves, earliest, relations, key="order")
    same = np.array([*_same_word(curves, rule.halves, read.study.plan.seed)])
    beyond = beyond_same_process(
        "the same, further apart than one word in other questions",
        Effect(UNIT, later.effect.value, later.effect.interval),
        same,
        "pairs of depths of one word, each in another half of the relations",
        key="beyond",
    )
    alike = (same >= rule.least) & (same > np.float64(beyond.threshold))
    early, late = (np.array([onset(row) for row in each]) for each in curves.values())
    samples = {name: by_sample(relations, late - early)}
    return Finding((later, beyond), samples=samples, severity=Severity.of(alike))


def deeper(
    read: Read,
    name: str,
    curves: dict[str, Curves],
    earliest: Curves,
    relations: tuple[str, ...],
    *,
    key: str,
) -> Evidence:
    """By how much deeper the second of two words is readable than the first.

    The second is read by the reader that finds it first, which may find the first word earlier
    too: the interval spans both of its depths, so that such an order is not refuted.
    """
    early, late = curves.values()
    value, (low, high) = _apart(read, early, late, relations)
    _, (lowest, highest) = _apart(read, earliest, late, relations)
    depths = (f"{word} {onset(each.mean(0)):.2f}" for word, each in curves.items())
    return Evidence(
        name,
        Effect(
            UNIT,
            value,
            (float(np.minimum(low, lowest)), float(np.maximum(high, highest))),
            method=f"{' and '.join(depths)}: where half of the largest readability is passed, "
            "on evaluation entities; bootstrap of relations, by each reader of the first word",
        ),
        threshold=read.rule.least,
        relation=">=",
        n=len(relations),
        key=key,
    )


def _apart(
    read: Read, early: Curves, late: Curves, relations: tuple[str, ...]
) -> tuple[float, tuple[float, float]]:
    """The difference of two depths, and its interval over relations."""

    def apart(weights: Float[np.ndarray, " relation"]) -> float:
        return onset(weights @ late) - onset(weights @ early)

    alike = np.full(len(relations), 1 / len(relations))
    return apart(alike), interval_over_relations(apart, relations, read.study.plan)


def _same_word(curves: dict[str, Curves], halves: int, seed: int) -> Iterator[float]:
    """How far apart one word's depths lie in random halves of the relations."""
    generator = np.random.default_rng(seed)
    for each in curves.values():
        for _ in range(halves):
            one, other = np.array_split(generator.permutation(len(each)), 2)
            yield abs(onset(each[one].mean(0)) - onset(each[other].mean(0)))
