"""The table of claims: verdict, effect, interval, q and controls, to be pasted elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.report.verdicts import overall
from harness.verdicts import typeset
from harness.verdicts.evidence import Evidence
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """Predictions of a claim on one model under one criterion, taken together; or one requirement.

    Attributes:
        shown: Whose numbers these are: the first prediction that has the word of all of them.
        lead: What it is judged by first, whether that held or not; None if it was not measured.
        sized: What interval and q belong to: `lead` if it has an interval or a p, else (it is a
            count) the first requirement that has.
        fails: What did not hold.
    """

    claim_id: str
    claim: str
    model: str
    criterion: str
    outcome: str
    agreeing: int
    predictions: int
    shown: Verdict
    lead: Evidence | None
    sized: Evidence | None
    fails: Sequence[str]
    href: str

    @property
    def effects(self) -> list[Evidence]:
        """`lead`, and `sized` where that is another one; nothing without a number."""
        both = [self.lead] if self.sized is self.lead else [self.lead, self.sized]
        return [e for e in both if e is not None and not math.isnan(e.effect.value)]

    @property
    def effect(self) -> str:
        """`strongest layer, held out: d = +1.84, needed > 0.5`; then, after a `;`, `sized`."""
        return "; ".join(_in_words(e) for e in self.effects)

    @property
    def interval(self) -> str:
        """`[1.53, 2.15]`, with its level where that is not 95 %."""
        if self.sized is None or not self.sized.effect.interval:
            return ""
        effect = self.sized.effect
        signed = typeset.signed_quantity(effect.name)
        text = typeset.interval_text(effect.interval, signed=signed)
        return text if effect.level == 0.95 else f"{text} ({100 * effect.level:.0f} %)"

    @property
    def q(self) -> str:
        """The adjusted p; nothing where the effect is held against a bound alone."""
        p = None if self.sized is None else self.sized.p_adjusted
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

    def by_claim(self) -> list[list[ClaimRow]]:
        """The rows, a list a claim."""
        return [list(rows) for _, rows in groupby(self.rows, lambda row: row.claim_id)]


def _in_words(evidence: Evidence) -> str:
    effect = evidence.effect
    value = typeset.number(effect.value, signed=typeset.signed_quantity(effect.name))
    bar = f", needed {needed(evidence)}" if needed(evidence) else ""
    return f"{evidence.name}: {effect.name} = {value}{bar}"


def needed(evidence: Evidence) -> str:
    """`> 0.5`, or nothing where nothing is asked."""
    if not evidence.required:
        return ""
    return f"{typeset.signs(evidence.relation)} {typeset.bound(evidence.threshold)}"


def claim_row(records: Sequence[Verdict], href: str) -> ClaimRow:
    """The row of some predictions of a claim, all on one model and under one criterion."""
    outcome = overall(r.outcome for r in records)
    agreeing = [r for r in records if r.outcome == outcome]
    shown = agreeing[0]
    lead = shown.lead
    others = [e for e in shown.evidence if e.decisive and _sized(e)]
    sized = lead if lead is None or _sized(lead) or not others else others[0]
    return _row(shown, lead, sized, _fails(shown), href, outcome, len(agreeing), len(records))


def requirement_rows(record: Verdict, href: str) -> list[ClaimRow]:
    """A row a requirement of a prediction; one without numbers if it was not measured."""
    required: list[Evidence | None] = [e for e in record.evidence if e.decisive]
    return [
        _row(record, e, e, [e.name] if e and e.failed else [], href) for e in required or [None]
    ]


def _row(
    shown: Verdict,
    lead: Evidence | None,
    sized: Evidence | None,
    fails: Sequence[str],
    href: str,
    outcome: str = "",
    agreeing: int = 1,
    predictions: int = 1,
) -> ClaimRow:
    return ClaimRow(
        claim_id=shown.claim_id,
        claim=shown.claim,
        model=shown.model.name,
        criterion=shown.criterion,
        outcome=outcome or shown.outcome,
        agreeing=agreeing,
        predictions=predictions,
        shown=shown,
        lead=lead,
        sized=sized,
        fails=fails,
        href=href,
    )


def _sized(evidence: Evidence) -> bool:
    return evidence.effect.interval is not None or evidence.p_adjusted is not None


def _fails(record: Verdict) -> list[str]:
    """Requirements that fail and, where they decide, controls that misbehaved."""
    if record.outcome is not Outcome.REFUTED:
        return []
    failed = [e.name for e in record.evidence if e.failed]
    if record.criterion is Criterion.CONTROLLED:
        failed += [f"control: {c.name}" for c in record.controls if c.passed is False]
    return failed
