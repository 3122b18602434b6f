"""What a prediction measured, as frozen values, and the same values read back from a record."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from harness.verdicts import typeset

Bound = Literal[">=", "<=", ">", "<", "secondary"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A measured quantity with its interval; `method` names the estimator and the interval."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    level: float = 0.95
    method: str = ""

    @property
    def known(self) -> bool:
        """Whether the value is a finite number."""
        return math.isfinite(self.value)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Effect":
        """Back from a record."""
        interval = interval_of(record["interval"])
        value = number_of(record["value"])
        return cls(record["name"], value, interval, record["level"], record["method"])


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
        name: What was measured, as a phrase for people: it may say where (`..., layer 2 head 1`).
        relation: How the effect must stand to `threshold`. "secondary" requires nothing: the
            effect is reported and does not decide.
        p: Uncorrected p-value; `p_adjusted` is corrected over `family` and compared with `alpha`.
        floor: The smallest `p_adjusted` this design can reach. Above alpha, nothing could pass.
        n: Samples (pairs, prompts or templates, as the effect's method says).
        published: What the literature reports for this quantity, where it does.
        key: What programs find it by, such as `largest` or `steering.toward.recall`: the same in
            every run, and unique within a finding. Empty where nothing looks for it.
    """

    name: str
    effect: Effect
    threshold: float | None = None
    relation: Bound = "secondary"
    p: float | None = None
    p_adjusted: float | None = None
    alpha: float | None = None
    floor: float | None = None
    family: Family | None = None
    n: int = 0
    published: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        """Refuse a relation that is none."""
        if self.relation not in get_args(Bound):
            raise ValueError(
                f"evidence {self.name!r} has relation {self.relation!r}, not {get_args(Bound)}"
            )

    @property
    def identity(self) -> str:
        """What tells it from other evidence of its prediction, in every run: key, else name."""
        return self.key or self.name

    @property
    def required(self) -> bool:
        """Whether the effect is held against a threshold."""
        return self.relation != "secondary"

    @property
    def decisive(self) -> bool:
        """Whether the verdict depends on it."""
        return self.required or self.alpha is not None

    @property
    def within(self) -> bool:
        """Whether the effect stands as required to its threshold, or nothing is required of it."""
        value, bound = self.effect.value, self.threshold
        if math.isnan(value):
            return False
        if not self.required:
            return True
        if bound is None:
            raise ValueError(f"evidence {self.name!r} has a relation but no threshold")
        return {
            ">=": value >= bound,
            "<=": value <= bound,
            ">": value > bound,
            "<": value < bound,
        }[self.relation]

    @property
    def significant(self) -> bool:
        """Whether its adjusted p is at most alpha, or none is required."""
        if self.alpha is None:
            return True
        return self.p_adjusted is not None and bool(self.p_adjusted <= self.alpha)

    @property
    def passed(self) -> bool:
        """Whether the requirement holds. A value that is not a number never holds."""
        return self.within and self.significant

    @property
    def holds(self) -> bool | None:
        """`passed`, or None where nothing is required."""
        return self.passed if self.decisive else None

    @property
    def failed(self) -> bool:
        """Whether it is required and does not hold."""
        return self.decisive and not self.passed

    def explain(self) -> str:
        """Why it fails, as a clause with the numbers."""
        parts = []
        if self.required:
            value = typeset.number_beside(self.effect.value, self.threshold)
            parts.append(f"{value}, needed {self.relation} {typeset.bound(self.threshold)}")
        if self.alpha is not None:
            p = "missing" if self.p_adjusted is None else typeset.p_value(self.p_adjusted)
            parts.append(f"adjusted p {p}, needed <= {typeset.bound(self.alpha)}")
        return typeset.plain(f"{self.name}: {'; '.join(parts)}")

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record, with what follows from it: `decisive` and `passed`."""
        return {**asdict(self), "decisive": self.decisive, "passed": self.holds}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Evidence":
        """Back from `to_json`; `decisive` and `passed` are worked out again."""
        numbers = ("threshold", "p", "p_adjusted", "alpha", "floor")
        return cls(
            name=record["name"],
            effect=Effect.from_json(record["effect"]),
            relation=record["relation"],
            **{name: optional_number(record[name]) for name in numbers},
            family=None if record["family"] is None else Family(**record["family"]),
            n=record["n"],
            published=record["published"],
            key=record["key"],
        )


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

    def explain(self) -> str:
        """What it shows, as a clause with the number."""
        note = f" ({self.note})" if self.note else ""
        return typeset.plain(f"control {self.name}: {typeset.number(self.value)}{note}")

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Control":
        """Back from a record."""
        value, interval = number_of(record["value"]), interval_of(record["interval"])
        return cls(record["name"], value, record["passed"], interval, record["note"])


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

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Component":
        """Back from a record."""
        q = optional_number(record["q"])
        return cls(**{**record, "effect": number_of(record["effect"]), "q": q})


def number_of(value: float | str | None) -> float:
    """A number of a record: null is not-a-number there, and infinities are text."""
    if value is None:
        return math.nan
    return float(value) if isinstance(value, str) else value


def optional_number(value: float | str | None) -> float | None:
    """A number of a record that may be missing: null is None."""
    return None if value is None else number_of(value)


def interval_of(bounds: list[float | str | None] | None) -> tuple[float, float] | None:
    """An interval of a record."""
    return None if bounds is None else (number_of(bounds[0]), number_of(bounds[1]))
