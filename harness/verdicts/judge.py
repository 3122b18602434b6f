"""From evidence to an outcome: the one place where a decision is taken.

A `Finding` is what a prediction measured; `judge` turns it into an outcome and the sentence that
says why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness.verdicts.components import Components
from harness.verdicts.evidence import Component, Control, Evidence, Gate, State
from harness.verdicts.plots import Plot
from harness.verdicts.severity import Severity


class Outcome(StrEnum):
    """How a prediction fared."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"


class Criterion(StrEnum):
    """Whose rule is applied."""

    PUBLISHED = "published"
    CONTROLLED = "controlled"


@dataclass(frozen=True, slots=True)
class Finding:
    """Everything one prediction measured, before it is judged.

    `samples` holds, by the name of a piece of evidence, the value of every sample behind its
    effect, so that another run can be compared on the same samples: a relation; where the materials
    state none, a pair of them, or an item where items are independent. Their mean is the effect or
    moves with it. `tables` holds the full component tables by source (`model`, `twin 1`...),
    `plots` the figures. `severity` says how many same-process contrasts the same rule supports;
    None where it was not measured.
    """

    evidence: tuple[Evidence, ...]
    controls: tuple[Control, ...] = ()
    gates: tuple[Gate, ...] = ()
    components: tuple[Component, ...] = ()
    notes: tuple[str, ...] = ()
    samples: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tables: Mapping[str, Components] = field(default_factory=dict)
    plots: Sequence[Plot] = ()
    severity: Severity | None = None

    def __post_init__(self) -> None:
        """Refuse repeated keys, samples of no evidence, and values that are not numbers."""
        names = [e.name for e in self.evidence]
        for name, values in self.samples.items():
            if name not in names:
                raise ValueError(f"samples are given for {name!r}, but the evidence is {names}")
            for sample, value in values.items():
                if not math.isfinite(value):
                    raise ValueError(f"samples of {name!r}: {sample!r} is {value}, not a number")
        keys = [e.key for e in self.evidence if e.key]
        if repeated := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"evidence keys must be unique within a finding: {repeated}")


class Inconclusive(Exception):
    """A gate is unmet, so that nothing further is measured; the verdict is inconclusive."""

    def __init__(self, *gates: Gate, evidence: tuple[Evidence, ...] = ()) -> None:
        self.finding = Finding(evidence, gates=gates)
        super().__init__("; ".join(gate.reason for gate in gates if not gate.met))


def require(*gates: Gate) -> tuple[Gate, ...]:
    """The gates, all of them met.

    Raises:
        Inconclusive: If one is unmet.
    """
    if not all(gate.met for gate in gates):
        raise Inconclusive(*gates)
    return gates


def judge(finding: Finding, criterion: Criterion) -> tuple[Outcome, str]:
    """The outcome and its reason.

    Inconclusive if a gate is unmet or the design cannot reach its own alpha; else refuted if a
    decisive piece of evidence failed or, under the controlled criterion, a control misbehaved;
    else inconclusive if one is undecided; else supported. Under the published criterion controls
    are shown and do not decide, because that is how it was published.
    """
    unmet = [gate.reason for gate in finding.gates if not gate.met]
    stopped = unmet and not finding.evidence  # nothing was measured behind the gate
    if not stopped and not any(e.decisive for e in finding.evidence):
        raise ValueError(
            f"none of the {len(finding.evidence)} pieces of evidence can fail: give at least one a "
            "threshold, or a p_adjusted with its alpha."
        )
    if unmet:
        return Outcome.INCONCLUSIVE, "; ".join(unmet)
    if unreachable := [e.explain() for e in finding.evidence if not e.reachable]:
        return Outcome.INCONCLUSIVE, unreachable[0]  # other counts may be 0 for this alone
    failed = [e.explain() for e in finding.evidence if e.state is State.FAILED]
    if criterion is Criterion.CONTROLLED:
        failed += [c.explain() for c in finding.controls if c.passed is False]
    if failed:
        return Outcome.REFUTED, "; ".join(failed)
    undecided = [e.explain() for e in finding.evidence if e.state is State.UNDECIDED]
    if undecided:
        return Outcome.INCONCLUSIVE, "undecided: " + "; ".join(undecided)
    return Outcome.SUPPORTED, "every requirement holds"
