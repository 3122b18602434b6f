"""calibration.json as one HTML file that needs no network: the report's look, no script."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.calibration import drawing
from harness.calibration.drawing import Chart
from harness.calibration.rates import counted
from harness.files import write_text
from harness.report.rendering import source, template_environment
from harness.verdicts import typeset

_TITLE = "The instrument, measured"
_Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PowerRow:
    """A prediction on a model: its curve over facts."""

    claim_id: str
    prediction: str
    model: str
    chart: Chart


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
        "nulls": [e for e in record["processes"] if "claim" in e],
        "recovery": [e for e in record["processes"] if "source" in e],
        "power": power_rows(record, sentences),
        "programs": record.get("programs"),
        "earlier": record.get("earlier", []),
        "style": source("report.css"),
        "box": (drawing.WIDTH, drawing.HEIGHT),
    }


def _key(entry: _Entry) -> tuple[str, str, str]:
    return entry["claim_id"], entry["criterion"], entry["prediction_id"]


def _summary(record: _Entry) -> list[str]:
    """What the page says, in sentences."""
    said = []
    for null, words in (
        ("shuffled", "sets of shuffled labels"),
        ("same_process", "contrasts between questions of one process"),
        ("told", "contrasts of answers told first against last"),
    ):
        mine = [e[null] for e in record["processes"] if e.get(null)]
        if mine:
            errors, decided, drawn = counted(mine)
            said.append(
                f"{errors} of {decided:,} {words} that decided meet what a claim asks for; "
                f"{drawn:,} were drawn."
            )
    for expected, words in (
        ("not supported", "Where nothing is to be found"),
        ("supported", "Where something is"),
    ):
        mine = [e for e in record["known"] if e["expected"] == expected]
        if mine:
            supported, refuted = (sum(e[n] for e in mine) for n in ("supported", "refuted"))
            verdicts = typeset.plural(supported + refuted, "verdict")
            said.append(f"{words}, {supported} of {verdicts} that decided are supported.")
    if not record["whole"]:
        said.append("Not every planned run is in it.")
    return said


def power_rows(record: _Entry, sentences: Mapping[tuple[str, str, str], str]) -> list[PowerRow]:
    """Controlled predictions but those of the measurement itself, on every model."""
    rows = []
    places = {(_key(e), e["model"]): None for e in record["power"]}
    for key, model in sorted(places, key=lambda place: (place[1], place[0])):
        mine = [e for e in record["power"] if (_key(e), e["model"]) == (key, model)]
        if key[1] == "controlled" and key[0] != "h0":
            rows.append(PowerRow(key[0], sentences[key], model, _curve(mine)))
    return rows


def _curve(entries: Iterable[_Entry]) -> Chart:
    points = [(e["items"], e["rate"]["share"], e["rate"]["interval"]) for e in entries]
    known: Sequence[tuple[int, float]] = [(n, share) for n, share, _ in points if share is not None]
    says = "; ".join(f"{items}: {share:.2f}" for items, share in sorted(known))
    words = "facts a task"
    return drawing.shares(f"over {words}", words, points, f"share supported by {words}: {says}")
