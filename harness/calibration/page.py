"""calibration.json as one HTML file that needs no network: the report's look, no script."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.calibration import drawing
from harness.calibration.drawing import Chart
from harness.calibration.rates import ALL, AS_USED, BEHIND
from harness.files import write_text
from harness.report.rendering import source, template_environment
from harness.verdicts import typeset

_TITLE = "The instrument, measured"
_COLUMNS = (
    ("untrained", AS_USED, "untrained networks"),
    ("untrained", BEHIND, "the same, gate open"),
    ("redrawn", BEHIND, "redrawn materials, gate open"),
    ("shuffled", BEHIND, "shuffled labels"),
    (ALL, AS_USED, "all, as used"),
    (ALL, BEHIND, "all, behind the gate"),
)
LEAST_P = 4  # p-values that a quantile plot is made of
_Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RateRow:
    """A prediction with its error rate in each of `COLUMNS`, None where it was not run."""

    claim_id: str
    prediction: str
    has_null: bool
    cells: Sequence[_Entry | None]


@dataclass(frozen=True, slots=True)
class PowerRow:
    """A prediction on a model: its curve over facts, and over shares of shuffled pairs."""

    claim_id: str
    prediction: str
    model: str
    charts: Sequence[Chart]


def write_page(record: dict[str, Any], path: Path) -> Path:
    """Write the page, whole or not at all, and return its path."""
    html = template_environment().get_template("calibration.html.j2").render(**view(record))
    return write_text(path, html)


def view(record: dict[str, Any]) -> dict[str, Any]:
    """Everything the template reads."""
    sentences = {_key(p): p["prediction"] for p in record["predictions"]}
    return {
        "title": _TITLE,
        "record": record,
        "summary": _summary(record),
        "columns": [words for *_, words in _COLUMNS],
        "rates": {c: rate_rows(record, c, sentences) for c in ("controlled", "published")},
        "any": any_rows(record),
        "quantiles": quantile_charts(record),
        "below": [p for p in record["p_values"] if _of_nulls(p)],
        "power": power_rows(record, sentences),
        "recovery": recovery_rows(record),
        "processes": record.get("processes", []),
        "programs": record.get("programs"),
        "style": source("report.css"),
        "box": (drawing.WIDTH, drawing.HEIGHT),
    }


def _key(entry: _Entry) -> tuple[str, str, str]:
    return entry["claim_id"], entry["criterion"], entry["prediction_id"]


def _summary(record: _Entry) -> list[str]:
    """What the page says, in sentences."""
    said = []
    for criterion, gate, where in (
        ("controlled", AS_USED, "as a user runs them"),
        ("controlled", BEHIND, "behind the competence gate"),
        ("published", AS_USED, "as published"),
    ):
        for entry in record["any_error"]:
            place = (entry["claim_id"], entry["criterion"], entry["null"], entry["gate"])
            if place == (ALL, criterion, ALL, gate):
                runs = entry["rate"]
                said.append(
                    f"Where nothing is to be found, {entry['supported']:,} of "
                    f"{entry['verdicts']:,} {criterion} verdicts, {where}, are supported; any at "
                    f"all in {runs['count']} of {runs['n']} runs"
                    + (f" {typeset.interval_text(runs['interval'])}." if runs["interval"] else ".")
                )
    if not record["whole"]:
        said.append("Not every planned run is in it.")
    return said


def rate_rows(
    record: _Entry, criterion: str, sentences: Mapping[tuple[str, str, str], str]
) -> list[RateRow]:
    """Every prediction of a criterion that null runs have."""
    table = {(_key(e), e["null"], e["gate"]): e for e in record["error_rates"]}
    nulls = {_key(e): e["has_null"] for e in record["error_rates"] if e["criterion"] == criterion}
    return [
        RateRow(
            key[0],
            sentences[key],
            has_null,
            [table.get((key, null, gate)) for null, gate, _ in _COLUMNS],
        )
        for key, has_null in sorted(nulls.items())
    ]


def any_rows(record: _Entry) -> list[tuple[str, list[_Entry | None]]]:
    """(criterion, runs in which anything was supported, in each of `COLUMNS`)."""
    whole = [e for e in record["any_error"] if e["claim_id"] == ALL]
    table = {(e["criterion"], e["null"], e["gate"]): e for e in whole}
    return [
        (criterion, [table.get((criterion, null, gate)) for null, gate, _ in _COLUMNS])
        for criterion in ("controlled", "published")
    ]


def _of_nulls(p: _Entry) -> bool:
    """Shuffled labels; of untrained networks, what tests the labels and nothing else."""
    return p["gate"] == BEHIND and (
        p["null"] == "shuffled" or (p["null"] in ("untrained", "redrawn") and p["exact"])
    )


def quantile_charts(record: _Entry) -> list[Chart]:
    """One a piece of evidence that has an exact null on shuffled labels."""
    return [
        drawing.quantiles(
            f"{p['claim_id']} {p['evidence']}",
            p["adjusted"],
            f"{len(p['adjusted'])} p-values; {p['below']['0.05']['count']} at most 0.05",
        )
        for p in record["p_values"]
        if p["null"] == "shuffled"
        and p["gate"] == BEHIND
        and p["exact"]
        and len(p["adjusted"]) >= LEAST_P
    ]


def power_rows(record: _Entry, sentences: Mapping[tuple[str, str, str], str]) -> list[PowerRow]:
    """Controlled predictions but those of the measurement itself, on every model."""
    rows = []
    whole = record["settings"]["items"]
    places = {(_key(e), e["model"]): None for e in record["power"]}
    for key, model in sorted(places, key=lambda place: (place[1], place[0])):
        mine = [e for e in record["power"] if (_key(e), e["model"]) == (key, model)]
        if key[1] == "controlled" and key[0] != "h0":
            charts = [
                _curve("facts a task", "items", [e for e in mine if e["share"] == 0]),
                _curve("share shuffled", "share", [e for e in mine if e["items"] == whole]),
            ]
            rows.append(PowerRow(key[0], sentences[key], model, charts))
    return rows


def _curve(x: str, axis: str, entries: Iterable[_Entry]) -> Chart:
    points = [(e[axis], e["rate"]["share"], e["rate"]["interval"]) for e in entries]
    known = [(place, share) for place, share, _ in points if share is not None]
    says = "; ".join(f"{place:g}: {share:.2f}" for place, share in sorted(known))
    return drawing.shares(f"over {x}", x, points, f"share supported by {x}: {says}")


def recovery_rows(record: _Entry) -> list[dict[str, Any]]:
    """Recovery with the seeds of a model pooled: means, and the range of the AUROC."""
    groups: dict[tuple[Any, ...], list[_Entry]] = {}
    for entry in record["recovery"]:
        names = ("model", "source", "kind", "target", "shared_counted")
        groups.setdefault(tuple(entry[name] for name in names), []).append(entry)
    return [
        {
            **dict(zip(("model", "source", "kind", "target", "shared"), place, strict=True)),
            "seeds": len(entries),
            **{n: _mean(e[n] for e in entries) for n in ("auroc", "precision", "recall")},
            "lowest": min((e["auroc"] for e in entries if e["auroc"] is not None), default=None),
            "positives": entries[0]["positives"],
            "negatives": entries[0]["negatives"],
            "found": _mean(e["found"] for e in entries),
        }
        for place, entries in groups.items()
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
