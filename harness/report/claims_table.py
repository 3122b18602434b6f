"""The table of claims: verdict, effect, interval, q and controls, to be pasted elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.verdicts import overall
from harness.verdicts import typeset
from harness.verdicts.deciding import measured, needed
from harness.verdicts.evidence import Evidence, State
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """Predictions of a statement on one model under one criterion, together; or one requirement.

    Attributes:
        shown: Whose numbers these are: the first prediction that has the word of all of them.
        effect: What decided it, in words.
        evidence: The piece of evidence that decided, or the requirement; None if a control or a
            gate did, or if nothing was measured.
        fails: What failed; where nothing did and some of it is undecided, that, with this word.
    """

    claim_id: str
    claim: str
    model: str
    criterion: str
    outcome: str
    agreeing: int
    predictions: int
    shown: Verdict
    effect: str
    evidence: Evidence | None
    fails: Sequence[str]
    href: str

    @property
    def interval(self) -> str:
        """`[1.53, 2.15]`, with its level where that is not 95 %."""
        if self.evidence is None or not self.evidence.effect.interval:
            return ""
        effect = self.evidence.effect
        signed = typeset.signed_quantity(effect.name)
        text = typeset.interval_text(effect.interval, signed=signed)
        return text if effect.level == 0.95 else f"{text} ({100 * effect.level:.0f} %)"

    @property
    def q(self) -> str:
        """The adjusted p; nothing where the effect is held against a bound alone."""
        p = None if self.evidence is None else self.evidence.p_adjusted
        return "" if p is None else typeset.p_value(p)

    @property
    def controls(self) -> str:
        """`3 of 3 behaved`; those that are only shown are not counted."""
        judged = [c.passed for c in self.shown.controls if c.passed is not None]
        return f"{sum(judged)} of {len(judged)}" if judged else ""

    @property
    def verdict(self) -> str:
        """`refuted (2 of 6)`."""
        many = f" ({self.agreeing} of {self.predictions})" if self.predictions > 1 else ""
        return f"{self.outcome}{many}"


@dataclass(frozen=True, slots=True)
class ClaimsTable:
    """The table and what a row of it is."""

    unit: str
    rows: Sequence[ClaimRow]


def claim_row(records: Sequence[Verdict], href: str) -> ClaimRow:
    """The row of some predictions of a statement, all on one model and under one criterion."""
    outcome = overall(r.outcome for r in records)
    agreeing = [r for r in records if r.outcome == outcome]
    shown = agreeing[0]
    decided = shown.deciding
    effect = f"{decided.name}: {decided.value}, {decided.needed}" if decided.value else decided.text
    return _row(
        shown, effect.rstrip(", "), decided.evidence, _fails(shown), href, outcome,
        len(agreeing), len(records),
    )  # fmt: skip


def requirement_rows(record: Verdict, href: str) -> list[ClaimRow]:
    """A row a requirement of a prediction; one without numbers if it was not measured."""
    required: list[Evidence | None] = [e for e in record.evidence if e.decisive]
    return [
        _row(record, _in_words(e), e, _failing([e] if e else []), href) for e in required or [None]
    ]


def _in_words(evidence: Evidence | None) -> str:
    """`strongest layer: d = +1.84, needed > 0.5`."""
    if evidence is None or math.isnan(evidence.effect.value):
        return ""
    value = measured(evidence).partition(" [")[0]
    bar = f", needed {needed(evidence)}" if evidence.required else ""
    return f"{evidence.name}: {value}{bar}"


def _row(
    shown: Verdict,
    effect: str,
    evidence: Evidence | None,
    fails: Sequence[str],
    href: str,
    outcome: str = "",
    agreeing: int = 1,
    predictions: int = 1,
) -> ClaimRow:
    part = f" ({shown.part})" if shown.part else ""
    return ClaimRow(
        claim_id=shown.claim_id,
        claim=f"{shown.claim}{part}",
        model=shown.model.name,
        criterion=shown.criterion,
        outcome=outcome or shown.outcome,
        agreeing=agreeing,
        predictions=predictions,
        shown=shown,
        effect=effect,
        evidence=evidence,
        fails=fails,
        href=href,
    )


def _fails(record: Verdict) -> list[str]:
    """What failed, controls that misbehaved where they decide among it; or what is undecided."""
    if record.outcome is Outcome.INCONCLUSIVE and all(gate.met for gate in record.gates):
        return _failing(record.evidence)
    if record.outcome is not Outcome.REFUTED:
        return []
    failed = [e.name for e in record.evidence if e.state is State.FAILED]
    if record.criterion is Criterion.CONTROLLED:
        failed += [f"control: {c.name}" for c in record.controls if c.passed is False]
    return failed


def _failing(evidence: Sequence[Evidence]) -> list[str]:
    said = {State.FAILED: "", State.UNDECIDED: "undecided: "}
    return [said[e.state] + e.name for e in evidence if e.state in said]
