"""How severe a rule is: how often it supports what is no difference of process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from harness import stats
from harness.verdicts import typeset


@dataclass(frozen=True, slots=True)
class Severity:
    """Same-process contrasts, and how many of them the rule of a prediction supports.

    A verdict that most of them would get says little about the process.

    Attributes:
        supported: How many the rule supports.
        contrasts: How many were judged by it, 1 or more.

    Raises:
        ValueError: If there are no contrasts, or more are supported than there are.
    """

    supported: int
    contrasts: int

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 <= self.supported <= self.contrasts or self.contrasts < 1:
            raise ValueError(
                f"severity: {self.supported} of {self.contrasts} contrasts are supported; expected "
                "1 contrast or more, and no more supported than there are."
            )

    @classmethod
    def of(cls, supported: Bool[np.ndarray, " contrast"]) -> "Severity":
        """Of a rule that supports some of the contrasts it judged."""
        return cls(int(supported.sum()), len(supported))

    @property
    def share(self) -> float:
        """Share of the contrasts that the rule supports."""
        return self.supported / self.contrasts

    @property
    def interval(self) -> tuple[float, float]:
        """Exact binomial 95 % interval of the share.

        Contrasts that share a relation depend on each other, which it does not account for.
        """
        return stats.binomial_interval(self.supported, self.contrasts)

    def __str__(self) -> str:
        """The sentence that stands beside a supported verdict."""
        noun = "contrast" if self.contrasts == 1 else "contrasts"
        return (
            f"the same rule supports {self.supported:,} of {self.contrasts:,} same-process {noun} "
            f"{typeset.interval_text(self.interval)}"
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record, with what follows: share and interval."""
        return {
            "supported": self.supported,
            "contrasts": self.contrasts,
            "share": self.share,
            "interval": list(self.interval),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any] | None) -> "Severity | None":
        """Back from a record; None where severity was not measured."""
        return None if record is None else cls(record["supported"], record["contrasts"])
