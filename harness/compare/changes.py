"""What happened to a verdict between two runs: a word for it, and what the record says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.compare import matching, paired
from harness.compare.matching import Made, Match
from harness.compare.past import Baseline, BaselineError
from harness.verdicts.earlier import Change, Earlier, Moved
from harness.verdicts.judge import Outcome
from harness.verdicts.samples import Address, SampleValues
from harness.verdicts.verdict import Verdict


def change_of(now: str, before: str | None, moved: Sequence[Moved] = ()) -> Change:
    """The word for two outcomes and what their effects did."""
    if before is None:
        return Change.ABSENT
    if before == Outcome.SUPPORTED != now:
        return Change.REGRESSED
    if now == Outcome.SUPPORTED != before:
        return Change.NEWLY_SUPPORTED
    if now != before:
        return Change.OTHER
    return _of_effects(moved) if now == Outcome.SUPPORTED else Change.SAME


def _of_effects(moved: Sequence[Moved]) -> Change:
    """Weaker if any effect fell, though another rose."""
    directions = {m.better for m in moved if m.significant}
    if False in directions:
        return Change.WEAKER
    return Change.STRONGER if True in directions else Change.SAME


def against(
    verdicts: Sequence[Verdict],
    samples: Mapping[Address, SampleValues],
    baseline: Baseline,
) -> list[Verdict]:
    """The verdicts of a run, each with its `baseline` field.

    A verdict that was refused because it was made otherwise keeps the field that says so.
    """
    found = matching.matches(verdicts, baseline)
    refused = [_refused(match, baseline) for match in found]
    compared = [m for m, no in zip(found, refused, strict=True) if not no]
    effects = iter(paired.moved_effects(compared, samples, baseline.past.samples()))
    return [
        replace(match.now, baseline=earlier(match, [] if no else next(effects), baseline, no))
        for match, no in zip(found, refused, strict=True)
    ]


def gone(now: Sequence[Verdict], baseline: Baseline) -> list[Verdict]:
    """Earlier verdicts on the models of this run that it has no like of."""
    found = {id(match.before) for match in matching.matches(now, baseline)}
    models = set(baseline.models.values())
    return [v for v in baseline.past.verdicts if v.model.name in models and id(v) not in found]


def supported(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that are supported: of what is gone, what was supported is missed."""
    return [v for v in verdicts if v.outcome is Outcome.SUPPORTED]


def _refused(match: Match, baseline: Baseline) -> list[str]:
    if match.now.baseline is not None and match.now.baseline.differences:
        return list(match.now.baseline.differences)
    if match.before is None or not match.measured:
        return []
    return matching.differences(Made.of(match.now), Made.of(match.before), shared=baseline.shared)


def earlier(
    match: Match,
    moved: Sequence[Moved],
    baseline: Baseline,
    differences: Sequence[str] = (),
) -> Earlier:
    """What the record says of the earlier run."""
    before = match.before
    change = change_of(match.now.outcome, before.outcome if before else None, moved)
    return Earlier(
        name=baseline.past.name,
        run_id=before.run_id if before else None,
        model=before.model.name if before else None,
        outcome=before.outcome if before else None,
        change=Change.NOT_COMPARED if differences else change,
        effects=tuple(moved),
        method=paired.METHOD if any(m.n for m in moved) else "",
        differences=tuple(differences),
        deciding=before.deciding.plain if before else "",
    )


def refuse(differences: Sequence[str], baseline: Baseline) -> BaselineError:
    """The error for a verdict that was made otherwise than the baseline's."""
    return BaselineError(
        f"this cannot be compared with {baseline.past.name}: {'; '.join(differences)}; run with "
        "the same, save a new baseline, or leave --baseline out."
    )
