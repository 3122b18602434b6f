"""How a test ends, from its verdict and `--gate`: decided here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harness.verdicts.earlier import Change, Earlier
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import Known, Verdict


def _fail(reason: str) -> None:
    pytest.fail(reason, pytrace=False)


def _expect(reason: str) -> None:
    """Fail as expected, without a traceback: for one pytest would write out every array."""
    raise pytest.xfail.Exception(reason, pytrace=False)


@dataclass(frozen=True, slots=True)
class End:
    """What pytest is told: it passes where `tell` is None."""

    tell: Callable[[str], Any] | None = None
    reason: str = ""

    def __call__(self) -> None:
        """End the test so."""
        if self.tell is not None:
            self.tell(self.reason)


def end_of(verdict: Verdict, gate: str) -> End:
    """How the test of this verdict ends.

    supported passes; refuted fails (under `--gate none`: is expected to); inconclusive skips.
    Under `--gate regressions` what the baseline supports must still be supported, and what it
    does not is expected to fail. On a reference model the outcome must be the known one; one that
    must be supported and is left undecided by an interval skips.
    """
    if verdict.control is not None:
        return _of_known(verdict, verdict.control, gate)
    if gate == "regressions" and verdict.baseline is not None:
        against = _against(verdict, verdict.baseline)
        if against is not None:
            return against
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return End(pytest.skip, f"inconclusive: {verdict.reason}")
    if verdict.outcome is Outcome.REFUTED:
        return End(_expect if gate == "none" else _fail, f"refuted: {verdict.reason}")
    return End()


def _of_known(verdict: Verdict, known: Known, gate: str) -> End:
    if known.met_by(verdict.outcome):
        return End()
    if verdict.left_open:
        return End(pytest.skip, f"inconclusive, known to be supported: {verdict.reason}")
    reason = (
        f"{known.role} reference model: {verdict.outcome}, known to be "
        f"{known.expected}: {verdict.reason or known.why}"
    )
    return End(_expect if gate == "none" else _fail, reason)


def _against(verdict: Verdict, earlier: Earlier) -> End | None:
    """Fail what the baseline supports and this run does not; expect what was so before."""
    outcome, reason, name = verdict.outcome, verdict.reason, earlier.name
    if earlier.change is Change.REGRESSED:
        return End(_fail, f"regressed: supported in {name}, {outcome} now: {reason}")
    if outcome is not Outcome.REFUTED:
        return None
    if earlier.change is Change.ABSENT:
        return End(_fail, f"refuted: {reason} (and not in {name}, so not known before)")
    return End(_expect, f"refuted: {reason} ({earlier.outcome} in {name})")
