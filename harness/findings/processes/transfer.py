"""h11: does a circuit carry its process into a prompt that asks for something else.

A crossed prompt holds two questions and asks for one of them by a label. The circuit's activations
are taken from the prompt that asks for the process's own question and put into the prompt of the
same words that asks for the other one. If the circuit carries the process, the answer to its own
question rises above other wrong answers. It need not overtake the answer that was asked for, which
what is not patched still gives: with nothing but the circuit moved the two may end level.

A component that reads the label moves either answer, whatever is asked. So the patch is made the
other way round as well, where a circuit of this process has nothing to carry.

A component that says which process is asked for, and nothing of what it finds, moves the answer
too, as the prompt holds the question. So the patch is also made from a prompt in which that
question is about another name: then only what was found there can lift its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.circuit import (
    LEAST_JUDGED,
    CircuitRule,
    Sited,
    first_stories,
)
from harness.findings.processes.circuit_search import Found, Search, searched
from harness.findings.processes.kinds import Process, cell_of
from harness.findings.processes.materials import shown_by
from harness.findings.processes.other_circuits import Compared, beyond_others, other_circuits
from harness.findings.processes.other_names import of_another_name
from harness.findings.processes.selected import interval_over_relations
from harness.findings.sweeps import swept
from harness.findings.twins import left_out, worth_controls
from harness.interventions.interventions import COUNTERFACTUAL, Intervention
from harness.materials.items import EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

UNIT = "share of what all components move"


@dataclass(frozen=True, slots=True)
class Patched:
    """What patching circuits does to some prompts, averaged in each relation.

    Attributes:
        relations: Of the rows.
        moved: Change of the logit difference, nats.
        first: Share of prompts in which the answer is above the other wrong ones then.
    """

    relations: tuple[str, ...]
    moved: Float[np.ndarray, "relation circuit"]
    first: Float[np.ndarray, "relation circuit"]


@dataclass(frozen=True)
class Transferred:
    """The circuit, patched into prompts that ask for the other question.

    Attributes:
        found: The circuit, found by what its loss costs in other relations.
        prompts: Those that are patched.
        back: Prompts that ask for the process's own question, to be patched from the others.
        forward: The circuit, then all of its kind, patched into the prompts.
    """

    study: Study
    kind: CircuitKind
    process: Process
    rule: CircuitRule
    gates: tuple[Gate, ...]
    search: Search
    found: Found
    prompts: PromptSet
    back: PromptSet
    forward: Patched


def transfer_finding(
    study: Study, kind: CircuitKind, process: Process, rule: CircuitRule, *, gate: float
) -> Finding:
    """Whether patching a process's circuit lifts the answer to the process's own question.

    Args:
        study: The model, on prompts with one question each; the crossed ones are drawn from them.
        kind: Of component.
        process: Retrieval or composing.
        rule: How the circuit is found; its target is the share of what all components move.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    measured = _measure(study, kind, process, rule, gate)
    moved = _moved(measured)
    met = worth_controls(study, [moved])
    others = _others(measured) if met else None
    beside = (_back(measured), _renamed(measured), _beyond(measured, others)) if others else ()
    return Finding(
        (moved, *beside, _first(measured)),
        gates=measured.gates,
        notes=(
            _how_found(measured),
            *left_out("other circuits, the other way and another name", met=met),
        ),
        samples={moved.name: dict(zip(measured.forward.relations, _shares(measured), strict=True))},
        severity=others.severity if others else None,
    )


def _measure(
    study: Study, kind: CircuitKind, process: Process, rule: CircuitRule, gate: float
) -> Transferred:
    gates, parts, search = searched(study, kind, process, rule, gate)
    shown = shown_by(study, process, gate)
    gates += require(_crossed(shown))
    judged = {item.relation for item in parts.judging.items}
    prompts = asked_otherwise(shown, process, judged)
    gates += require(_enough(prompts))
    back = asked_otherwise(shown, replace(process, cells=process.cells[::-1]), judged)
    found = search.circuit_of(process.target)
    forward = patched(study, prompts, [found.circuit, found.ranking])
    gates += require(_all_move(study, forward))
    return Transferred(study, kind, process, rule, gates, search, found, prompts, back, forward)


def asked_otherwise(shown: Study, process: Process, relations: set[str]) -> PromptSet:
    """Evaluation prompts that ask for the other cell; the process's own answer is the right one.

    Each has the prompt of the same words that asks for the process's own question as its
    counterfactual. Left out are those of which the model answers either wrong, or both alike, and
    those that leave no other wrong answer.
    """
    prompts, own = shown.prompts, process.target
    correct = shown.subject.answers(prompts).correct == 1
    asked = {
        item.id.removesuffix(str(item.label)): item
        for item, right in zip(prompts.items, correct, strict=True)
        if right and cell_of(item) == own
    }
    kept = []
    for item, right in zip(prompts.items, correct, strict=True):
        other = asked.get(item.id.removesuffix(str(item.label)))
        wanted = item.split == EVALUATION and item.relation in relations and right
        if not (wanted and other) or cell_of(item) == own or other.answer == item.answer:
            continue
        if wrong := tuple(d for d in item.distractors if d != other.answer):
            kept.append(
                replace(
                    item,
                    answer=other.answer,
                    distractors=wrong,
                    counterfactual_prompt=other.prompt,
                    counterfactual_answer=other.answer,
                )
            )
    return replace(prompts, name=f"{prompts.name}, asked otherwise", items=tuple(kept))


def patched(study: Study, prompts: PromptSet, circuits: Sequence[Sited]) -> Patched:
    """Each circuit's activations taken from the counterfactuals that are as long as the prompts."""
    each = [Intervention(circuit.sites, COUNTERFACTUAL) for circuit in circuits]
    result = swept(study.subject, prompts, each)
    moved = result.logit_difference - result.clean_logit_difference
    known = ~np.isnan(moved).any(0)
    relation = np.array([item.relation for item in prompts.items])[known]
    names = np.unique(relation)
    by_relation = (
        np.array([values[:, known][:, relation == name].mean(1) for name in names])
        for values in (moved, result.correct)
    )
    return Patched(tuple(names.tolist()), *by_relation)


def _crossed(shown: Study) -> Gate:
    return Gate.of(
        "crossed prompts",
        shown.prompts.crossed,
        unmet=f"the model does not answer the crossed prompts of {shown.prompts.name}, and h11 "
        "needs them: two crossed prompts have the same words but for a label and ask different "
        "questions, so that a patch changes only which question is asked",
    )


def _enough(prompts: PromptSet) -> Gate:
    found = len({item.relation for item in prompts.items})
    return Gate(
        "relations judged",
        found >= LEAST_JUDGED,
        f"in {found} relations that circuits are judged on both questions of a prompt are answered "
        f"right, with different answers, and the story has a third one; {LEAST_JUDGED} are needed",
    )


def _all_move(study: Study, forward: Patched) -> Gate:
    moved = forward.moved[:, 1]
    low, high = interval_over_relations(moved.dot, forward.relations, study.plan)
    said = f"patching all components moves the answer by {moved.mean():.2f} [{low:.2f}, {high:.2f}]"
    return Gate.of("all move", low > 0, f"{said} nats", unmet=", not clearly above 0")


def _moved(measured: Transferred) -> Evidence:
    """The share of what patching all of the kind moves."""
    to, where = measured.process.cells
    return Evidence(
        f"from {where} to {to}, moved by the {measured.process.name} {measured.kind}s",
        _of_all(measured, measured.forward),
        threshold=measured.rule.target,
        relation=">=",
        n=len(measured.forward.relations),
        key="moved",
    )


def _back(measured: Transferred) -> Evidence:
    """The same the other way round: what is patched in there comes from another process."""
    found = measured.found
    moved = patched(measured.study, measured.back, [found.circuit, found.ranking])
    own, other = measured.process.cells
    return Evidence(
        f"the other way, from {own} to {other}, moved by them",
        _of_all(measured, moved),
        threshold=measured.rule.target,
        relation="<",
        n=len(moved.relations),
        key="back",
    )


def _renamed(measured: Transferred) -> Evidence:
    """The same from prompts whose own question is about another name, for the answer to that.

    Not defined, and so undecided, where too few relations have such prompts.
    """
    found, own = measured.found, measured.process.target
    prompts = of_another_name(measured.study, measured.prompts, own)
    moved = Patched((), np.empty((0, 2)), np.empty((0, 2)))
    if len(prompts):
        moved = patched(measured.study, prompts, [found.circuit, found.ranking])
    enough = len(moved.relations) >= LEAST_JUDGED
    few = (
        f"in {len(moved.relations)} relations {own} can be asked about another name of as many "
        f"tokens and is answered right; {LEAST_JUDGED} are needed: use more items"
    )
    return Evidence(
        f"from {own} about another name, moved by them",
        _of_all(measured, moved) if enough else Effect(UNIT, float("nan"), method=few),
        threshold=measured.rule.target,
        relation=">=",
        n=len(moved.relations),
        key="renamed",
    )


def _of_all(measured: Transferred, patched: Patched) -> Effect:
    both = patched.moved
    own, everything = both.mean(0)

    def share(weights: Float[np.ndarray, " relation"]) -> float:
        one, every = weights @ both
        return float(one / every) if every > 0 else float("nan")  # no share of nothing

    return Effect(
        UNIT,
        share(np.full(len(both), 1 / len(both))),
        interval_over_relations(share, patched.relations, measured.study.plan),
        method=f"{measured.found.size:,} {measured.kind}s move the answer by {own:.2f} nats, "
        f"all by {everything:.2f}; bootstrap of relations",
    )


def _shares(measured: Transferred) -> list[float]:
    """By relation, what the circuit moves, of what all components move on average."""
    own, everything = measured.forward.moved.T
    return list((own / everything.mean()).tolist())


def _others(measured: Transferred) -> Compared:
    """Nats that other circuits of the same size move, on the first prompts of each relation."""
    search, found, rule = measured.search, measured.found, measured.rule
    random, same = other_circuits(search, found.circuit, measured.process.target)
    few = first_stories(measured.prompts)
    each = [found.circuit, *random, *same, found.ranking]
    moved = patched(measured.study, few, each).moved.mean(0)
    meets = moved >= rule.target * moved[-1]
    return Compared.of(moved[:-1], meets[:-1], len(random))


def _beyond(measured: Transferred, others: Compared) -> Evidence:
    return beyond_others(
        "the same, against other circuits",
        others,
        alpha=measured.rule.alpha,
        key="beyond",
        unit="nats",
    )


def _first(measured: Transferred) -> Evidence:
    """Secondary: how often the process's own answer stands above the other wrong ones then."""
    own, everything = measured.forward.first.mean(0)
    return Evidence(
        f"answers of {measured.process.target} above other wrong ones",
        Effect("share", float(own), method=f"with all {measured.kind}s {everything:.2f}"),
        n=len(measured.prompts),
        key="first",
    )


def _how_found(measured: Transferred) -> str:
    relations = measured.forward.relations
    return (
        f"the {measured.found.size:,} {measured.kind}s were found by what their loss costs, and "
        f"patched in {len(measured.prompts)} crossed prompts of {len(relations)} other "
        f"relations ({', '.join(relations)})"
    )
