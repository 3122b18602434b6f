"""The finding of h14: what composes in silence, while a model writes its steps.

If the right answers stay without it, each written step is a lookup, and what composes in silence is
not needed. If they go and lookup after one written step stays, it composes in writing too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.findings.processes.kinds import cell_of
from harness.findings.processes.other_circuits import Compared, beyond_others
from harness.findings.processes.selected import interval_over_relations
from harness.findings.processes.writing import (
    CELLS,
    Measured,
    Take,
    WritingRule,
    by_relation,
    losses,
    measure_writing,
)
from harness.findings.twins import left_out, worth_controls
from harness.study.steps import Written
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding

UNIT = "share of what guessing loses"
REASONING, LOOKUP = CELLS


def writing_finding(study: Study, take: Take, rule: WritingRule) -> Finding:
    """Whether answers that follow written steps are lost without what composes in silence.

    Args:
        study: The model, on prompts with one question each.
        take: Finds it.
        rule: When it acts.

    Raises:
        Inconclusive: If a gate is unmet.
    """
    measured = measure_writing(study, take, rule)
    lost, spared = _lost(measured), _spared(measured)
    met = worth_controls(study, [lost, spared])
    others = _others(measured) if met else None
    compared = (_beyond(measured, others),) if others else ()
    by_name = zip(measured.relations, measured.lost[REASONING].tolist(), strict=True)
    return Finding(
        (lost, spared, *compared, *_first_wrong(measured), *_readable(measured, others)),
        gates=measured.gates,
        notes=(_how_found(measured), *left_out(f"other {measured.taken.sort}", met=met)),
        samples={lost.name: dict(by_name)},
        severity=others.lost.severity if others else None,
    )


def _effect(measured: Measured, cell: str) -> Effect:
    values = measured.lost[cell]
    rows = measured.writer.rows(cell) & (measured.intact.right == 1)
    wrong = rows & (measured.ablated.parsed == 1) & (measured.ablated.right == 0)
    unread = "are lost too" if cell == LOOKUP else "are left out"
    return Effect(
        UNIT,
        float(values.mean()),
        interval_over_relations(values.dot, measured.relations, measured.writer.study.plan),
        method=f"of {int(rows.sum())} right answers {int(wrong.sum())} become another one, "
        f"{int((rows & (measured.ablated.parsed == 0)).sum())} cannot be read and {unread}; "
        "bootstrap of relations",
    )


def _lost(measured: Measured) -> Evidence:
    return Evidence(
        f"{REASONING} after written steps, lost without the {measured.taken.called}",
        _effect(measured, REASONING),
        threshold=measured.rule.circuit.target,
        relation=">=",
        n=len(measured.relations),
        key="lost",
    )


def _spared(measured: Measured) -> Evidence:
    return Evidence(
        f"{LOOKUP} after a written step, lost without the {measured.taken.called}",
        _effect(measured, LOOKUP),
        threshold=measured.rule.circuit.margin,
        relation="<=",
        n=len(measured.relations),
        key="spared",
    )


@dataclass(frozen=True, slots=True)
class Others:
    """The judged circuit or direction, random ones and same-process ones, on a few stories.

    Attributes:
        lost: Of reasoning, mean over relations; an answer that cannot be read counts as lost.
        readable: Share of texts that end in an answer: without random ones, without the others.
    """

    lost: Compared
    readable: tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " circuit"]]


def _others(measured: Measured) -> Others:
    """Others of the same size, on the first stories of each relation with a right answer.

    There an answer counts as lost also if it cannot be read, alike for all, so that each has a
    number.
    """
    writer, taken = measured.writer, measured.taken
    items = [
        item
        for item, right in zip(writer.asked.items, measured.intact.right, strict=True)
        if right and cell_of(item) == REASONING and item.relation in measured.relations
    ]
    first = {item.relation: item.pair for item in reversed(items)}
    few = writer.asked.where(
        lambda item: cell_of(item) == REASONING and first.get(item.relation) == item.pair
    )
    kept = {item.id for item in few.items}
    rows = [place for place, item in enumerate(writer.asked.items) if item.id in kept]
    random, same = taken.others()
    each = [writer.writes(how, taken.directions, few) for how in (*random, *same)]
    each = [_at(measured.ablated, rows), *each]
    intact, names = _at(measured.intact, rows), list(measured.relations)
    lost = [by_relation(losses(few, intact, e, unread=True), few, names).mean() for e in each]
    meets = np.array(lost) >= measured.rule.circuit.target
    readable = np.array([e.parsed.mean() for e in each[1:]])
    return Others(
        Compared.of(np.array(lost), meets, len(random)),
        (readable[: len(random)], readable[len(random) :]),
    )


def _at(written: Written, rows: Sequence[int]) -> Written:
    return Written(**{name: array[rows] for name, array in written.arrays().items()})


def _beyond(measured: Measured, others: Others) -> Evidence:
    sort = measured.taken.sort
    return beyond_others(
        f"the same, against other {sort}",
        others.lost,
        what=(f"random {sort}", f"{sort} between questions of one process"),
        alpha=measured.rule.circuit.alpha,
        key="beyond",
        unit=UNIT,
    )


def _first_wrong(measured: Measured) -> tuple[Evidence, ...]:
    """Secondary: where, in the steps of lost answers, the first wrong one stands."""
    items, ablated = measured.writer.asked.items, measured.ablated
    wrong = (measured.intact.right == 1) & (ablated.parsed == 1) & (ablated.right == 0)
    rows = np.flatnonzero(wrong & measured.writer.rows(REASONING))
    if not len(rows):
        return ()
    reached, steps = ablated.steps[rows], np.array([len(items[row].entities) - 1 for row in rows])
    first, all_right = float((reached == 0).mean()), float((reached == steps).mean())
    return (
        Evidence(
            f"lost answers to {REASONING} whose first step is wrong",
            Effect(
                "share",
                first,
                method=f"a later step is wrong in {1 - first - all_right:.2f}; all steps are right "
                f"and the answer is another one in {all_right:.2f}",
            ),
            n=len(rows),
            key="first_wrong",
        ),
    )


def _readable(measured: Measured, others: Others | None) -> list[Evidence]:
    """Secondary: how many texts end in an answer, in every arm."""
    sort = measured.taken.sort
    arms = {"intact": measured.intact, f"without the {measured.taken.called}": measured.ablated}
    shares = {name: _said(measured, written) for name, written in arms.items()}
    if others:
        names = (f"without random {sort}", f"without {sort} between questions")
        for name, values in zip(names, others.readable, strict=True):
            if len(values):
                shares[name] = float(values.mean()), f"mean of {len(values)}; {REASONING} alone"
    return [
        Evidence(f"texts that end in an answer, {name}", Effect("share", share, method=method))
        for name, (share, method) in shares.items()
    ]


def _said(measured: Measured, written: Written) -> tuple[float, str]:
    each = {cell: measured.writer.rows(cell) for cell in CELLS}
    said = ", ".join(
        f"{cell} {written.parsed[rows].mean():.2f} (right {written.right[rows].mean():.2f})"
        for cell, rows in each.items()
    )
    return float(written.parsed.mean()), said


def _how_found(measured: Measured) -> str:
    return (
        f"{measured.taken.found}, and taken away while the model read "
        f"{len(measured.writer.asked)} prompts of other relations "
        f"({', '.join(measured.relations)}) and wrote at most {measured.rule.tokens} tokens after "
        "each"
    )
