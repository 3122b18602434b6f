"""The check of the instrument: verdicts on models whose circuits are known, right or wrong.

They are no results: they stand at the head of the report and in no other table of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.verdicts import distinct, natural
from harness.verdicts.records import first_decisive

Record = dict[str, Any]

ROLES = {
    "positive": "its circuits are planted, one for each task",
    "negative": "its tasks share one circuit",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """One verdict that was known beforehand."""

    record: Record
    lead: dict[str, Any] | None

    @property
    def right(self) -> bool:
        """Whether the suite said what is known."""
        return bool(self.record["outcome"] == self.record["control"]["expected"])


@dataclass(frozen=True, slots=True)
class Check:
    """All known verdicts of one role. `known` says in words what the model is."""

    role: str
    known: str
    models: Sequence[str]
    verdicts: Sequence[Checked]

    @property
    def right(self) -> int:
        """How many are as known."""
        return len(self.verdicts) - len(self.wrong)

    @property
    def wrong(self) -> list[Checked]:
        """Those that are not."""
        return [v for v in self.verdicts if not v.right]


def is_control(record: Mapping[str, Any]) -> bool:
    """Whether a verdict was known beforehand and checks the instrument."""
    return bool(record.get("control"))


def checks(records: Sequence[Record]) -> list[Check]:
    """The known verdicts by role, positive first; nothing where none is marked."""
    found = []
    for role, known in ROLES.items():
        marked = [r for r in records if is_control(r) and r["control"]["role"] == role]
        if marked:
            marked.sort(key=lambda r: (natural(r["claim_id"]), r["model"]["name"]))
            names = distinct(r["model"]["name"] for r in marked)
            verdicts = [Checked(r, first_decisive(r)) for r in marked]
            found.append(Check(role, known, names, verdicts))
    return found
