"""A model writes its steps before it answers, intact and with something taken away (h14).

What is taken away is found on short answers, where both steps are taken before the first token. It
is gone in all that is read and written afterwards.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.effects import means
from harness.findings.gates import SURE, first_pairs
from harness.findings.processes.circuit import LEAST_JUDGED, CircuitRule, Parts, searchable
from harness.findings.processes.kinds import COMPOSING, cell_of
from harness.findings.sweeps import mean_activations
from harness.interventions.directions import Directions
from harness.interventions.interventions import (
    INTACT,
    MEAN,
    Inputs,
    Intervention,
    interventions_address,
)
from harness.materials.items import Item, MaterialsError, PromptSet
from harness.materials.written_steps import with_steps
from harness.study.steps import STEPS_VERSION, Written, read
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import Inconclusive, require

if TYPE_CHECKING:
    from harness.adapter import Model

CELLS = LOST, SPARED = COMPOSING.cells  # what must be lost, and what must be spared
FIRST_TEXTS = 12  # of a cell: where these show that the model writes no steps, no more are asked


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingRule:
    """When what is taken away acts while steps are written.

    Attributes:
        circuit: How it is found. Its target is the least loss of reasoning, its margin the largest
            one of lookup, both as shares of what guessing loses.
        gate: Least accuracy in recall, lookup and reasoning, and after written steps, of which each
            but the last must name where it leads.
        tokens: Written at most.
        readable: Share of texts that must end in an answer; of that share, as much must be left
            without what is taken away.
    """

    circuit: CircuitRule
    gate: float
    tokens: int
    readable: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken away from the model.

    Attributes:
        called: In words, such as `composing heads`.
        sort: Of such a thing, in the plural: `circuits` or `directions`.
        found: How it was found, in words.
        how: It is taken away.
        others: Makes what it is compared with: random ones, and those of one process.
        directions: Those that all of these name by number.
    """

    called: str
    sort: str
    found: str
    how: Intervention
    others: Callable[[], tuple[list[Intervention], list[Intervention]]]
    directions: tuple[Directions, ...] = ()


# Finds it for the model, on its prompts, and says whether short answers need it.
Take = Callable[[Study, Parts, CircuitRule], tuple[Taken, Gate]]


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that is to write its steps before it answers.

    Attributes:
        asked: The prompts, of both cells.
        short: The prompts whose mean activations an ablation writes.
        tokens: Written at most.
    """

    study: Study
    asked: PromptSet
    short: PromptSet
    tokens: int

    def writes(
        self,
        how: Intervention = INTACT,
        directions: tuple[Directions, ...] = (),
        prompts: PromptSet | None = None,
    ) -> Written:
        """What is written, from the store or measured: intact, or with something taken away."""
        subject = self.study.subject
        means_over = self.short if how.method == MEAN else None

        def measure(model: "Model", items: tuple[Item, ...]) -> Mapping[str, np.ndarray]:
            reference = None
            if means_over is not None:
                reference = mean_activations(subject, model, means_over)
            texts = model.generate(items, self.tokens, how.edits(Inputs(reference, directions)))
            return read(items, texts).arrays()

        what = {
            "kind": "written steps",
            "version": STEPS_VERSION,
            "most": self.tokens,
            "interventions": interventions_address([how], directions),
            "means": None if means_over is None else means_over.hash,
        }
        return Written.from_arrays(subject.fetch(what, prompts or self.asked, measure))

    def rows(self, cell: str) -> Bool[np.ndarray, " prompt"]:
        """Which prompts ask in a cell."""
        return np.array([cell_of(item) == cell for item in self.asked.items])


@dataclass(frozen=True)
class Measured:
    """Steps written by the intact model, and without what is taken away.

    Attributes:
        intact: Its right answers are those that follow their steps.
        relations: Those with an answer that can be lost in both cells.
        lost: By cell, the mean of `losses` over a relation's answers; of the cell to be spared a
            text that ends in no answer is lost too.
    """

    writer: Writer
    taken: Taken
    rule: WritingRule
    gates: tuple[Gate, ...]
    intact: Written
    ablated: Written
    relations: tuple[str, ...]
    lost: Mapping[str, Float[np.ndarray, " relation"]]


def measure_writing(study: Study, take: Take, rule: WritingRule) -> Measured:
    """Find what is taken away, and let the model write with and without it.

    Raises:
        Inconclusive: If a gate is unmet. Whether the model writes steps is asked before anything is
            searched for.
    """
    gates, parts = searchable(study, COMPOSING, rule.gate)
    judged = parts.judging.where(lambda item: cell_of(item) in CELLS)
    try:
        asked = with_steps(judged, study.plan.items, study.plan.seed)
    except MaterialsError as error:
        raise Inconclusive(Gate("steps", False, str(error))) from None
    writer = Writer(study, asked, parts.selection, rule.tokens)
    first = replace(writer, asked=first_pairs(asked, FIRST_TEXTS))
    if 2 * len(first.asked) <= len(asked):
        require(*_writes(first, after_steps(first.asked, first.writes()), rule, surely=True))
    intact = after_steps(asked, writer.writes())
    gates += require(*_writes(writer, intact, rule))
    taken, needed = take(study, parts, rule.circuit)
    gates += require(needed)
    ablated = writer.writes(taken.how, taken.directions)
    gates += require(*_still_writes(writer, taken, intact, ablated, rule))
    names, lost = sorted({item.relation for item in asked.items}), {}
    for cell in CELLS:
        # What is to be spared must still end in its answer; of what is to be lost, a text without
        # an answer says nothing.
        each = losses(asked, intact, ablated, unread=cell == SPARED)
        lost[cell] = by_relation(np.where(writer.rows(cell), each, np.nan), asked, names)
    known = np.all([np.isfinite(values) for values in lost.values()], axis=0)
    gates += require(_enough(int(known.sum()), len(names)))
    return Measured(
        *(writer, taken, rule, gates, intact, ablated),
        relations=tuple(np.array(names)[known].tolist()),
        lost={cell: values[known] for cell, values in lost.items()},
    )


def after_steps(prompts: PromptSet, written: Written) -> Written:
    """Texts of which an answer counts as right only after all steps that lead to it.

    A model that says its answer at once, where steps are asked for, has composed it before writing.
    The last step need not be written: it leads to the answer.
    """
    needed = np.array([len(item.entities) - 2 for item in prompts.items])
    return replace(written, right=written.right * (written.steps >= needed))


def losses(
    prompts: PromptSet, intact: Written, ablated: Written, *, unread: bool = False
) -> Float[np.ndarray, " prompt"]:
    """What is lost of each answer that is right after intact steps; 1 on average if all guess.

    Of n options guessing names the right one in 1 of n cases, so a wrong answer counts n / (n - 1).
    nan where nothing can be lost, or no answer can be read; with `unread` that one is lost too.
    """
    others = np.array([len(item.distractors) for item in prompts.items])
    counted = (intact.right == 1) & (unread | (ablated.parsed == 1))
    return np.asarray(np.where(counted, (1 - ablated.right) * (1 + others) / others, np.nan))


def by_relation(
    values: Float[np.ndarray, " prompt"], prompts: PromptSet, names: list[str]
) -> Float[np.ndarray, " relation"]:
    """Mean over the prompts of each relation that have a value; nan where none has."""
    of = np.array([item.relation for item in prompts.items])
    return np.array([means(values[None, of == name])[0] for name in names])


def _writes(
    writer: Writer, intact: Written, rule: WritingRule, *, surely: bool = False
) -> Iterator[Gate]:
    """Whether the intact model writes its steps, and answers rightly after them.

    Args:
        writer: With the prompts.
        intact: What was written after them.
        rule: What is needed.
        surely: Whether only a share that surely lies below what is needed is too small.
    """
    thinking, own = writer.study.subject.thinking, writer.study.plan.competence_gate
    least = rule.gate if own is None else own
    for cell in CELLS:
        rows = writer.rows(cell)
        ends, right = float(intact.parsed[rows].mean()), float(intact.right[rows].mean())
        found = (
            f"of {int(rows.sum())} {cell} texts of at most {writer.tokens} tokens {ends:.2f} end "
            f"in an answer (needed {rule.readable:.2f}), {right:.2f} in the right one after its "
            f"steps (needed {least:.2f})"
        )
        if surely:
            ends, right = (_at_most(values[rows]) for values in (intact.parsed, intact.right))
        met = ends >= rule.readable and right >= least
        unmet = f"the model does not write steps: {found}" + (f"; {thinking}" if thinking else "")
        yield Gate(f"writes steps, {cell}", met, found if met else unmet)


def _at_most(values: Float[np.ndarray, " prompt"]) -> float:
    """The upper bound of a share: two are looked at in each of the cells."""
    level = 1 - (1 - SURE) / (2 * len(CELLS))
    return stats.binomial_interval(int(values.sum()), len(values), level=level)[1]


def _still_writes(
    writer: Writer, taken: Taken, intact: Written, ablated: Written, rule: WritingRule
) -> Iterator[Gate]:
    """Whether texts still end in an answer without what is taken away."""
    for cell in CELLS:
        rows = writer.rows(cell)
        before, after = float(intact.parsed[rows].mean()), float(ablated.parsed[rows].mean())
        yield Gate.of(
            f"still writes, {cell}",
            after >= rule.readable * before,
            f"without the {taken.called} {after:.2f} of the {cell} texts end in an answer, intact "
            f"{before:.2f} (needed {rule.readable:.2f} of that)",
            unmet=": what is lost is the writing, so that nothing is said about the steps",
        )


def _enough(known: int, asked: int) -> Gate:
    return Gate(
        "relations judged",
        known >= LEAST_JUDGED,
        f"of {asked} relations that are judged, {known} have an answer that is right "
        f"after written steps in each of {' and '.join(CELLS)}; {LEAST_JUDGED} are needed",
    )
