"""The third finding of h1, h2 and h3: are the components of the two processes different ones."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.findings.processes.finding import count_evidence, grade_note
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.measured import Measured, measure_model, selected_of
from harness.findings.processes.rule import ProcessRule
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
    return Finding(
        (_shared(both, shared), *_counts(both), _against_chance(both)),
        gates=tuple(gate for one in both for gate in one.gates),
        notes=tuple(dict.fromkeys(grade_note(one.study) for one in both)),
    )


def _counts(both: list[Measured]) -> list[Evidence]:
    """Components of each process, which there must be."""
    return [replace(count_evidence(one), key=f"count.{one.process.name}") for one in both]


def _shared(both: list[Measured], most: float) -> Evidence:
    """The share of the smaller set that is in both, with an interval over relations."""
    plan, kind = both[0].study.plan, both[0].model.kind
    first, second = (one.model.passed for one in both)
    drawn = _redrawn(both, plan.resamples, plan.seed)
    known = drawn[~np.isnan(drawn)]
    interval = (float("nan"), float("nan"))
    if len(known):
        low, high = np.quantile(known, (0.025, 0.975))
        interval = (float(low), float(high))
    count = int((first & second).sum())
    return Evidence(
        f"{kind}s of the smaller set that serve both processes",
        Effect(
            "share",
            _share(first, second),
            interval,
            method=f"{count:,} of {int(first.sum()):,} and {int(second.sum()):,}; bootstrap of "
            "relations, of those selected on discovery",
        ),
        threshold=most,
        relation="<",
        n=len(both[0].contrasts.relations),
        key="shared",
    )


def _share(first: Bool[np.ndarray, " component"], second: Bool[np.ndarray, " component"]) -> float:
    smaller = min(int(first.sum()), int(second.sum()))
    return float((first & second).sum() / smaller) if smaller else float("nan")


def _redrawn(both: list[Measured], resamples: int, seed: int) -> Float[np.ndarray, " resample"]:
    """The share on resamples of the relations; nan where a set is empty."""
    generator = np.random.default_rng(seed)
    first, second = (selected_of(one) for one in both)
    shares = []
    for _ in range(resamples):
        uniform = generator.random(max(len(first.signed), len(second.signed)))
        sets = []
        for one in (first, second):
            count = len(one.signed)
            drawn = (uniform[:count] * count).astype(int)
            sets.append(one.holding(np.bincount(drawn, minlength=count) / count))
        shares.append(_share(*sets))
    return np.array(shares)


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
