"""What changed, as lines of text."""

from collections import Counter
from collections.abc import Sequence

from harness.compare.changes import gone, supported
from harness.compare.matching import free_differences, model_changes
from harness.compare.past import Baseline
from harness.verdicts.earlier import Change, Earlier, Moved
from harness.verdicts.verdict import Verdict

NAMED = (
    Change.REGRESSED,
    Change.WEAKER,
    Change.NEWLY_SUPPORTED,
    Change.STRONGER,
    Change.OTHER,
    Change.NOT_COMPARED,
)
TOLD = 3  # effects of one verdict


def against_lines(records: Sequence[Verdict], baseline: Baseline) -> list[str]:
    """A run against its baseline, and what else differs between the two."""
    free = free_differences(records, baseline.past.verdicts)
    noted = [f"differs, and does not matter: {', '.join(free)}"] if free else []
    changed = model_changes(records, baseline.past.verdicts, baseline.models)
    return [*change_lines(records, gone(records, baseline)), *changed, *noted]


def change_lines(verdicts: Sequence[Verdict], gone: Sequence[Verdict] = ()) -> list[str]:
    """How many verdicts changed in which way, then a line for each that did.

    Args:
        verdicts: Of the later run, with what the earlier one says.
        gone: Verdicts of the earlier run that the later one has no like of; they are counted.
    """
    compared = [(v, v.baseline) for v in verdicts if v.baseline is not None]
    counts = Counter(earlier.change for _, earlier in compared)
    lines = [", ".join([*_gone(gone), *(f"{counts[c]} {c}" for c in Change if counts[c])])]
    for change in NAMED:
        lines += [change_line(v, earlier) for v, earlier in compared if earlier.change is change]
    return lines


def _gone(gone: Sequence[Verdict]) -> list[str]:
    """How many are gone, and how many of them were supported."""
    if not gone:
        return []
    return [f"{len(gone)} gone ({len(supported(gone))} of them supported before)"]


def change_line(verdict: Verdict, earlier: Earlier) -> str:
    """One verdict: what became of it, and by how much its effect moved."""
    if earlier.differences:
        said = "; ".join(earlier.differences)
    else:
        said = f"{earlier.outcome} -> {verdict.outcome}{_moved(verdict, earlier)}"
    return (
        f"{earlier.change:<16}{verdict.model.name:<12} {verdict.claim_id:<3} "
        f"{verdict.criterion:<11}{verdict.prediction}  {said}"
    )


def _moved(verdict: Verdict, earlier: Earlier) -> str:
    """What decided, then and now, where the outcome changed; else the effects that tell."""
    if earlier.deciding and earlier.outcome != verdict.outcome:
        return f"; then {earlier.deciding}; now {verdict.deciding.plain}"
    return "".join(f"; {effect_text(e)}" for e in telling(earlier.effects))


def telling(effects: Sequence[Moved]) -> Sequence[Moved]:
    """The effects that moved significantly, furthest first and `TOLD` at most; else the first."""
    moved = [e for e in effects if e.significant]
    return sorted(moved, key=lambda e: -abs(e.delta or 0.0))[:TOLD] or list(effects[:1])


def effect_text(effect: Moved) -> str:
    """`recall accuracy 0.97 -> 0.61 (-0.36 [-0.43, -0.29], adjusted p 0.0002, 200 samples)`."""
    values = f"{effect.evidence} {number_text(effect.before)} -> {number_text(effect.now)}"
    return f"{values} ({delta_text(effect)})" if effect.n else values


def delta_text(effect: Moved) -> str:
    """How far it moved, with its interval where both runs have samples."""
    if effect.delta is None:
        return "-"
    moved = f"{effect.delta:+.3g}"
    if effect.interval is None:
        return f"{moved}, not paired"
    low, high = (number_text(bound) for bound in effect.interval)
    p = f", adjusted p {effect.p_adjusted:.2g}" if effect.p_adjusted is not None else ""
    return f"{moved} [{low}, {high}]{p}, {effect.n:,} samples"


def number_text(value: float | str | None) -> str:
    """Three figures, as the terminal's table has them."""
    return "-" if value is None else value if isinstance(value, str) else f"{value:.3g}"
