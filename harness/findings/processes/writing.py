"""A model writes its steps before it answers, intact and with a circuit ablated (h14).

The circuit is found on short answers, where both steps are taken before the first token. It is
ablated in all that is read and written afterwards.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.effects import mean_activations, means
from harness.findings.processes.circuit import (
    LEAST_JUDGED,
    CircuitRule,
    Found,
    Search,
    Sited,
    rows_of_cells,
    searchable,
)
from harness.findings.processes.followed import needed_elsewhere
from harness.findings.processes.kinds import COMPOSING, cell_of
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

CELLS = COMPOSING.cells  # what must be lost, and what must be spared


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingRule:
    """When a circuit acts while steps are written.

    Attributes:
        circuit: How it is found. Its target is the least loss of reasoning, its margin the largest
            one of lookup, both as shares of what guessing loses.
        gate: Least accuracy in recall, lookup and reasoning, and after written steps.
        tokens: Written at most.
        readable: Share of texts that must end in an answer; of that share, as much must be left
            without the circuit.
    """

    circuit: CircuitRule
    gate: float
    tokens: int
    readable: float


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

    def writes(self, without: Sited | None = None, prompts: PromptSet | None = None) -> Written:
        """What is written, from the store or measured: intact, or without some components."""
        subject = self.study.subject
        means_over = None if without is None else self.short
        how = INTACT if without is None else Intervention(without.sites, MEAN)

        def measure(model: "Model", items: tuple[Item, ...]) -> Mapping[str, np.ndarray]:
            reference = None
            if means_over is not None:
                reference = mean_activations(subject, model, means_over)
            texts = model.generate(items, self.tokens, how.edits(Inputs(reference)))
            return read(items, texts).arrays()

        what = {
            "kind": "written steps",
            "version": STEPS_VERSION,
            "most": self.tokens,
            "interventions": interventions_address([how]),
            "means": None if means_over is None else means_over.hash,
        }
        return Written.from_arrays(subject.fetch(what, prompts or self.asked, measure))

    def rows(self, cell: str) -> Bool[np.ndarray, " prompt"]:
        """Which prompts ask in a cell."""
        return np.array([cell_of(item) == cell for item in self.asked.items])


@dataclass(frozen=True)
class Measured:
    """Steps written with and without the circuit.

    Attributes:
        relations: Those with an answer that can be lost in both cells.
        lost: By cell, the mean of `losses` over a relation's answers.
    """

    writer: Writer
    kind: CircuitKind
    rule: WritingRule
    gates: tuple[Gate, ...]
    search: Search
    found: Found
    intact: Written
    ablated: Written
    relations: tuple[str, ...]
    lost: Mapping[str, Float[np.ndarray, " relation"]]


def measure_writing(study: Study, kind: CircuitKind, rule: WritingRule) -> Measured:
    """Find the circuit of composing, and let the model write with and without it.

    Raises:
        Inconclusive: If a gate is unmet. Whether the model writes steps is asked before the search.
    """
    gates, parts = searchable(study, COMPOSING, rule.gate)
    judged = parts.judging.where(lambda item: cell_of(item) in CELLS)
    try:
        asked = with_steps(judged, study.plan.items, study.plan.seed)
    except MaterialsError as error:
        raise Inconclusive(Gate("steps", False, str(error))) from None
    writer = Writer(study, asked, parts.selection, rule.tokens)
    intact = writer.writes()
    gates += require(*_writes(writer, intact, rule))
    search = Search(study, kind, parts.selection, rule.circuit)
    found = search.circuit(rows_of_cells(parts.selection, CELLS[0]))
    gates += require(
        needed_elsewhere(study, kind, COMPOSING, parts, found, rule.circuit, spared=CELLS[1:])
    )
    ablated = writer.writes(found.circuit)
    gates += require(*_still_writes(writer, kind, intact, ablated, rule))
    each, names = losses(asked, intact, ablated), sorted({item.relation for item in asked.items})
    lost = {
        cell: by_relation(np.where(writer.rows(cell), each, np.nan), asked, names) for cell in CELLS
    }
    known = np.all([np.isfinite(values) for values in lost.values()], axis=0)
    gates += require(_enough(int(known.sum()), len(names)))
    return Measured(
        *(writer, kind, rule, gates, search, found, intact, ablated),
        relations=tuple(np.array(names)[known].tolist()),
        lost={cell: values[known] for cell, values in lost.items()},
    )


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


def _writes(writer: Writer, intact: Written, rule: WritingRule) -> Iterator[Gate]:
    """Whether the intact model writes its steps, and answers rightly after them."""
    thinking, own = writer.study.subject.thinking, writer.study.plan.competence_gate
    least = rule.gate if own is None else own
    for cell in CELLS:
        rows = writer.rows(cell)
        ends, right = float(intact.parsed[rows].mean()), float(intact.right[rows].mean())
        reason = (
            f"the model does not write steps: of {int(rows.sum())} {cell} texts of at most "
            f"{writer.tokens} tokens {ends:.2f} end in an answer (needed {rule.readable:.2f}), "
            f"{right:.2f} in the right one (needed {least:.2f})"
        )
        met = ends >= rule.readable and right >= least
        yield Gate(f"writes steps, {cell}", met, reason + (f"; {thinking}" if thinking else ""))


def _still_writes(
    writer: Writer, kind: CircuitKind, intact: Written, ablated: Written, rule: WritingRule
) -> Iterator[Gate]:
    """Whether texts still end in an answer without the circuit."""
    for cell in CELLS:
        rows = writer.rows(cell)
        before, after = float(intact.parsed[rows].mean()), float(ablated.parsed[rows].mean())
        yield Gate(
            f"still writes, {cell}",
            after >= rule.readable * before,
            f"without the composing {kind}s {after:.2f} of the {cell} texts end in an answer, with "
            f"them {before:.2f} (needed {rule.readable:.2f} of that): what is lost is the writing, "
            "so that nothing is said about the steps",
        )


def _enough(known: int, asked: int) -> Gate:
    return Gate(
        "relations judged",
        known >= LEAST_JUDGED,
        f"of {asked} relations that circuits are judged on, {known} have an answer that is right "
        f"after written steps in each of {' and '.join(CELLS)}; {LEAST_JUDGED} are needed",
    )
