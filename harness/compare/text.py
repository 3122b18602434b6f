"""What changed, as lines of text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.compare.changes import Change
from harness.compare.matching import free_differences
from harness.compare.past import Baseline

NAMED = (
    Change.REGRESSED,
    Change.WEAKER,
    Change.NEWLY_SUPPORTED,
    Change.STRONGER,
    Change.OTHER,
    Change.NOT_COMPARED,
)
TOLD = 3  # effects of one verdict


def against_lines(records: Sequence[Mapping[str, Any]], baseline: Baseline) -> list[str]:
    """A run against its baseline, and what else differs between the two."""
    free = free_differences(records, baseline.past.records)
    noted = [f"differs, and does not matter: {', '.join(free)}"] if free else []
    return [*change_lines(records), *noted]


def change_lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many verdicts changed in which way, then a line for each that did."""
    compared = [r for r in records if r.get("baseline")]
    counts = Counter(r["baseline"]["change"] for r in compared)
    lines = [", ".join(f"{counts[c]} {c}" for c in Change if counts[c])]
    for change in NAMED:
        lines += [change_line(r) for r in compared if r["baseline"]["change"] == change]
    return lines


def change_line(record: Mapping[str, Any]) -> str:
    """One verdict: what became of it, and by how much its effect moved."""
    baseline = record["baseline"]
    if baseline["differences"]:
        said = "; ".join(baseline["differences"])
    else:
        said = f"{baseline['outcome']} -> {record['outcome']}"
        said += "".join(f"; {effect_text(e)}" for e in telling(baseline["effects"]))
    return (
        f"{baseline['change']:<16}{record['model']['name']:<12} {record['claim_id']:<3} "
        f"{record['criterion']:<11}{record['prediction']}  {said}"
    )


def telling(effects: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The effects that moved significantly, furthest first and `TOLD` at most; else the first."""
    moved = [e for e in effects if e["significant"]]
    return sorted(moved, key=lambda e: -abs(e["delta"]))[:TOLD] or list(effects[:1])


def effect_text(effect: Mapping[str, Any]) -> str:
    """`recall accuracy 0.97 -> 0.61 (-0.36 [-0.43, -0.29], adjusted p 0.0002, 200 units)`."""
    values = f"{effect['evidence']} {number(effect['before'])} -> {number(effect['now'])}"
    return f"{values} ({delta_text(effect)})" if effect["n"] else values


def delta_text(effect: Mapping[str, Any]) -> str:
    """How far it moved, with its interval where both runs have units."""
    if effect["delta"] is None:
        return "-"
    moved = f"{effect['delta']:+.3g}"
    if effect["interval"] is None:
        return f"{moved}, not paired"
    low, high = (number(bound) for bound in effect["interval"])
    p = f", adjusted p {effect['p_adjusted']:.2g}" if effect["p_adjusted"] is not None else ""
    return f"{moved} [{low}, {high}]{p}, {effect['n']:,} units"


def number(value: float | str | None) -> str:
    """Three figures, as the terminal's table has them."""
    return "-" if value is None else value if isinstance(value, str) else f"{value:.3g}"
