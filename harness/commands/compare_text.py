"""A comparison of releases as text for a terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from harness.compare import moved, ordered
from harness.compare.text import change_lines, delta_text, telling
from harness.compare.timeline import Comparison, TimelineCell, TimelineRow
from harness.verdicts import typeset
from harness.verdicts.earlier import Change

NOTHING = "Nothing changed."
ORDERED = "what components cost, then against now (p: components change places in their layer)"
BOLD = (Change.REGRESSED, Change.NEWLY_SUPPORTED)


def terminal(comparison: Comparison, *, everything: bool = False) -> list[str]:
    """First what changed, then the table of outcomes, then components."""
    lines = [" -> ".join(comparison.releases), *_free(comparison), ""]
    lines += change_lines([row.record for row in comparison.rows], comparison.gone)
    rows = [row for row in comparison.rows if everything or not row.steady]
    if rows:
        lines += ["", *_table(comparison, rows)]
    elif not comparison.gone:
        lines += ["", NOTHING]
    lines += _gone(comparison)
    moving = [m for m in comparison.moved if everything or not m.steady]
    if moving:
        lines += [
            "",
            "components that pass, then and now:",
            *(f"  {moved.text(m)}" for m in moving),
        ]
    if costs := [o for o in comparison.ordered if everything or not o.steady]:
        lines += ["", ORDERED, *(f"  {ordered.text(o)}" for o in costs)]
    return lines


def _free(comparison: Comparison) -> list[str]:
    free = comparison.free
    noted = [f"differs, and does not matter: {', '.join(free)}"] if free else []
    return [*comparison.models, *noted]


def _gone(comparison: Comparison) -> list[str]:
    first, last = comparison.releases[0], comparison.releases[-1]
    listed = [
        f"gone: {r.model.name} {r.claim_id} {r.criterion} {r.prediction}  "
        f"{r.outcome} in {first}, not in {last}"
        for r in comparison.gone
    ]
    allowed = " (if you left them out on purpose, add --allow-gone)" if comparison.missed else ""
    missed = f"{len(comparison.missed)} of them were supported, which is a regression{allowed}"
    return [*listed, missed] if comparison.missed else listed


def _table(comparison: Comparison, rows: Sequence[TimelineRow]) -> list[str]:
    """One row for each prediction, one column for each release."""
    widths = [
        max(len(name), *(len(cell(row.cells[at])) for row in rows))
        for at, name in enumerate(comparison.releases)
    ]
    head = "".join(f"{n:<{w + 2}}" for n, w in zip(comparison.releases, widths, strict=True))
    lines = [f"{'model':<13}{'claim':<17}{head}prediction"]
    for row in rows:
        r = row.record
        cells = "".join(f"{cell(c):<{w + 2}}" for c, w in zip(row.cells, widths, strict=True))
        claim = f"{r.claim_id} {r.criterion}"
        lines.append(f"{r.model.name:<12} {claim:<17}{cells}{r.prediction}")
    return lines


def cell(shown: TimelineCell) -> str:
    """`supported, share = 0.97`, or a dash where the release has no such prediction to compare."""
    if shown.outcome is None:
        return "-"
    return f"{shown.outcome}, {typeset.plain(shown.number)}" if shown.number else shown.outcome


def comparison_markdown(comparison: Comparison) -> str:
    """Sections with tables, for a pull request or a job's summary."""
    rows = [row for row in comparison.rows if not row.steady]
    counts = change_lines([row.record for row in comparison.rows], comparison.gone)[0]
    parts = [f"## {_escape(' → '.join(comparison.releases))}", counts]
    parts += [_escape(line) for line in _free(comparison)]
    if rows:
        head = ["model", "claim", "prediction", *comparison.releases, "change", "effect"]
        parts.append(_markdown_table(head, [_markdown_row(row) for row in rows]))
    elif not comparison.gone:
        parts.append(NOTHING)
    parts += [_escape(line) for line in _gone(comparison)]
    if moving := [m for m in comparison.moved if not m.steady]:
        columns = list(moved.row(moving[0]))
        cells = [[_plain(v) for v in moved.row(m).values()] for m in moving]
        parts += ["### Components that pass", _markdown_table(columns, cells)]
    if costs := [o for o in comparison.ordered if not o.steady]:
        listed = "\n".join(f"- {_escape(ordered.text(o))}" for o in costs)
        parts += [f"### {ORDERED.capitalize()}", listed]
    return "\n\n".join(parts) + "\n"


def _markdown_row(row: TimelineRow) -> list[str]:
    r = row.record
    change = f"**{row.change}**" if row.change in BOLD else row.change
    effects = "; ".join(f"{e.evidence}: {delta_text(e)}" for e in telling(row.baseline.effects))
    said = "; ".join(row.baseline.differences) or effects
    names = [r.model.name, f"{r.claim_id} {r.criterion}", r.prediction]
    return [*(_escape(n) for n in (*names, *map(cell, row.cells))), change, _escape(said)]


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[_escape(h) for h in head], ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Escaped, so that no cell ends its table and no name is markup."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "-" if value is None else _escape(f"{value:,}" if isinstance(value, int) else value)


def comparison_csv(comparison: Comparison) -> str:
    """One row for each prediction, changed or not, with unrounded numbers."""
    file = io.StringIO()
    rows = [_csv_row(comparison, row) for row in comparison.rows]
    writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _csv_row(comparison: Comparison, row: TimelineRow) -> Mapping[str, Any]:
    r, baseline, first = row.record, row.baseline, row.baseline.first
    low, high = (first.interval if first else None) or (None, None)
    columns: dict[str, Any] = {
        "model": r.model.name,
        "materials": r.materials.name,
        "claim_id": r.claim_id,
        "criterion": r.criterion,
        "prediction_id": r.prediction_id,
        "prediction": r.prediction,
    }
    for name, shown in zip(comparison.releases, row.cells, strict=True):
        text = typeset.plain(shown.deciding.text) if shown.deciding else None
        columns |= {f"outcome {name}": shown.outcome, f"effect {name}": shown.effect}
        columns |= {f"deciding {name}": text}
    return columns | {
        "change": row.change,
        "evidence": first.evidence if first else None,
        "delta": first.delta if first else None,
        "low": low,
        "high": high,
        "p_adjusted": first.p_adjusted if first else None,
        "samples": first.n if first else None,
        "differences": "; ".join(baseline.differences),
    }
