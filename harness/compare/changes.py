"""A word for what happened to a verdict between two runs, and the record's `baseline` field."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from harness.compare import matching, paired
from harness.compare.matching import Made, Match
from harness.compare.paired import Moved
from harness.compare.past import Baseline, BaselineError
from harness.verdicts.samples import Place, Values
from harness.verdicts.verdict import Outcome, to_plain


class Change(StrEnum):
    """What became of a verdict. `REGRESSED` fails a test, `WEAKER` the run at its end."""

    REGRESSED = "regressed"  # supported before and not now, for whatever reason
    WEAKER = "weaker"  # still supported, by an effect that fell significantly
    NEWLY_SUPPORTED = "newly supported"
    STRONGER = "stronger"
    OTHER = "other"  # supported in neither, and another outcome
    SAME = "as before"
    ABSENT = "not in the baseline"
    NOT_COMPARED = "not compared"  # made with other materials or another plan


def change_of(now: str, before: str | None, moved: Sequence[Moved] = ()) -> Change:
    """The word for two outcomes and what their effects did."""
    supported = str(Outcome.SUPPORTED)
    if before is None:
        return Change.ABSENT
    if before == supported != now:
        return Change.REGRESSED
    if now == supported != before:
        return Change.NEWLY_SUPPORTED
    if now != before:
        return Change.OTHER
    return _of_effects(moved) if now == supported else Change.SAME


def _of_effects(moved: Sequence[Moved]) -> Change:
    """Weaker if any effect fell, though another rose."""
    directions = {m.better for m in moved if m.significant}
    if False in directions:
        return Change.WEAKER
    return Change.STRONGER if True in directions else Change.SAME


def against(
    records: Sequence[Mapping[str, Any]],
    units: Mapping[Place, Values],
    baseline: Baseline,
) -> list[dict[str, Any]]:
    """The verdicts of a run, each with its `baseline` field.

    A verdict that was refused because it was made otherwise keeps the field that says so.
    """
    found = matching.matches(records, baseline)
    refused = [_refused(match, baseline) for match in found]
    compared = [m for m, no in zip(found, refused, strict=True) if not no]
    effects = iter(paired.moved_effects(compared, units, baseline.past.units()))
    return [
        {**match.now, "baseline": baseline_field(match, [] if no else next(effects), baseline, no)}
        for match, no in zip(found, refused, strict=True)
    ]


def _refused(match: Match, baseline: Baseline) -> list[str]:
    told = (match.now.get("baseline") or {}).get("differences")
    if told:
        return list(told)
    if match.before is None or Outcome.NOT_MEASURED in (
        match.now["outcome"],
        match.before["outcome"],
    ):
        return []
    return matching.differences(Made.of(match.now), Made.of(match.before), shared=baseline.shared)


def baseline_field(
    match: Match,
    moved: Sequence[Moved],
    baseline: Baseline,
    differences: Sequence[str] = (),
) -> dict[str, Any]:
    """What the record says of the earlier run; `delta` and `interval` are of its first effect."""
    before = match.before["outcome"] if match.before else None
    change = change_of(match.now["outcome"], before, moved)
    first = moved[0] if moved else None
    plain: dict[str, Any] = to_plain(
        {
            "name": baseline.past.name,
            "run_id": match.before["run_id"] if match.before else None,
            "model": match.before["model"]["name"] if match.before else None,
            "outcome": before,
            "change": Change.NOT_COMPARED if differences else change,
            "delta": first.delta if first else None,
            "interval": first.interval if first else None,
            "effects": [m.to_json() for m in moved],
            "method": paired.METHOD if any(m.n for m in moved) else "",
            "differences": list(differences),
        }
    )
    return plain


def refuse(differences: Sequence[str], baseline: Baseline) -> BaselineError:
    """The error for a verdict that was made otherwise than the baseline's."""
    return BaselineError(
        f"this cannot be compared with {baseline.past.name}: {'; '.join(differences)}; run with "
        "the same, save a new baseline, or leave --baseline out."
    )
