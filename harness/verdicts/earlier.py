"""What a record says of the same prediction in an earlier run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.verdicts.evidence import interval_of, optional_number
from harness.verdicts.judge import Outcome

ALPHA = 0.05  # of the family of all effects compared


class Change(StrEnum):
    """What became of a verdict. `REGRESSED` fails a test, `WEAKER` the run at its end."""

    REGRESSED = "regressed"  # supported before and not now, for whatever reason
    WEAKER = "weaker"  # still supported, by an effect that fell significantly
    NEWLY_SUPPORTED = "newly supported"
    STRONGER = "stronger"
    OTHER = "other"  # supported in neither, and another outcome
    SAME = "as before"
    ABSENT = "not in the baseline"
    NOT_COMPARED = "not compared"  # made with other materials or another plan


@dataclass(frozen=True, slots=True)
class Moved:
    """One effect then and now.

    Attributes:
        evidence: Its name in this run.
        before: The earlier effect, as its record has it; `now` this run's. None if it is not
            a finite number.
        delta: Mean over shared samples of now minus before; without samples, of the two effects.
        interval: Of `delta`, at 95 %; None without samples.
        p: Uncorrected; `p_adjusted` is corrected over all effects that are compared.
        n: Samples both runs have; 0 where the effects are not paired.
        better: Whether the change is away from refutation; None if it is neither.
    """

    evidence: str
    before: float | None
    now: float | None
    delta: float | None
    interval: tuple[float, float] | None = None
    p: float | None = None
    p_adjusted: float | None = None
    n: int = 0
    better: bool | None = None

    @property
    def significant(self) -> bool:
        """Whether the change is more than chance, over the whole family."""
        return self.p_adjusted is not None and self.p_adjusted <= ALPHA

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record."""
        return {**asdict(self), "significant": self.significant}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Moved":
        """Back from `to_json`."""
        numbers = ("before", "now", "delta", "p", "p_adjusted")
        return cls(
            evidence=record["evidence"],
            interval=interval_of(record["interval"]),
            **{name: optional_number(record[name]) for name in numbers},
            n=record["n"],
            better=record["better"],
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """The same prediction in the run that is compared with.

    Attributes:
        name: Of the baseline, such as `0001_release-1`.
        run_id, model, outcome: Of the earlier verdict; None if there is none.
        effects: Every decisive effect, then and now.
        method: How effects were compared on the samples that both runs have; empty if none were.
        differences: Why the two were not compared, a clause each.
        deciding: What decided the earlier verdict; empty if there is none.
    """

    name: str
    run_id: str | None
    model: str | None
    outcome: Outcome | None
    change: Change
    effects: tuple[Moved, ...] = ()
    method: str = ""
    differences: tuple[str, ...] = ()
    deciding: str = ""

    @property
    def first(self) -> Moved | None:
        """The first effect that was compared."""
        return self.effects[0] if self.effects else None

    @property
    def comparable(self) -> bool:
        """Whether there was an earlier verdict, made in the same way."""
        return self.outcome is not None and not self.differences

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record; `delta` and `interval` are of the first effect."""
        return {
            "name": self.name,
            "run_id": self.run_id,
            "model": self.model,
            "outcome": self.outcome,
            "change": self.change,
            "delta": self.first.delta if self.first else None,
            "interval": self.first.interval if self.first else None,
            "effects": [moved.to_json() for moved in self.effects],
            "method": self.method,
            "differences": list(self.differences),
            "deciding": self.deciding,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Earlier":
        """Back from `to_json`."""
        return cls(
            name=record["name"],
            run_id=record["run_id"],
            model=record["model"],
            outcome=None if record["outcome"] is None else Outcome(record["outcome"]),
            change=Change(record["change"]),
            effects=tuple(Moved.from_json(moved) for moved in record["effects"]),
            method=record["method"],
            differences=tuple(record["differences"]),
            deciding=record["deciding"],
        )
