"""A row of the fleet's table: a model, and how far it is."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.fleet.entries import FleetEntry, Point
from harness.fleet.looking import Looked
from harness.fleet.work import Ended, Task, attempts
from harness.foreign import ForeignError
from harness.verdicts.evidence import State
from harness.verdicts.judge import Outcome
from harness.verdicts.records import JSON_NAME, JSONL_NAME, read_verdicts
from harness.verdicts.verdict import Verdict

COMPETENCE, CLAIMS = "competence", "claims"
MARKS = {
    Outcome.SUPPORTED: "+",
    Outcome.REFUTED: "-",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_MEASURED: "!",
}


@dataclass
class Row:
    """A model of the fleet.

    Attributes:
        looked: What is known before it runs; None while it is looked at.
        now: The task that waits or runs.
        ended: Tasks that are whole, by stage.
        same_as: An earlier model with the same identity, which is measured in its place.
        fault: Why it has no verdicts, in a sentence.
        unable: What it answered, where it cannot answer: then its claims are not run.
    """

    entry: FleetEntry
    point: Point
    looked: Looked | None = None
    now: Task | None = None
    ended: dict[str, Ended] = field(default_factory=dict)
    same_as: str = ""
    fault: str = ""
    unable: str = ""
    _kept: dict[Path, list[Verdict]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name."""
        return self.point.label

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return bool(self.same_as or self.fault or self.unable or CLAIMS in self.ended)

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.fault:
            return "failed"
        if self.same_as:
            return f"= {self.same_as}"
        if self.unable:
            return "cannot answer"
        if CLAIMS in self.ended:
            return "done"
        if self.now is None:
            return "looked at"
        return f"{self.now.stage}..." if attempts(self.now) else "waits"

    def verdicts(self) -> list[Verdict]:
        """Of all tasks that are whole, each prediction once."""
        found: dict[tuple[str, ...], Verdict] = {}
        for made in self.ended.values():
            for v in self._read(made.task.folder / JSON_NAME):
                found[v.claim_id, v.criterion, v.prediction_id, v.materials.name] = v
        return list(found.values())

    def _read(self, path: Path) -> list[Verdict]:
        if path not in self._kept:
            self._kept[path] = read_verdicts(path)
        return self._kept[path]

    def cells(self) -> dict[str, str]:
        """By claim `3+ 1- 2?`, with verdicts of a run that is at work."""
        verdicts = self.verdicts()
        if self.now is not None:
            verdicts += [v for folder in attempts(self.now) for v in falling(folder)]
        marks: dict[str, Counter[str]] = {}
        for v in verdicts:
            marks.setdefault(v.claim_id, Counter())[MARKS[v.outcome]] += 1
        return {
            claim: " ".join(f"{n[m]}{m}" for m in MARKS.values() if n[m])
            for claim, n in marks.items()
        }


def falling(folder: Path) -> list[Verdict]:
    """Verdicts of a run that is at work."""
    try:
        return [v for v in read_verdicts(folder / JSONL_NAME) if v.control is None]
    except (OSError, ForeignError):  # the first has not fallen, or one is being written
        return []


def cannot_answer(verdicts: Sequence[Verdict]) -> str:
    """What a model answered, if every task is surely below the gate; else nothing."""
    asked = [e for v in verdicts for e in v.evidence if e.decisive]
    if not asked or any(e.state is not State.FAILED for e in asked):
        return ""
    return ", ".join(f"{e.name} {e.effect.value:.2f}" for e in asked)


def slug(text: str) -> str:
    """A text as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[-60:] or "model"
