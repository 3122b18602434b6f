"""The one number that decided a verdict: shown beside its word, the same wherever it is shown."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.verdicts import typeset
from harness.verdicts.evidence import Control, Evidence, State
from harness.verdicts.judge import Criterion, Outcome

if TYPE_CHECKING:
    from harness.verdicts.verdict import Verdict

Kind = Literal["effect", "requirement", "control", "gate", "error"]


@dataclass(frozen=True, slots=True)
class Deciding:
    """What a verdict came down to.

    Attributes:
        kind: `effect`, the headline effect of a supported verdict; `requirement` or `control`, the
            first that failed, or is undecided; `gate`, the first condition that was not met;
            `error`, why nothing was measured.
        name: What was measured, or which control.
        quantity: The measured quantity with its sign, value and interval; empty without a number.
        needed: `needed > 0.5`, or what of it does not hold; empty where nothing was asked.
        said: A sentence where no number decided.
        evidence: The piece of evidence, where one decided.
    """

    kind: Kind
    name: str = ""
    quantity: str = ""
    needed: str = ""
    said: str = ""
    evidence: Evidence | None = None

    @property
    def value(self) -> str:
        """`d = +1.84`: the quantity without its interval; empty where no number decided."""
        return self.quantity.partition(" [")[0]

    @property
    def brief(self) -> str:
        """For a cell: the number first, its interval or what it needed, then what it is."""
        if not self.quantity:
            return self.text
        open_ = self.evidence is not None and self.evidence.state is State.UNDECIDED
        number = self.quantity if self.kind == "effect" or open_ else self.value
        missed = self.needed if self.kind == "requirement" else ""
        return ", ".join(filter(None, (number, missed))) + f": {self.name}"

    @property
    def short(self) -> str:
        """The number alone: `d = +1.84 [+1.53, +2.15], needed > 0.5`; else the sentence."""
        return ", ".join(filter(None, (self.quantity, self.needed))) or self.said

    @property
    def text(self) -> str:
        """The same after what was measured: `strongest layer: d = +1.84, needed > 0.5`."""
        return f"{self.name}: {self.short}" if self.name else self.short

    @property
    def plain(self) -> str:
        """`text` in ASCII, for terminals."""
        return typeset.plain(self.text)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record; the numbers are those of the evidence of that name."""
        return {"kind": self.kind, "name": self.name, "text": self.plain}


def deciding(verdict: "Verdict") -> Deciding:
    """What decided a verdict, by its outcome."""
    if verdict.outcome is Outcome.SUPPORTED:
        return _headline(verdict)
    if verdict.outcome is Outcome.REFUTED:
        return _failed(verdict)
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return _open(verdict)
    return Deciding("error", said=verdict.reason)


def _open(verdict: "Verdict") -> Deciding:
    """The first condition that was not met, else the first requirement that is undecided."""
    unmet = next((gate for gate in verdict.gates if not gate.met), None)
    if unmet:
        return Deciding("gate", said=unmet.reason)
    undecided = next((e for e in verdict.evidence if e.state is State.UNDECIDED), None)
    if undecided is None:
        return Deciding("gate", said=verdict.reason)
    if not undecided.reachable:
        return Deciding("requirement", said=undecided.explain())
    return _of_evidence("requirement", undecided)


def _headline(verdict: "Verdict") -> Deciding:
    """The first decisive effect with an interval, else the first decisive one."""
    decisive = [e for e in verdict.evidence if e.decisive] or list(verdict.evidence)
    with_interval = [e for e in decisive if e.effect.interval is not None]
    shown = (with_interval or decisive)[:1]
    return _of_evidence("effect", shown[0]) if shown else Deciding("effect", said=verdict.reason)


def _failed(verdict: "Verdict") -> Deciding:
    """The first requirement that failed, else the first control that misbehaved."""
    failed = next((e for e in verdict.evidence if e.state is State.FAILED), None)
    if failed is not None:
        return _of_evidence("requirement", failed)
    if verdict.criterion is Criterion.CONTROLLED:
        control = next((c for c in verdict.controls if c.passed is False), None)
        if control is not None:
            return _of_control(control)
    return Deciding("requirement", said=verdict.reason)


def _of_evidence(kind: Kind, evidence: Evidence) -> Deciding:
    return Deciding(
        kind,
        evidence.name,
        measured(evidence),
        _missed(evidence) if kind == "requirement" else _asked(evidence),
        evidence=evidence,
    )


def _of_control(control: Control) -> Deciding:
    value = typeset.number(control.value)
    interval = f" {typeset.interval_text(control.interval)}" if control.interval else ""
    note = f" ({control.note})" if control.note else ""
    return Deciding("control", f"control {control.name}", f"{value}{interval}{note}")


def measured(evidence: Evidence) -> str:
    """`d = +1.84 [+1.53, +2.15]`, with digits enough to tell it from its threshold."""
    effect = evidence.effect
    if math.isnan(effect.value):  # an interval of it would say nothing either
        return f"{effect.name} not defined"
    signed = typeset.signed_quantity(effect.name)
    value = typeset.number_beside(effect.value, evidence.threshold, signed=signed)
    if not effect.interval:
        return f"{effect.name} = {value}"
    return f"{effect.name} = {value} {typeset.interval_text(effect.interval, signed=signed)}"


def needed(evidence: Evidence) -> str:
    """`> 0.5`; nothing where no bound is asked."""
    if not evidence.required:
        return ""
    return f"{typeset.signs(evidence.relation)} {typeset.bound(evidence.threshold)}"


def _asked(evidence: Evidence) -> str:
    return f"needed {needed(evidence)}" if evidence.required else ""


def _missed(evidence: Evidence) -> str:
    """What of a requirement does not hold: its bound, its adjusted p, or both."""
    parts = [] if evidence.effect_state is State.HELD else [f"needed {needed(evidence)}"]
    if evidence.test_state is not State.HELD:
        p = "missing" if evidence.p_adjusted is None else typeset.p_value(evidence.p_adjusted)
        assert evidence.alpha is not None
        parts.append(f"adjusted p {p}, needed ≤ {typeset.bound(evidence.alpha)}")
    return "; ".join(parts)
