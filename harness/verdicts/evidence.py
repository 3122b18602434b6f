"""What a prediction measured, as frozen values, and the same values read back from a record."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from harness.stats import Decision, all_decided, decided
from harness.verdicts import typeset

State = Decision  # of a requirement: held, failed or undecided
Bound = Literal[">=", "<=", ">", "<", "secondary"]
NO_LARGER_THAN_CHANCE = 0.5  # p of a value that half of the random draws reach


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
        decided_by: "interval": an interval that spans the threshold decides nothing, nor does a
            value that is not a number. "estimate": the value alone decides, as in published
            criteria and of exact quantities; one that is not a number fails.
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
    decided_by: Literal["interval", "estimate"] = "interval"

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
    def reachable(self) -> bool:
        """Whether the design can reach its own alpha."""
        return self.alpha is None or self.floor is None or self.floor <= self.alpha

    @property
    def state(self) -> State | None:
        """Whether the requirement holds; None where nothing is required.

        - Undecided: an estimate that is not a number, or a design that cannot reach its own alpha.
        - Effect: all of its interval must lie beyond the threshold; without one, the value.
        - Test: p must be at most alpha. A larger p refutes nothing by itself: the interval does or,
          in a test by rank, which has none, a value no larger than half of the draws.
        - Failed if the effect or the test fails, else undecided if one of them is, else held.
        """
        if not self.decisive:
            return None
        if not self.reachable:
            return State.UNDECIDED
        if math.isnan(self.effect.value):
            return State.FAILED if self.decided_by == "estimate" else State.UNDECIDED
        test = self.test_state
        if self._by_rank and test is not State.HELD:
            return test  # the threshold is a quantile of the same draws
        return all_decided((self.effect_state, test))

    @property
    def _by_rank(self) -> bool:
        """Whether the test decides alone: no interval is held against a threshold."""
        alone = self._span is None or not self.required
        return self.alpha is not None and self.decided_by == "interval" and alone

    @property
    def effect_state(self) -> State:
        """The effect against its threshold."""
        if not self.required:
            return State.HELD
        if self.threshold is None:
            raise ValueError(
                f"evidence {self.name!r} has the relation {self.relation!r} but no threshold: give "
                "it one, or leave the relation out."
            )
        low, high = self._span or (self.effect.value, self.effect.value)
        return decided(low, high, self.threshold, self.relation)

    @property
    def _span(self) -> tuple[float, float] | None:
        """The interval, where it decides."""
        return self.effect.interval if self.decided_by == "interval" else None

    @property
    def test_state(self) -> State:
        """The test against its alpha."""
        if self.alpha is None:
            return State.HELD
        if self.p_adjusted is None or math.isnan(self.p_adjusted):
            return State.UNDECIDED
        if self.p_adjusted <= self.alpha:
            return State.HELD
        chance = self._by_rank and self.p_adjusted >= NO_LARGER_THAN_CHANCE
        return State.FAILED if chance or self.decided_by == "estimate" else State.UNDECIDED

    @property
    def passed(self) -> bool:
        """Whether the requirement holds."""
        return self.state is State.HELD

    @property
    def failed(self) -> bool:
        """Whether the requirement fails; one that is undecided does not."""
        return self.state is State.FAILED

    @property
    def holds(self) -> bool | None:
        """`passed`, or None where nothing is required."""
        return self.passed if self.decisive else None

    def explain(self) -> str:
        """Why it does not hold, as a clause with the numbers."""
        if not self.reachable:
            return (
                f"{self.name}: the smallest adjusted p this design can reach is {self.floor:.2g}, "
                f"above alpha {self.alpha:g}; use more items or permutations"
            )
        parts = []
        if self.required:
            span = () if math.isnan(self.effect.value) else self._span or ()
            ends = [typeset.number_beside(end, self.threshold) for end in span]
            value = typeset.number_beside(self.effect.value, self.threshold)
            shown = f" [{', '.join(ends)}]" if ends else ""
            parts.append(f"{value}{shown}, needed {self.relation} {typeset.bound(self.threshold)}")
        if self.alpha is not None:
            p = "missing" if self.p_adjusted is None else typeset.p_value(self.p_adjusted)
            parts.append(f"adjusted p {p}, needed <= {typeset.bound(self.alpha)}")
        return typeset.plain(f"{self.name}: {'; '.join(parts)}")

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record, with what follows: `decisive`, `passed` and `state`."""
        follows = {"decisive": self.decisive, "passed": self.holds, "state": self.state}
        return {**asdict(self), **follows}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Evidence":
        """Back from `to_json`; what follows from the rest is worked out again."""
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
            decided_by=record["decided_by"],
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
    """A condition without which the measurement says nothing; unmet, it makes inconclusive.

    Attributes:
        reason: What was found and what is needed. Where the gate is not met, also what is wrong and
            what helps; where it is met, the reason says nothing of this kind and may be empty.
    """

    name: str
    met: bool
    reason: str

    @classmethod
    def of(cls, name: str, met: bool, found: str = "", *, unmet: str = "") -> "Gate":
        """What was found is always said, `unmet` after it where the gate is not met."""
        return cls(name, met, found if met else found + unmet)


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
