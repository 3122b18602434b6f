"""The record of a prediction: what is written as JSON, read back, compared and rendered.

`verdict.schema.json` describes the JSON; `Verdict.from_json` gives the same values back.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from harness.verdicts.deciding import Deciding, deciding
from harness.verdicts.earlier import Earlier
from harness.verdicts.evidence import Component, Control, Evidence, Gate
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.severity import Severity

SCHEMA_VERSION = 2
SCHEMA = Path(__file__).with_name("verdict.schema.json")
STRONGEST = 50  # components that a record holds
NOT_SUPPORTED = "not supported"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_TEXTS = ("run_id", "created", "claim_id", "claim", "prediction_id", "prediction")


class Stage(StrEnum):
    """What a verdict is worth: the plan was tuned on the model, or set before it was seen."""

    EXPLORATORY = "exploratory"
    CONFIRMATORY = "confirmatory"


@dataclass(frozen=True, slots=True)
class Known:
    """What a verdict must be on a model whose circuits are known: a check of the instrument.

    Attributes:
        role: `positive` (each task has a circuit of its own) or `negative` (they share one, or one
            of the tasks is not answered).
        expected: The known outcome; or `not supported`, where what is claimed is known to be false
            and a design may be too small to refute it.
        why: What makes it known, in a sentence.
    """

    role: str
    expected: str
    why: str

    def met_by(self, outcome: str) -> bool:
        """Whether an outcome is as known."""
        return as_known(self.expected, outcome)

    def met_undecided(self, outcome: str) -> bool:
        """Whether it is as known for want of a decision: no error, and no proof either."""
        return self.expected == NOT_SUPPORTED and outcome == Outcome.INCONCLUSIVE


def as_known(expected: str, outcome: str) -> bool:
    """Whether an outcome is the expected one; `not supported` is met by two."""
    if expected == NOT_SUPPORTED:
        return outcome in (Outcome.REFUTED, Outcome.INCONCLUSIVE)
    return outcome == expected


@dataclass(frozen=True, slots=True)
class Named:
    """A model or a set of materials: its name, and further facts by the names of the schema."""

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record: one flat object."""
        return {"name": self.name, **self.facts}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Named":
        """Back from `to_json`."""
        return cls(record["name"], {k: v for k, v in record.items() if k != "name"})


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """A hypothesis file's upper-case constants, their hash, and its docstring.

    `constants` holds those of the file by name, and those of the suite by the name of the module.
    """

    hash: str = ""
    constants: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    @property
    def own(self) -> dict[str, Any]:
        """The constants of the hypothesis file."""
        return {k: v for k, v in self.constants.items() if "." not in k}

    @property
    def suite(self) -> dict[str, Mapping[str, Any]]:
        """The constants of the suite's modules, by module."""
        return {k: v for k, v in self.constants.items() if "." in k}


@dataclass(frozen=True, slots=True)
class ComponentSummary:
    """Counts by kind and type, and the strongest few; all of them are in components.parquet."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    strongest: tuple[Component, ...] = ()

    @property
    def total(self) -> int:
        """How many were found, of all kinds and types."""
        return sum(sum(types.values()) for types in self.counts.values())

    @classmethod
    def of(cls, components: Sequence[Component]) -> "ComponentSummary":
        """The summary of what a prediction found."""
        counts: dict[str, dict[str, int]] = {}
        for c in components:
            of_kind = counts.setdefault(c.kind, {})
            of_kind[c.type or "found"] = of_kind.get(c.type or "found", 0) + 1
        strongest = sorted(components, key=lambda c: -abs(c.effect))[:STRONGEST]
        return cls(counts, tuple(strongest))

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ComponentSummary":
        """Back from a record."""
        return cls(record["counts"], tuple(map(Component.from_json, record["strongest"])))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One prediction, for one model on one set of materials, judged. Field meanings: the schema.

    `control` is set on models whose circuits are known, and on no others. `part` is set where a
    claim states several things: which of them this prediction is about. `primary` marks the
    prediction that the claim stands on, `severity` how many same-process contrasts the same rule
    supports, `stage` whether the plan was tuned on this model; empty in records that do not say.
    """

    run_id: str
    created: str
    claim_id: str
    claim: str
    prediction_id: str
    prediction: str
    criterion: Criterion
    outcome: Outcome
    reason: str
    model: Named
    materials: Named
    evidence: tuple[Evidence, ...] = ()
    controls: tuple[Control, ...] = ()
    gates: tuple[Gate, ...] = ()
    components: ComponentSummary = ComponentSummary()
    notes: tuple[str, ...] = ()
    plan: AnalysisPlan = AnalysisPlan()
    baseline: Earlier | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False
    control: Known | None = None
    part: str = ""
    primary: bool = False
    severity: Severity | None = None
    stage: Stage | Literal[""] = ""

    @property
    def deciding(self) -> Deciding:
        """The one number, or sentence, that decided it."""
        return deciding(self)

    @property
    def lead(self) -> Evidence | None:
        """The first piece of evidence that decides, else the first at all, else None."""
        first = self.evidence[0] if self.evidence else None
        return next((e for e in self.evidence if e.decisive), first)

    @property
    def left_open(self) -> bool:
        """Whether it must be supported, and an interval leaves it undecided: no error of the suite.

        An unmet gate is one, since such a model is known to answer.
        """
        must = self.control is not None and self.control.expected == Outcome.SUPPORTED
        met = all(gate.met for gate in self.gates)
        return must and met and self.outcome is Outcome.INCONCLUSIVE

    def evidence_of(self, key: str) -> Evidence | None:
        """The evidence with this key, if the prediction has it."""
        return next((e for e in self.evidence if e.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """Plain Python values (no numpy scalars: they kill an xdist worker).

        `control`, `part`, `primary` and `stage` are marks: a record without them has no such
        field. `deciding` is there for readers; it follows from the rest and is not read back.
        """
        record = {
            "schema_version": SCHEMA_VERSION,
            **{name: getattr(self, name) for name in _TEXTS},
            "criterion": self.criterion,
            "outcome": self.outcome,
            "reason": self.reason,
            "deciding": self.deciding.to_json(),
            "model": self.model.to_json(),
            "materials": self.materials.to_json(),
            "evidence": [e.to_json() for e in self.evidence],
            "controls": [asdict(c) for c in self.controls],
            "gates": [asdict(g) for g in self.gates],
            "components": asdict(self.components),
            "notes": self.notes,
            "plan": asdict(self.plan),
            "severity": None if self.severity is None else self.severity.to_json(),
            "baseline": None if self.baseline is None else self.baseline.to_json(),
            "provenance": self.provenance,
            "seconds": self.seconds,
            "cached": self.cached,
        }
        if self.control is not None:
            record["control"] = asdict(self.control)
        marks = {"part": self.part, "primary": self.primary, "stage": self.stage}
        record |= {name: value for name, value in marks.items() if value}
        plain: dict[str, Any] = to_plain(record)
        return plain

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Verdict":
        """Back from `to_json`; see `records.read_verdicts` for files and other versions."""
        known, baseline = record.get("control"), record["baseline"]
        return cls(
            **{name: record[name] for name in _TEXTS},
            criterion=Criterion(record["criterion"]),
            outcome=Outcome(record["outcome"]),
            reason=record["reason"],
            model=Named.from_json(record["model"]),
            materials=Named.from_json(record["materials"]),
            evidence=tuple(map(Evidence.from_json, record["evidence"])),
            controls=tuple(map(Control.from_json, record["controls"])),
            gates=tuple(Gate(**gate) for gate in record["gates"]),
            components=ComponentSummary.from_json(record["components"]),
            notes=tuple(record["notes"]),
            plan=AnalysisPlan(**record["plan"]),
            baseline=None if baseline is None else Earlier.from_json(baseline),
            provenance=record["provenance"],
            seconds=record["seconds"],
            cached=record["cached"],
            control=None if known is None else Known(**known),
            part=record.get("part", ""),
            primary=record.get("primary", False),
            severity=Severity.from_json(record.get("severity")),
            stage=Stage(record["stage"]) if "stage" in record else "",
        )


def to_plain(value: Any) -> Any:
    """Numpy scalars, tuples and dataclasses to JSON's types; nan to None, infinities to text.

    What JSON has no type for becomes a text that is the same in every process: a function or a
    class its name, anything else its representation without the address.
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return str(value) if isinstance(value, StrEnum) else value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return to_plain(value.item())
    if isinstance(value, Set):
        value = sorted(value, key=repr)
    if isinstance(value, Iterable) and not isinstance(value, Iterator | type):
        return [to_plain(v) for v in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if isinstance(value, int | float) else _text_of(value)


def _text_of(value: Any) -> str:
    name = getattr(value, "__qualname__", getattr(value, "__name__", None))
    if isinstance(name, str):
        return f"{getattr(value, '__module__', '')}.{name}".removeprefix(".")
    return _ADDRESS.sub("", repr(value))


def plan_of(constants: Mapping[str, Any], description: str = "") -> AnalysisPlan:
    """The analysis plan of a hypothesis file's upper-case constants."""
    plain = to_plain(dict(sorted(constants.items())))
    text = json.dumps(plain, sort_keys=True)
    return AnalysisPlan(hashlib.sha256(text.encode()).hexdigest()[:16], plain, description)
