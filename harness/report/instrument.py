"""The check of the instrument: verdicts on models whose circuits are known, right or wrong.

They are no results: they stand at the head of the report and in no other table of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.verdicts import distinct, natural
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import Known, Verdict

_ROLES = {
    "positive": "a circuit of its own for each task",
    "negative": "one circuit for all tasks, or none for one of them",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """One verdict that was known beforehand."""

    record: Verdict
    known: Known

    @property
    def right(self) -> bool:
        """Whether the suite said what is known."""
        return self.known.met_by(self.record.outcome)


@dataclass(frozen=True, slots=True)
class InstrumentCheck:
    """All known verdicts of one role. `known` says in words what the model is."""

    role: str
    known: str
    models: Sequence[str]
    verdicts: Sequence[Checked]

    @property
    def right(self) -> int:
        """How many are as known."""
        return sum(v.right for v in self.verdicts)

    @property
    def undecided(self) -> int:
        """How many are so for want of a decision."""
        return sum(v.known.met_undecided(v.record.outcome) for v in self.verdicts)

    @property
    def open(self) -> int:
        """How many must be supported and are undecided."""
        return sum(v.record.left_open for v in self.verdicts)

    @property
    def wrong(self) -> list[Checked]:
        """Those that are decided otherwise, or stopped at a gate."""
        return [v for v in self.verdicts if not v.right and not v.record.left_open]


def instrument_checks(records: Sequence[Verdict]) -> list[InstrumentCheck]:
    """The known verdicts by role, positive first; nothing where none is marked."""
    found = []
    for role, known in _ROLES.items():
        marked = [Checked(r, r.control) for r in records if r.control and r.control.role == role]
        if marked:
            marked.sort(key=lambda c: (natural(c.record.claim_id), c.record.model.name))
            names = distinct(c.record.model.name for c in marked)
            found.append(InstrumentCheck(role, known, names, marked))
    return found


def by_claim(checks: Sequence[InstrumentCheck]) -> list[str]:
    """Claim by claim, how many verdicts are as known: those that must be supported, the others."""
    marked = [v for check in checks for v in check.verdicts]
    said = []
    for words, supported in (
        ("Supported where it must be", True),
        ("Not supported where it must not be", False),
    ):
        found: dict[str, list[bool]] = {}
        for v in sorted(marked, key=lambda v: natural(v.record.claim_id)):
            if (v.known.expected == Outcome.SUPPORTED) is supported:
                found.setdefault(v.record.claim_id, []).append(v.right)
        counts = (f"{claim} {sum(right)} of {len(right)}" for claim, right in found.items())
        said += [f"{words}: {', '.join(counts)}."] if found else []
    return said
