"""The third finding of h1, h2 and h3: are the components of the two processes different ones."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.processes.finding import count_evidence, grade_note, served
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.measured import Measured, measure_model, selected_of
from harness.findings.processes.rule import ProcessRule
from harness.findings.processes.selected import share_interval
from harness.study.study import Study
from harness.verdicts.components import ComponentKind
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding


def different_finding(
    study: Study,
    kind: ComponentKind,
    rule: ProcessRule,
    *,
    needed: tuple[int, int],
    shared: float,
    gate: float,
) -> Finding:
    """Both processes have components, and most of the smaller set serve one process alone.

    Args:
        study: The model and the materials.
        kind: Of component.
        rule: When a component serves a process.
        needed: A count and the number of components it was asked of, in the published model.
        shared: Share of the smaller set that may serve both, at most.
        gate: Least accuracy in each cell.
    """
    both = [
        measure_model(study, kind, process, rule, needed=needed, gate=gate)
        for process in (RETRIEVAL, COMPOSING)
    ]
    overlap = (_shared(both, shared), *(_named(count_evidence(one), one) for one in both))
    # The rest can only take support away.
    each = [served(one, gate) for one in both] if all(e.passed for e in overlap) else []
    return Finding(
        (
            *overlap,
            *(_named(e, one.measured) for one in each for e in one.required[1:]),
            _against_chance(both),
        ),
        tuple(
            replace(control, name=f"{one.measured.process.name}, {control.name}")
            for one in each
            for control in one.controls
        ),
        gates=(
            *(gate for one in both for gate in one.gates),
            *(gate for one in each for gate in one.gates),
        ),
        notes=tuple(
            dict.fromkeys(
                (*(grade_note(one.study) for one in both), *(n for one in each for n in one.notes))
            )
        ),
    )


def _named(evidence: Evidence, of: Measured) -> Evidence:
    """A requirement of one process among those of both."""
    process = of.process.name
    name = evidence.name if process in evidence.name else f"{process}: {evidence.name}"
    key = f"{evidence.key}.{process}" if evidence.key else ""
    return replace(evidence, name=name, key=key)


def _shared(both: list[Measured], most: float) -> Evidence:
    """The share of the smaller set that is in both, with an interval over relations."""
    kind = both[0].model.kind
    first, second = (one.model.passed for one in both)
    value, count = _share(first, second), int((first & second).sum())
    return Evidence(
        f"{kind}s of the smaller set that serve both processes",
        Effect(
            "share",
            value,
            _interval(both, value),
            method=f"{count:,} of {int(first.sum()):,} and {int(second.sum()):,}; bootstrap of "
            "relations, of those selected on discovery; one whose contrast of the other process "
            "may lie beyond the bar may serve both",
        ),
        threshold=most,
        relation="<",
        n=len(both[0].contrasts.relations),
        key="shared",
    )


def _share(first: Bool[np.ndarray, " component"], second: Bool[np.ndarray, " component"]) -> float:
    smaller = min(int(first.sum()), int(second.sum()))
    return float((first & second).sum() / smaller) if smaller else float("nan")


def _may_share(both: list[Measured]) -> float:
    """The share of the smaller set that is not surely without the other process.

    A contrast that does not hold may be there: its interval must lie within the bar.
    """
    one, other = sorted(both, key=lambda each: int(each.model.passed.sum()))
    decisions, own = other.decisions, one.model.passed
    most = np.maximum(decisions.high, -decisions.low)
    may = (most > other.rule.threshold_d).reshape(len(own), -1).any(1)
    return float((own & (may | other.model.passed)).sum() / own.sum()) if own.any() else 0.0


def _interval(both: list[Measured], value: float) -> tuple[float, float]:
    """Of the share, over the relations of either process; nan where a set is mostly empty.

    A resample is asked for effects beyond the bar, not for a p or for a sign that stays: relations
    that are drawn twice are no two relations. So its sets may be larger than those of the rule, and
    the rule's own share always lies inside.
    """
    if np.isnan(value):
        return value, value
    relations = list(dict.fromkeys(name for one in both for name in one.contrasts.relations))
    each = [
        (selected_of(one), [relations.index(name) for name in one.contrasts.relations])
        for one in both
    ]

    def share(weights: Float[np.ndarray, " relation"]) -> float:
        if not all(weights[own].any() for _, own in each):
            return float("nan")
        return _share(*(one.holding(weights[own] / weights[own].sum()) for one, own in each))

    low, high = share_interval(value, share, relations, both[0].study.plan)
    return low, max(high, _may_share(both))


def _against_chance(both: list[Measured]) -> Evidence:
    """Secondary: the overlap beside that of random sets with as many in each layer."""
    first, second = (one.model for one in both)
    overlap = stats.overlap_by_layer(first.passed, second.passed, first.layer)
    return Evidence(
        f"{first.kind}s that serve both, against chance",
        Effect(
            "count",
            float(overlap.shared),
            method=f"chance {overlap.expected:.1f} with as many in each layer; p of as few "
            f"{overlap.p_less:.2g}, of as many {overlap.p_more:.2g}",
        ),
        n=len(first),
    )
