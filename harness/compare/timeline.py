"""Several releases side by side: the last judged against the first, those between shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.compare import matching
from harness.compare.changes import against, gone, supported
from harness.compare.matching import Made, Match
from harness.compare.moved import MovedKind, moved_components
from harness.compare.ordered import OrderedKind, ordered_components
from harness.compare.past import Baseline, BaselineError, Past
from harness.verdicts.deciding import Deciding
from harness.verdicts.earlier import Change, Earlier
from harness.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True)
class TimelineCell:
    """A prediction in one release: its outcome and what decided it; None where it has none."""

    outcome: str | None
    deciding: Deciding | None

    @property
    def effect(self) -> float | None:
        """The number that decided, if one did."""
        evidence = self.deciding.evidence if self.deciding else None
        return evidence.effect.value if evidence and evidence.effect.known else None

    @property
    def number(self) -> str:
        """`d = +1.84`, without its interval; empty where no number decided."""
        return self.deciding.value if self.deciding else ""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A prediction of the last release, with its `baseline` field against the first."""

    record: Verdict
    cells: Sequence[TimelineCell]

    @property
    def baseline(self) -> Earlier:
        """What is said of it in the first release."""
        assert self.record.baseline is not None
        return self.record.baseline

    @property
    def change(self) -> str:
        """What became of it between the first and the last release."""
        return str(self.baseline.change)

    @property
    def steady(self) -> bool:
        """Whether nothing happened to it, in any release."""
        return self.change == Change.SAME and len({c.outcome for c in self.cells}) == 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is said of some releases, oldest first.

    Attributes:
        gone: Verdicts of the first release that the last has no like of.
        missed: Those of them that were supported, unless they may be gone.
    """

    releases: Sequence[str]
    rows: Sequence[TimelineRow]
    gone: Sequence[Verdict]
    missed: Sequence[Verdict]
    moved: Sequence[MovedKind]
    ordered: Sequence[OrderedKind]
    free: Sequence[str]
    models: Sequence[str] = ()

    @property
    def regressed(self) -> bool:
        """Whether the last supports less than the first, or by an effect that fell."""
        return bool(self.missed) or any(
            row.change in (Change.REGRESSED, Change.WEAKER) for row in self.rows
        )


def compare(
    releases: Sequence[Past],
    told: Mapping[str, str] | None = None,
    *,
    shared: bool = False,
    leave_out: bool = False,
    allow_gone: bool = False,
) -> Comparison:
    """The last release against the first, and both beside those between.

    Args:
        releases: Two or more, oldest first.
        told: Model of the last release to model of earlier ones, where names differ.
        shared: Whether another number of items is allowed.
        leave_out: Whether to leave out, and name, verdicts made with other materials or another
            plan, instead of refusing.
        allow_gone: Whether predictions that the first release supports may be missing in the last.

    Raises:
        BaselineError: If models cannot be matched, no materials are common to both, or something
            was made otherwise.
    """
    *earlier, last = releases
    baselines = [Baseline(past, _models(last, past, told or {}), shared) for past in earlier]
    found = [matching.matches(last.verdicts, baseline) for baseline in baselines]
    for baseline in baselines:
        _check_materials(last, baseline.past)
    if not leave_out:
        _refuse(last, baselines, found)
    first = baselines[0]
    left = gone(last.verdicts, first)
    # What the last run itself was compared with is another matter.
    alone = [replace(verdict, baseline=None) for verdict in last.verdicts]
    records = against(alone, last.samples(), first)
    rows = [
        TimelineRow(record, [*(_cell(matches[i], shared) for matches in found), _shown(record)])
        for i, record in enumerate(records)
    ]
    return Comparison(
        releases=_names(releases),
        rows=rows,
        gone=left,
        missed=[] if allow_gone else supported(left),
        moved=moved_components(last, first),
        ordered=ordered_components(last, first),
        free=matching.free_differences(last.verdicts, first.past.verdicts),
        models=matching.model_changes(last.verdicts, first.past.verdicts, first.models),
    )


def _models(last: Past, past: Past, told: Mapping[str, str]) -> dict[str, str]:
    """Names that were told need not be in every release."""
    there = {o: t for o, t in told.items() if t in past.models and o in last.models}
    return matching.match_models(last.models, past, there or told)


def _check_materials(last: Past, past: Past) -> None:
    ours, theirs = _materials(last), _materials(past)
    if ours and theirs and not ours & theirs:
        raise BaselineError(
            f"{last.name} cannot be compared with {past.name}: no materials are common to both "
            f"({', '.join(sorted(theirs))} there, {', '.join(sorted(ours))} here); run both with "
            "the same --prompts."
        )


def _materials(past: Past) -> set[str]:
    """Names of the materials that something was measured on."""
    return {v.materials.name for v in past.verdicts if v.materials.facts.get("hash")}


def _refuse(last: Past, baselines: Sequence[Baseline], found: Sequence[Sequence[Match]]) -> None:
    for baseline, matches in zip(baselines, found, strict=True):
        differing = dict.fromkeys(
            d for match in matches for d in _differences(match, baseline.shared)
        )
        if differing:
            raise BaselineError(
                f"{last.name} cannot be compared with {baseline.past.name}: "
                f"{'; '.join(differing)}; --leave-out compares the rest and names what it left out."
            )


def _differences(match: Match, shared: bool) -> list[str]:
    if match.before is None or not match.measured:
        return []
    return matching.differences(Made.of(match.now), Made.of(match.before), shared=shared)


def _cell(match: Match, shared: bool) -> TimelineCell:
    if match.before is None or _differences(match, shared):
        return TimelineCell(None, None)
    return _shown(match.before)


def _shown(record: Verdict) -> TimelineCell:
    return TimelineCell(record.outcome, record.deciding)


def _names(releases: Sequence[Past]) -> list[str]:
    """Their names, with a number where two are alike."""
    names = [past.name for past in releases]
    return [
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    ]
