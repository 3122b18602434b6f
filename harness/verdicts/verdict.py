"""From evidence to a verdict: the one place where a decision is taken.

Everything here is plain values. A `Finding` is what a prediction measured; `judge` turns it
into an outcome and the sentence that says why; a `Verdict` is the whole record (the JSON that
is written, compared and rendered), described by `verdict.schema.json`.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from harness.verdicts.components import Components
from harness.verdicts.plots import Plot

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).with_name("verdict.schema.json")
NEGLIGIBLE = 0.01  # nats


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
class Effect:
    """A measured quantity with its interval; `method` names the estimator and the interval."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """The tests a p-value was corrected over."""

    name: str
    size: int
    method: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One requirement of a prediction, and what was measured for it.

    Attributes:
        relation: How the effect must stand to `threshold`; "shown" asks for nothing.
        p: Uncorrected p-value; `p_adjusted` is corrected over `family` and compared with `alpha`.
        floor: The smallest `p_adjusted` this design can reach. Above alpha, nothing could pass.
        n: Units of analysis (pairs, prompts or templates, as the effect's method says).
        published: What the literature reports for this quantity, where it does.
    """

    name: str
    effect: Effect
    threshold: float | None = None
    relation: Literal[">=", "<=", ">", "<", "shown"] = "shown"
    p: float | None = None
    p_adjusted: float | None = None
    alpha: float | None = None
    floor: float | None = None
    family: Family | None = None
    n: int = 0
    published: str = ""

    @property
    def decisive(self) -> bool:
        """Whether the verdict depends on it."""
        return self.relation != "shown" or self.alpha is not None

    @property
    def passed(self) -> bool:
        """Whether the requirement holds. A value that is not a number never holds."""
        value, bound = self.effect.value, self.threshold
        if math.isnan(value):
            return False
        if self.relation != "shown":
            if bound is None:
                raise ValueError(f"evidence {self.name!r} has a relation but no threshold")
            holds = {
                ">=": value >= bound,
                "<=": value <= bound,
                ">": value > bound,
                "<": value < bound,
            }[self.relation]
            if not holds:
                return False
        if self.alpha is not None:
            return self.p_adjusted is not None and bool(self.p_adjusted <= self.alpha)
        return True

    def explain(self) -> str:
        """Why it fails, as a clause with the numbers."""
        parts = []
        if self.relation != "shown":
            parts.append(f"{self.effect.value:.3g}, needed {self.relation} {self.threshold:.3g}")
        if self.alpha is not None:
            p = "missing" if self.p_adjusted is None else f"{self.p_adjusted:.2g}"
            parts.append(f"adjusted p {p}, needed <= {self.alpha:g}")
        return f"{self.name}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Control:
    """The same measurement where the claim must not hold.

    `passed` means that the control behaved as it must (the untrained twin shows nothing); None
    where it is shown without a requirement.
    """

    name: str
    value: float
    passed: bool | None
    interval: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition without which the measurement says nothing; unmet, it makes inconclusive."""

    name: str
    met: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the model that was found. `index` is the head or neuron, None for a layer."""

    kind: Literal["layer", "head", "neuron"]
    layer: int
    index: int | None
    effect: float
    q: float | None
    type: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Everything one prediction measured, before it is judged.

    `units` holds, by the name of a piece of evidence, the value of every unit behind its effect
    (a pair of the materials, or an item where items are independent), so that another run can be
    compared on the same units. Their mean is the effect or moves with it. `tables` holds the full
    component tables by source (`model`, `twin 1`...), `plots` the figures.
    """

    evidence: tuple[Evidence, ...]
    controls: tuple[Control, ...] = ()
    gates: tuple[Gate, ...] = ()
    components: tuple[Component, ...] = ()
    notes: tuple[str, ...] = ()
    units: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tables: Mapping[str, Components] = field(default_factory=dict)
    plots: Sequence[Plot] = ()

    def __post_init__(self) -> None:
        """Refuse units of no evidence, and values that are not numbers."""
        names = [e.name for e in self.evidence]
        for name, values in self.units.items():
            if name not in names:
                raise ValueError(f"units are given for {name!r}, but the evidence is {names}")
            for unit, value in values.items():
                if not math.isfinite(value):
                    raise ValueError(f"units of {name!r}: {unit!r} is {value}, not a number")


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

    Inconclusive if a gate is unmet or the design cannot reach its own alpha; else supported if
    every decisive piece of evidence holds and, under the controlled criterion, every control
    behaved; else refuted. Under the published criterion controls are shown and do not decide,
    because that is how it was published.
    """
    unmet = [gate.reason for gate in finding.gates if not gate.met]
    stopped = unmet and not finding.evidence  # nothing was measured behind the gate
    if not stopped and not any(e.decisive for e in finding.evidence):
        raise ValueError("a prediction needs at least one piece of evidence that can fail")
    if unmet:
        return Outcome.INCONCLUSIVE, "; ".join(unmet)
    for e in finding.evidence:
        if e.alpha is not None and e.floor is not None and e.floor > e.alpha:
            return Outcome.INCONCLUSIVE, (
                f"{e.name}: the smallest adjusted p this design can reach is {e.floor:.2g}, "
                f"above alpha {e.alpha:g}; use more items or permutations"
            )
    failed = [e.explain() for e in finding.evidence if e.decisive and not e.passed]
    if criterion is Criterion.CONTROLLED:
        failed += [
            f"control {c.name}: {c.value:.3g}" + (f" ({c.note})" if c.note else "")
            for c in finding.controls
            if c.passed is False
        ]
    if failed:
        return Outcome.REFUTED, "; ".join(failed)
    return Outcome.SUPPORTED, "every requirement holds"


@dataclass(frozen=True, slots=True)
class Known:
    """What a verdict must be on a model whose circuits are known: a check of the instrument.

    Attributes:
        role: `positive` (each task has a circuit of its own) or `negative` (they share one).
        expected: The known outcome.
        why: What makes it known, in a sentence.
    """

    role: str
    expected: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One prediction, for one model on one set of materials, judged. Field meanings: the schema."""

    run_id: str
    created: str
    claim_id: str
    claim: str
    prediction_id: str
    prediction: str
    criterion: str
    outcome: str
    reason: str
    model: Mapping[str, Any]
    materials: Mapping[str, Any]
    evidence: Sequence[Mapping[str, Any]] = ()
    controls: Sequence[Mapping[str, Any]] = ()
    components: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False
    schema_version: int = SCHEMA_VERSION
    control: Known | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain Python values (no numpy scalars: they kill an xdist worker).

        `control` is a mark: a record without it has no such field.
        """
        plain: dict[str, Any] = to_plain(asdict(self))
        if self.control is None:
            del plain["control"]
        return plain


def evidence_record(e: Evidence) -> dict[str, Any]:
    """A piece of evidence as it stands in the record."""
    return {**asdict(e), "decisive": e.decisive, "passed": e.passed if e.decisive else None}


COMPONENTS_KEPT = 50


def components_record(components: Sequence[Component]) -> dict[str, Any]:
    """Counts by kind and type, and the strongest few; all of them are in components.parquet."""
    strongest = sorted(components, key=lambda c: -abs(c.effect))[:COMPONENTS_KEPT]
    counts: dict[str, dict[str, int]] = {}
    for c in components:
        of_kind = counts.setdefault(c.kind, {})
        of_kind[c.type or "found"] = of_kind.get(c.type or "found", 0) + 1
    return {"counts": counts, "strongest": [asdict(c) for c in strongest]}


def to_plain(value: Any) -> Any:
    """Numpy scalars and tuples to JSON's own types; not-a-number to None, infinities to text."""
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return str(value) if isinstance(value, StrEnum) else value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return to_plain(value.item())
    if isinstance(value, Iterable):
        return [to_plain(v) for v in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def plan_of(constants: Mapping[str, Any]) -> dict[str, Any]:
    """A hypothesis file's upper-case constants and their hash: the analysis plan."""
    plain = to_plain(dict(sorted(constants.items())))
    text = json.dumps(plain, sort_keys=True)
    return {"hash": hashlib.sha256(text.encode()).hexdigest()[:16], "constants": plain}


def moved_in_words(low: float, high: float) -> str:
    """What the interval of a change of the logit difference, nats, says of a task.

    One that ends within `NEGLIGIBLE` of 0 says nothing: rounding alone moves a logit by 1e-5.
    """
    return "helps" if low > NEGLIGIBLE else "hurts" if high < -NEGLIGIBLE else "does not move"
