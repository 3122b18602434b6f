"""The primary predictions of a run as one family: which supported ones remain after correction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness import stats
from harness.verdicts import typeset
from harness.verdicts.evidence import Evidence
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Primary:
    """A primary prediction in the family of its run.

    Attributes:
        verdict: Its verdict, which the correction does not change.
        p: The largest adjusted p of its decisive tests, all of which must be at most alpha; None if
            it has no test, or was not measured.
        p_adjusted: Holm's, over all primaries of the run that have a p.
        alpha: The smallest alpha of its tests.
        floor: The largest of their floors; None if p is continuous.
    """

    verdict: Verdict
    p: float | None
    p_adjusted: float | None
    alpha: float | None
    floor: float | None

    @property
    def supported(self) -> bool:
        """Whether its verdict is."""
        return self.verdict.outcome is Outcome.SUPPORTED

    @property
    def remains(self) -> bool | None:
        """Whether it is still supported after correction; None if it was not, or has no p."""
        if not self.supported or self.p_adjusted is None or self.alpha is None:
            return None
        return self.p_adjusted <= self.alpha

    @property
    def name(self) -> str:
        """`h8 mini-qwen each_circuit_serves_its_own_process_more-head`."""
        v = self.verdict
        return f"{v.claim_id} {v.model.name} {v.prediction_id}"

    def to_json(self) -> dict[str, Any]:
        """As it stands at the head of the file."""
        v = self.verdict
        return {
            "claim_id": v.claim_id,
            "prediction_id": v.prediction_id,
            "model": v.model.name,
            "materials": v.materials.name,
            "outcome": str(v.outcome),
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "alpha": self.alpha,
            "remains": self.remains,
        }


@dataclass(frozen=True, slots=True)
class Primaries:
    """All primary predictions of a run.

    Attributes:
        each: In the order of the verdicts.
        expected_false: How many would be supported on average if no claim were true, at most, of
            those that were decided by a test.
    """

    each: tuple[Primary, ...]
    expected_false: float

    def lines(self) -> list[str]:
        """What the terminal and the report say of them; nothing without primaries."""
        if not self.each:
            return []
        supported = [p for p in self.each if p.supported]
        tested = [p for p in self.each if p.p is not None]
        lost = [p for p in supported if p.remains is False]
        untested = [p for p in supported if p.remains is None]
        kept = len(supported) - len(lost) - len(untested)
        first = f"{len(supported)} of {len(self.each)} primary predictions are supported"
        if tested:
            first += (
                f", {kept} of them after Holm's correction over the {len(tested)} with a p; "
                f"if no claim were true, at most {self.expected_false:.2f} would be supported"
            )
        lines = [first]
        lines += [
            f"  not after correction: {p.name}, adjusted p {typeset.p_value(p.p_adjusted)}, "
            f"needed <= {typeset.bound(p.alpha)}"
            for p in lost
        ]
        if untested:
            named = ", ".join(p.name for p in untested)
            lines.append(f"  without a p, decided by intervals: {named}")
        return [typeset.plain(line) for line in lines]

    def to_json(self) -> dict[str, Any]:
        """As it stands at the head of `verdicts.json`."""
        return {
            "method": "Holm over the primary predictions of the run that have a p-value",
            "expected_false_supports": self.expected_false,
            "predictions": [p.to_json() for p in self.each],
        }


def primaries_of(verdicts: Sequence[Verdict]) -> Primaries:
    """The primary predictions among verdicts, corrected as one family.

    Verdicts on reference models check the instrument and are in no family.
    """
    own = [v for v in verdicts if v.primary and v.control is None]
    tests = [_tests(v) for v in own]
    largest = {
        at: max(e.p_adjusted for e in each if e.p_adjusted is not None)
        for at, each in enumerate(tests)
        if each
    }
    adjusted = stats.holm_over_primaries({str(at): p for at, p in largest.items()})
    found = [
        Primary(
            verdict=verdict,
            p=largest.get(at),
            p_adjusted=adjusted.get(str(at)),
            alpha=min((e.alpha for e in each if e.alpha is not None), default=None),
            floor=max((e.floor for e in each if e.floor is not None), default=None),
        )
        for at, (verdict, each) in enumerate(zip(own, tests, strict=True))
    ]
    decided = [
        (p.alpha, p.floor)
        for p in found
        if p.alpha is not None and p.verdict.outcome in (Outcome.SUPPORTED, Outcome.REFUTED)
    ]
    alphas, floors = [alpha for alpha, _ in decided], [floor for _, floor in decided]
    return Primaries(tuple(found), stats.expected_false_supports(alphas, floors))


def _tests(verdict: Verdict) -> list[Evidence]:
    """Its decisive tests with a p that is a number."""
    return [
        e
        for e in verdict.evidence
        if e.alpha is not None and e.p_adjusted is not None and not math.isnan(e.p_adjusted)
    ]
