"""The direction of a process: fitted on some relations, it must separate questions of another one.

A direction that separates two question types of one relation may stand for the question. Fitted
on all relations but one and tested on that one, it stands for what they share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.processes.contrasts import Questions
from harness.findings.processes.finding import grade_note
from harness.findings.processes.kinds import Process
from harness.findings.processes.materials import gates_of, relations_of, shown_by
from harness.findings.processes.same_process import drawn_pairs
from harness.findings.processes.second_set import SECOND, AskedAgain, asked_again
from harness.findings.requirements import beyond_same_process
from harness.findings.twins import (
    TwinResult,
    missing_twins,
    on_twins,
    twin_controls,
    worth_controls,
)
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding
from harness.verdicts.severity import Severity

DRAWS = 40  # same-process directions
Sides = tuple[Float[np.ndarray, "prompt layer d_model"], Float[np.ndarray, "prompt layer d_model"]]


@dataclass(frozen=True, slots=True)
class Unit:
    """Two groups of prompts, on discovery and on evaluation entities."""

    discovery: Sides
    evaluation: Sides


@dataclass(frozen=True, slots=True)
class Separated:
    """How well the direction of all other units separates each unit.

    Attributes:
        layer: Selected on discovery.
        aucs: Of each unit's evaluation prompts, at that layer.
        d: The same as an effect size, difference of means over their SD.
    """

    layer: int
    aucs: Float[np.ndarray, " unit"]
    d: Float[np.ndarray, " unit"]

    @property
    def auc(self) -> float:
        """Mean over units."""
        return float(self.aucs.mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDirectionRule:
    """When a direction stands for a process.

    Attributes:
        auc: Least mean AUC over relations that had no part in the fit.
        alpha: Of sign flips over relations.
        permutations: Sign patterns, at most.
        seed: Of random ones and of same-process pairs.
    """

    auc: float
    alpha: float
    permutations: int
    seed: int


def process_direction_finding(
    study: Study, process: Process, rule: ProcessDirectionRule, *, gate: float
) -> Finding:
    """Whether a direction fitted on some relations separates the cells in another one.

    Args:
        study: The model and the materials.
        process: Retrieval or composing.
        rule: When a direction stands for it.
        gate: Least accuracy in each cell.
    """
    shown = shown_by(study, process, gate)
    gates = gates_of(shown, process, gate)
    relations = relations_of(shown.prompts, process.cells)
    questions = residual_streams(shown, shown.activations)
    found = separated([unit_of_relation(questions, process.cells, name) for name in relations])
    same = np.array(
        [separated(units).auc for units in same_process_units(questions, process, rule)]
    )
    required: tuple[Evidence, ...] = (
        separation_evidence(found, process, rule),
        beyond_same_process(
            "the same, against same-process directions",
            Effect("AUC", found.auc),
            same,
            "same-process directions",
        ),
    )
    again = AskedAgain(SECOND[process.name][0])
    if all(e.passed for e in required):
        again = asked_again(shown, process, gate)
        required += _in_second(again, questions, process, found, rule)
    met = worth_controls(study, required) and not again.gates
    twins = _twins(shown, process, relations) if met else {}
    return Finding(
        (*required, _least(found, relations)),
        twin_controls(twins, meets=lambda auc: auc > rule.auc, measured="AUC"),
        (*gates, *again.gates),
        notes=(grade_note(shown), *again.notes, *missing_twins(study, met=met)),
        samples={required[0].name: dict(zip(relations, found.aucs.tolist(), strict=True))},
        severity=Severity.of(same > rule.auc),
    )


def residual_streams(study: Study, activations: Activations) -> Questions:
    """The residual stream after each layer, at the last token: `prompt layer d_model`."""
    return Questions.of(activations.resid, study.prompts.items)


def unit_of_relation(questions: Questions, cells: tuple[str, str], relation: str) -> Unit:
    """Prompts of one relation: those of the first cell against those of the second.

    Args:
        questions: With values of shape `prompt layer d_model`.
        cells: Their names.
        relation: Its name.
    """
    sides = [[(cell, relation, split) for cell in cells] for split in (DISCOVERY, EVALUATION)]
    return _unit(questions, sides)


def _unit(questions: Questions, sides: Sequence[Sequence[tuple[str, str, str]]]) -> Unit:
    halves = []
    for half in sides:
        one, other = (
            questions.values[
                (questions.asked == cell)
                & (questions.relation == relation)
                & (questions.split == split)
            ]
            for cell, relation, split in half
        )
        halves.append((one, other))
    return Unit(*halves)


def same_process_units(
    questions: Questions, process: Process, rule: ProcessDirectionRule
) -> Iterator[list[Unit]]:
    """Pairs of relations of one cell in place of the two cells of one relation.

    Yields `DRAWS` lists, each of as many units as there are relations.

    Args:
        questions: With values of shape `prompt layer d_model`.
        process: Whose cells they are drawn in.
        rule: For its seed.
    """
    count = len(set(questions.relation.tolist()))
    for pairs in drawn_pairs(questions, process.cells, units=count, draws=DRAWS, seed=rule.seed):
        yield [
            _unit(
                questions,
                [[(cell, r, split) for r in (one, other)] for split in (DISCOVERY, EVALUATION)],
            )
            for cell, one, other in pairs
        ]


def separated(units: Sequence[Unit]) -> Separated:
    """The AUC of each unit along the difference in means of all others.

    The layer is that of the largest mean AUC on discovery prompts, also of units left out. Where
    several layers separate them completely, it is that of the largest mean d among these.
    """
    differences = np.array(
        [one.mean(0, dtype=float) - other.mean(0, dtype=float) for one, other in _discovery(units)]
    )
    total = differences.sum(0)
    along = [
        [
            tuple(_along(side, total - own) for side in sides)
            for sides, own in zip(half, differences, strict=True)
        ]
        for half in (_discovery(units), [unit.evaluation for unit in units])
    ]
    found, judged = (np.array([stats.auc(*sides) for sides in half]) for half in along)
    alike = np.flatnonzero(found.mean(0) == found.mean(0).max())
    if len(alike) > 1:
        spread = [_standardised(*(side[:, alike] for side in sides)) for sides in along[0]]
        alike = alike[np.mean(spread, 0).argmax(keepdims=True)]
    layer = int(alike[0])
    return Separated(
        layer,
        judged[:, layer],
        np.array([_standardised(*(side[:, layer] for side in sides)) for sides in along[1]]),
    )


def _standardised(
    one: Float[np.ndarray, "n1 layer"], other: Float[np.ndarray, "n2 layer"]
) -> Float[np.ndarray, " layer"]:
    """Difference of means over the root mean square of both SDs (n); 0 where there is no spread."""
    spread = np.sqrt((one.var(0) + other.var(0)) / 2)
    apart = one.mean(0) - other.mean(0)
    return np.asarray(np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0))


def _discovery(units: Sequence[Unit]) -> list[Sides]:
    return [unit.discovery for unit in units]


def _along(
    side: Float[np.ndarray, "prompt layer d_model"], direction: Float[np.ndarray, "layer d_model"]
) -> Float[np.ndarray, "prompt layer"]:
    return np.asarray(np.einsum("pld,ld->pl", side, direction))


def separation_evidence(found: Separated, process: Process, rule: ProcessDirectionRule) -> Evidence:
    """The requirement on the mean AUC over relations left out, with its interval and p."""
    test = _over(found.aucs - 0.5, rule)
    first, second = process.cells
    return Evidence(
        f"{first} against {second} along the direction of other relations",
        Effect(
            "AUC",
            found.auc,
            _interval(test),
            method=f"mean over relations, each left out of the fit; layer {found.layer}, selected "
            "on discovery; Student's t over relations",
        ),
        threshold=rule.auc,
        relation=">",
        p=float(test.p[0]),
        p_adjusted=float(test.p[0]),
        alpha=rule.alpha,
        floor=test.floor,
        n=len(found.aucs),
        key="separation",
    )


def _interval(test: stats.ModeratedTest) -> tuple[float, float]:
    """Of a mean AUC, which Student's t alone would let lie above 1."""
    return max(0.0, float(test.low[0]) + 0.5), min(1.0, float(test.high[0]) + 0.5)


def _in_second(
    again: AskedAgain,
    questions: Questions,
    process: Process,
    found: Separated,
    rule: ProcessDirectionRule,
) -> tuple[Evidence, ...]:
    """The same direction on the second set, fitted without the relation that it is tested on."""
    if again.study is None:
        return ()
    second, there = again.second, residual_streams(again.study, again.study.activations)
    aucs, apart = [], []
    for relation in again.relations:
        others = questions.rows((questions.relation != relation) & (questions.split == DISCOVERY))
        one, other = (_mean(others, cell, found.layer) for cell in process.cells)
        own = there.rows(there.relation == relation)
        sides = [
            own.values[own.asked == cell][:, found.layer] @ (one - other) for cell in second.cells
        ]
        aucs.append(float(stats.auc(*sides)))
        apart.append(float(_standardised(*sides)))
    left, auc = _over(np.array(apart) / found.d.mean(), rule), _over(np.array(aucs) - 0.5, rule)
    return (
        Evidence(
            f"the same direction, {second.words}",
            Effect(
                "AUC",
                float(np.mean(aucs)),
                _interval(auc),
                method=f"{second.cells[0]} against {second.cells[1]} of "
                f"{again.study.prompts.name}; mean over {len(aucs)} relations, each left out of "
                "the fit; Student's t over them",
            ),
            threshold=0.5,
            relation=">",
            n=len(aucs),
            key="second",
        ),
        Evidence(
            "separation that is left there",
            Effect(
                "share of d",
                float(np.mean(apart) / found.d.mean()),
                (float(left.low[0]), float(left.high[0])),
                method=f"d {np.mean(apart):.2f} there, {found.d.mean():.2f} before: difference of "
                "means over the SD of the prompts, mean over relations; Student's t over them",
            ),
            n=len(aucs),
        ),
    )


def _over(
    values: Float[np.ndarray, " relation"], rule: ProcessDirectionRule
) -> stats.ModeratedTest:
    return stats.moderated_max(values[:, None], permutations=rule.permutations, seed=rule.seed)


def _mean(questions: Questions, cell: str, layer: int) -> Float[np.ndarray, " d_model"]:
    return np.asarray(questions.values[questions.asked == cell][:, layer].mean(0, dtype=float))


def _least(found: Separated, relations: Sequence[str]) -> Evidence:
    at = int(found.aucs.argmin())
    name = f"least separation of a relation, {relations[at]}"
    return Evidence(name, Effect("AUC", float(found.aucs[at])))


def _twins(study: Study, process: Process, relations: Sequence[str]) -> dict[str, TwinResult]:
    def on_twin(activations: Activations) -> TwinResult:
        questions = residual_streams(study, activations)
        units = [unit_of_relation(questions, process.cells, name) for name in relations]
        return TwinResult(separated(units).auc)

    return on_twins(study, on_twin)
