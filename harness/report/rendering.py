"""The report: one HTML file that needs no network and no model, rebuilt from a run's files."""

import base64
import gzip
import hashlib
import json
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from harness.compare.curves import NO_FLEET, FleetRecord, read_fleet_record
from harness.compare.text import telling
from harness.compare.timeline import Comparison
from harness.files import DATA, write_text
from harness.foreign import parsed
from harness.report import formats
from harness.report import view as report_view
from harness.report.answers import read_answers
from harness.report.component_tables import packed_json
from harness.report.figures.figure import Figure
from harness.report.glossary import meanings
from harness.report.model_card import model_card
from harness.report.parts import File, Page
from harness.report.verdicts import beside as beside_number
from harness.verdicts import samples, typeset
from harness.verdicts.components import COMPONENTS_NAME, read_components
from harness.verdicts.judge import Outcome
from harness.verdicts.plots import PlacedPlot
from harness.verdicts.records import (
    ANSWERS_NAME,
    JSON_NAME,
    JSONL_NAME,
    PLOTS_NAME,
    read_controls,
    read_plots,
    read_verdicts,
)
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = DATA / "reports" / "templates"
RELEASES = "Releases compared"


def render(
    verdicts: Sequence[Verdict],
    components: "pd.DataFrame | None",
    out: Path | str,
    *,
    title: str | None = None,
    plots: Sequence[PlacedPlot] = (),
    answers: "pd.DataFrame | None" = None,
    folder: Path | str | None = None,
    card: Path | str | None = None,
    fleet: FleetRecord = NO_FLEET,
) -> Path:
    """Write the report and return its path.

    Args:
        verdicts: Every verdict; none gives a page that says so.
        components: The long table of components (`components.parquet`), or None.
        out: The HTML file, replaced whole.
        title: The page's heading; by default what was compared, and in which models.
        plots: The figures that claims handed over (`plots.json`).
        answers: What the models were asked and answered (`answers.parquet`), or None.
        folder: Where the run's other files lie, if not beside the report.
        card: A Markdown file to write the same summary and table to, replaced whole.
        fleet: Orders of models (`fleet.json`).
    """
    out = Path(out)
    files = beside(Path(folder) if folder else out.parent, out.parent, components)
    page = report_view.report_page(verdicts, components, title, plots, files, answers, fleet)
    html = (
        template_environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            legend=formats.LEGEND,
            texts=_texts(page),
            style=source("report.css"),
            script=source("report.js"),
            plotly=_plotly(),
            nonce=_nonce(verdicts),
        )
    )
    write_text(out, html)
    if card is not None:
        write_text(Path(card), model_card(page))
    return out


def beside(folder: Path, seen_from: Path, components: "pd.DataFrame | None") -> list[File]:
    """The run's files that are there, and what each holds."""
    rows = f", {typeset.plural(len(components), 'row')}" if components is not None else ""
    known = {
        JSON_NAME: "every verdict with its evidence, controls and provenance; "
        "described by harness/verdicts/verdict.schema.json",
        JSONL_NAME: "the same, a line a verdict, written as they fell",
        COMPONENTS_NAME: f"every component of every model and twin{rows}: claim, criterion, kind, "
        "layer, index (−1 for a layer), metric, effect, effect_discovery, q, passed, type",
        samples.SAMPLES_NAME: "the values behind effects, a row a pair or item",
        ANSWERS_NAME: "every prompt as the model read it, its answer, the options and their "
        "log-probabilities",
        PLOTS_NAME: "the figures that claims handed over, as numbers",
    }
    way = Path(os.path.relpath(folder.resolve(), seen_from.resolve()))
    return [
        File(name, quote((way / name).as_posix()), holds)
        for name, holds in known.items()
        if (folder / name).exists()
    ]


def _texts(page: Page) -> str:
    """Both tables as CSV, Markdown and LaTeX, packed, for the page's buttons."""
    writers = {
        "csv": formats.csv_text, "markdown": formats.markdown, "latex": formats.latex
    }  # fmt: skip
    return packed_json(
        {
            table.unit: {name: write(table) for name, write in writers.items()}
            for table in (page.table, page.every)
        }
    )


def load_and_render(folder: Path | str, out: Path | str | None = None, **options: Any) -> Path:
    """Rebuild the report of a run's folder; `report.html` beside its verdicts unless told.

    Raises:
        FileNotFoundError: If the folder holds no verdicts.
        ForeignError: If a record is damaged; names the file, line and field.
    """
    folder = Path(folder)
    table = read_components(folder)
    out = out or folder / "report.html"
    plots = read_plots(folder)
    answers = read_answers(folder)
    options |= {"plots": plots, "answers": answers, "fleet": read_fleet_record(folder)}
    return render(_all(folder), table, out, folder=folder, **options)


def load_card(folder: Path | str) -> str:
    """The Markdown section of a run's folder; errors as `load_and_render`."""
    return model_card(report_view.report_page(_all(Path(folder)), None, None))


def _all(folder: Path) -> list[Verdict]:
    """Verdicts on the models under study, and those on controls."""
    return [*read_verdicts(folder), *read_controls(folder)]


def releases_page(comparison: Comparison) -> str:
    """Releases compared, as one page: what changed, every prediction, components."""
    return (
        template_environment()
        .get_template("comparison.html.j2")
        .render(
            title=RELEASES,
            comparison=comparison,
            changed=[row for row in comparison.rows if not row.steady],
            telling=telling,
            style=source("report.css"),
        )
    )


@cache
def template_environment() -> jinja2.Environment:
    """Jinja with our templates, filters and words; an undefined name is an error."""
    template_environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template_environment.filters |= {
        "number": typeset.number,
        "bound": typeset.bound,
        "interval": typeset.interval_text,
        "p_value": typeset.p_value,
        "count": typeset.count,
        "plural": typeset.plural,
        "signs": typeset.signs,
        "duration": typeset.duration,
        "signed_quantity": typeset.signed_quantity,
        "embedded": _embedded,
        "file_name": _file_name,
        "plain": _plain,
        "options": _options,
        "beside": beside_number,
    }
    template_environment.globals |= {
        "ICONS": report_view.ICONS,
        "OUTCOMES": [str(o) for o in Outcome],
    }
    template_environment.globals["GLOSSARY"] = meanings()
    return template_environment


def source(name: str) -> Markup:
    """The page's own style and script, trusted because they are ours."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _file_name(figure: Figure) -> str:
    """What a saved figure is called, without its suffix: claim, model, what it shows, on what."""
    rests_on = figure.context.rpartition(" · n ")[0].replace(" criterion", "")
    name = f"{figure.claim_id} {figure.title.removeprefix(f'{figure.claim_id}: ')} {rests_on}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:120]


def _embedded(figure: Figure) -> Markup:
    """A figure as JSON that cannot end the script element it stands in."""
    text = json.dumps(figure.spec(), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&'\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _plotly() -> Markup:
    """plotly.js as the plotly package ships it, compressed: the page unpacks it when it draws."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - only the report needs it

    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return Markup(base64.b64encode(packed).decode())


def _nonce(verdicts: Sequence[Verdict]) -> str:
    """Marks the page's own scripts, so that the browser runs no other; the same for a rebuild."""
    runs = sorted({(v.run_id, v.created) for v in verdicts})
    return hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:24]


def _options(text: str) -> str:
    """The wrong options, a JSON list, as one line."""
    return ", ".join(parsed(text)) or typeset.DASH


def _plain(value: Any) -> str:
    """A value of the provenance as one line of text."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    if value is None:
        return typeset.DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
