"""The rules of h1 to h4 and h7 where nothing is, on activations that are measured once.

- *Shuffled labels*: in every block of questions (those of the same stories) a fair coin exchanges
  the two cells.
- *Same-process contrasts*: relations of one cell, put together in other random pairs by each seed.
- *Places of answers*: answers told first against last, once in each cell: no seed changes them.

Asked is the requirement that a claim begins with: as many components as it wants (h1 to h3), as
large a share that holds in relations left out (h4), as large a separation (h7). What it requires
besides can only take support away, so that the rate of errors is bounded from above.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from harness.calibration.claims import claim_module
from harness.calibration.recovery import CLAIMS
from harness.calibration.tally import Null, said, tallied
from harness.findings.processes.contrasts import Questions, exchanged, relation_contrasts
from harness.findings.processes.direction import (
    ProcessDirectionRule,
    residual_streams,
    same_process_units,
    separated,
    separation_evidence,
    unit_of_relation,
)
from harness.findings.processes.finding import count_evidence
from harness.findings.processes.held_out import folds_of, held_evidence
from harness.findings.processes.kinds import PROCESSES, Process
from harness.findings.processes.materials import gates_of, relations_of, shown_by
from harness.findings.processes.measured import (
    Measured,
    measure_model,
    pairs_of_relations,
    places_of_answers,
)
from harness.findings.processes.rule import Decisions, ProcessRule
from harness.findings.processes.same_process import SameProcess
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Evidence, State
from harness.verdicts.judge import Inconclusive

TESTED = 200  # shuffles whose smallest p is looked at, over all components


def activation_entries(study: Study, shuffles: int, seeds: int) -> Iterator[dict[str, Any]]:
    """One a claim, kind of component and process: what `Null` says, or the gate that is unmet.

    Args:
        study: The model on its materials.
        shuffles: Of the labels.
        seeds: Of pairs of relations, 40 pairings each.
    """
    for process in PROCESSES.values():
        for kind, claim in CLAIMS.items():
            place = {"kind": kind, "process": process.name}
            nulls: Mapping[str, Null | Inconclusive]
            try:
                nulls = components_served(measured(study, kind, process), shuffles, seeds)
            except Inconclusive as reason:
                nulls = dict.fromkeys((claim, "h4"), reason)
            yield from ({"claim": name, **place, **said(null)} for name, null in nulls.items())
        separates: Null | Inconclusive
        try:
            separates = direction_separates(study, process, shuffles, seeds)
        except Inconclusive as reason:
            separates = reason
        yield {"claim": "h7", "kind": "direction", "process": process.name, **said(separates)}


def measured(study: Study, kind: Any, process: Process) -> Measured:
    """A process on one kind of component, under the rule of its claim.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    claim = claim_module(CLAIMS[kind])
    rule = claim.rule_of(study)
    return measure_model(study, kind, process, rule, needed=claim.NEEDED, gate=claim.GATE)


def components_served(found: Measured, shuffles: int, seeds: int) -> dict[str, Null]:
    """By claim: that of this kind of component (h1 to h3), and h4 on relations left out.

    Args:
        found: A process on a model.
        shuffles: Of the labels.
        seeds: Of pairs of relations.
    """
    contrasts, claim = found.contrasts, CLAIMS[found.model.kind]
    judges = {claim: partial(serves, found), "h4": partial(holds, found)}
    model = SameProcess(contrasts.discovery, contrasts.evaluation)
    shuffled = tallied(_shuffled(found, shuffles), judges, clean=shuffles)
    same = tallied(_between_questions(found, seeds), judges, clean=None)
    told = tallied(places_of_answers(found), judges, clean=None)
    p = smallest_p(found, min(shuffles, TESTED))
    floor = found.decisions.floor
    return {
        name: Null(judge(model), shuffled[name], same[name], told[name])
        if name == "h4"
        else Null(judge(model), shuffled[name], same[name], told[name], p, round(1 / floor))
        for name, judge in judges.items()
    }


def serves(found: Measured, drawn: SameProcess) -> State:
    """Whether as many components hold as the claim of this kind of component asks for."""
    decisions = _unless_too_few(found, drawn)
    table = found.rule.table(found.contrasts.cells, decisions, found.process.cells)
    return _state(count_evidence(replace(found, decisions=decisions, model=table)))


def _unless_too_few(found: Measured, drawn: SameProcess) -> Decisions:
    """The rule's decisions; without its test where even so too few components hold.

    What the test leaves is a part of that, and intervals do not depend on it.
    """
    decisions = _untested(found.rule).decide(drawn.discovery, drawn.evaluation)
    if found.rule.count(decisions, len(found.contrasts.cells.metrics)) < found.bar:
        return decisions
    return found.rule.decide(drawn.discovery, drawn.evaluation)


def _untested(rule: ProcessRule) -> ProcessRule:
    """The rule without its test, which takes nearly all of the time."""
    return replace(rule, alpha=1.0, permutations=1)


def holds(found: Measured, drawn: SameProcess) -> State:
    """Whether what most relations find holds in those left out; undecided where they find none."""
    claim = claim_module("h4")
    names = tuple(map(str, range(len(drawn.discovery))))
    contrasts = replace(
        found.contrasts, relations=names, discovery=drawn.discovery, evaluation=drawn.evaluation
    )
    for rule in (_untested(found.rule), found.rule):
        folds = list(folds_of(contrasts, rule, claim.FOLDS))
        if not any(fold.found for fold in folds):
            return State.UNDECIDED
    return _state(held_evidence(found.study, found.model.kind, folds, names, claim.CONSISTENT))


def _state(evidence: Evidence) -> State:
    assert evidence.state is not None
    return evidence.state


def _shuffled(found: Measured, shuffles: int) -> Iterator[SameProcess]:
    """The contrasts of a process under shuffled labels."""
    contrasts, cells = found.contrasts, found.process.cells
    questions = found.questions
    questions = questions.rows(np.isin(questions.asked, cells))
    generator = np.random.default_rng(found.rule.seed)
    for _ in range(shuffles):
        drawn = replace(questions, asked=exchanged(questions, cells, generator))
        yield SameProcess(
            *(
                relation_contrasts(drawn.rows(drawn.split == split), cells, contrasts.relations)
                for split in (DISCOVERY, EVALUATION)
            )
        )


def _between_questions(found: Measured, seeds: int) -> Iterator[SameProcess]:
    for seed in range(found.rule.seed, found.rule.seed + seeds):
        yield from pairs_of_relations(replace(found, rule=replace(found.rule, seed=seed)))


def smallest_p(found: Measured, shuffles: int) -> tuple[float, ...]:
    """Of the largest contrast of any component, corrected over all, on evaluation entities."""
    drawn = _shuffled(found, shuffles)
    return tuple(float(found.rule.decide(d.discovery, d.evaluation).p.min()) for d in drawn)


def direction_separates(study: Study, process: Process, shuffles: int, seeds: int) -> Null:
    """The separation of h7 in relations that the direction was not fitted on.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    claim = claim_module("h7")
    rule, cells = claim.process_rule(study), process.cells
    shown = shown_by(study, process, claim.GATE)
    gates_of(shown, process, claim.GATE)
    relations = relations_of(shown.prompts, cells)
    questions = residual_streams(shown, shown.activations)

    def separation(asked: Questions) -> Evidence:
        units = [unit_of_relation(asked, cells, name) for name in relations]
        return separation_evidence(separated(units), process, rule)

    generator = np.random.default_rng(rule.seed)
    drawn = (
        separation(replace(questions, asked=exchanged(questions, cells, generator)))
        for _ in range(shuffles)
    )
    p: list[float] = []

    def judge(evidence: Evidence) -> State:
        p.append(float(evidence.p or 0.0))
        return _state(evidence)

    shuffled = tallied(drawn, {"h7": judge}, clean=shuffles)["h7"]
    directions = _same_process_directions(questions, process, rule, seeds)
    same = tallied(directions, {"h7": _state}, clean=None)["h7"]
    model = separation(questions)
    return Null(_state(model), shuffled, same, None, tuple(p), round(1 / (model.floor or 1)))


def _same_process_directions(
    questions: Questions, process: Process, rule: ProcessDirectionRule, seeds: int
) -> Iterator[Evidence]:
    for seed in range(rule.seed, rule.seed + seeds):
        for units in same_process_units(questions, process, replace(rule, seed=seed)):
            yield separation_evidence(separated(units), process, rule)
