"""h12: the depths at which words of a question of several steps become readable, and their order.

Nothing is edited: only readings at the last token are compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    Curves,
    Reader,
    Readings,
    Stories,
    most_readable,
    onset,
)
from harness.findings.processes.readers import by_fitted_map, by_lens
from harness.findings.processes.selected import interval_over_relations
from harness.findings.requirements import beyond_same_process
from harness.materials.cell_sets import whole_cells
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import require
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
        needed: By how much more of its comparisons a word wins where it is needed, at least.
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
        reader: The same for all words: the one that reads the bridge best on discovery entities.
    """

    study: Study
    rule: HopRule
    stories: Stories
    reader: Reader
    found: Readings
    gates: tuple[Gate, ...] = ()

    @property
    def note(self) -> str:
        """How much there was to read, and how it was read."""
        return (
            f"words were read at the last token by {READERS[self.reader]}, in {len(self.stories)} "
            f"stories of {self.stories.prompts.name} of which both questions are answered right"
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
        f"{LEAST_CHAINS} are needed: words are compared with those of a chain that no question is "
        f"about; take the set cells with --chains {LEAST_CHAINS}"
    )
    gates = require(Gate("chains", chains >= LEAST_CHAINS, reason))
    gates += require(*design_gates(study, COMPOSING.cells), *order_gate(study.prompts, COMPOSING))
    gates += require(*asked_first(study, COMPOSING.cells, rule.gate))
    assert whole is not None
    stories = Stories.answered(study, study.prompts, whole[1])
    gates += require(relations_gate(stories))
    reader, found = most_readable(tuple(READERS), stories)
    return Read(study, rule, stories, reader, found, gates)


def read_alike(read: Read, stories: Stories) -> Read:
    """The words of other stories, by the same reader."""
    return replace(read, stories=stories, found=Readings.by(read.reader, stories))


def relations_gate(stories: Stories) -> Gate:
    """Whether there are relations enough with stories in both halves of the entities."""
    found = len(stories.relations)
    reason = (
        f"in {found} relations of {stories.prompts.name} both questions of a story are answered "
        f"right in both halves of the entities; {LEAST_RELATIONS} are needed"
    )
    return Gate("relations read", found >= LEAST_RELATIONS, reason)


@dataclass(frozen=True, slots=True)
class Ordered:
    """Two words, and what is required of their order."""

    evidence: tuple[Evidence, ...]
    samples: dict[str, dict[str, float]]
    severity: Severity


def in_order(read: Read, name: str, curves: dict[str, Curves]) -> Ordered:
    """Whether the second word is readable deeper than the first, and than itself elsewhere."""
    rule, relations = read.rule, read.found.relations
    later = deeper(read, name, curves, relations, key="order")
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
    return Ordered((later, beyond), samples, Severity.of(alike))


def deeper(
    read: Read, name: str, curves: dict[str, Curves], relations: tuple[str, ...], *, key: str
) -> Evidence:
    """By how much deeper the second of two words is readable than the first."""
    early, late = curves.values()

    def apart(weights: Float[np.ndarray, " relation"]) -> float:
        return onset(weights @ late) - onset(weights @ early)

    depths = (f"{word} {onset(each.mean(0)):.2f}" for word, each in curves.items())
    return Evidence(
        name,
        Effect(
            UNIT,
            apart(np.full(len(relations), 1 / len(relations))),
            interval_over_relations(apart, relations, read.study.plan),
            method=f"{' and '.join(depths)}: where half of the largest readability is passed, "
            "on evaluation entities; bootstrap of relations",
        ),
        threshold=read.rule.least,
        relation=">=",
        n=len(relations),
        key=key,
    )


def _same_word(curves: dict[str, Curves], halves: int, seed: int) -> Iterator[float]:
    """How far apart one word's depths lie in random halves of the relations."""
    generator = np.random.default_rng(seed)
    for each in curves.values():
        for _ in range(halves):
            one, other = np.array_split(generator.permutation(len(each)), 2)
            yield abs(onset(each[one].mean(0)) - onset(each[other].mean(0)))
