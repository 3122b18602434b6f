"""The report: one HTML file that needs no network and no model, rebuilt from a run's files."""

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from harness.records import COMPONENTS_NAME, read_plots, read_records
from harness.report import typeset
from harness.report import view as report_view
from harness.report.figures import Figure
from harness.verdict import Outcome

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parents[2] / "reports" / "templates"
COMPONENT_COLUMNS = (
    *("model", "materials", "claim_id", "criterion", "source", "kind", "layer", "index"),
    *("metric", "effect", "passed"),
)
TITLE = "Recall and reasoning in transformers"


def render(
    records: Sequence[dict[str, Any]],
    components: "pd.DataFrame | None",
    out: Path | str,
    *,
    title: str = TITLE,
    plots: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write the report and return its path.

    Args:
        records: `Verdict.to_json()` of every verdict; none gives a page that says so.
        components: The long table of components (`components.parquet`), or None.
        out: The HTML file, replaced whole.
        title: The page's heading.
        plots: The figures that claims handed over (`plots.json`).
    """
    out = Path(out)
    html = (
        environment()
        .get_template("report.html.j2")
        .render(
            page=report_view.page(records, components, title, plots),
            style=source("report.css"),
            script=source("report.js"),
            plotly=_plotly(),
            nonce=_nonce(records),
        )
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    scratch.write_text(html, encoding="utf-8")
    scratch.replace(out)
    return out


def load_and_render(folder: Path | str, out: Path | str | None = None, **options: Any) -> Path:
    """Rebuild the report of a run's folder; `report.html` beside its verdicts unless told.

    Raises:
        FileNotFoundError: If the folder holds no verdicts.
        ValueError: If a record is damaged; names the file, line and field.
    """
    folder = Path(folder)
    table = read_components(folder / COMPONENTS_NAME)
    out = out or folder / "report.html"
    return render(read_records(folder), table, out, plots=read_plots(folder), **options)


def read_components(path: Path) -> "pd.DataFrame | None":
    """The columns of the components table that the report draws, or None if there is no table."""
    if not path.exists():
        return None
    import pyarrow.parquet as pq  # noqa: PLC0415 - a report without components needs no arrow

    texts = ["model", "materials", "claim_id", "criterion", "source", "kind", "metric"]
    table = pq.read_table(path, columns=list(COMPONENT_COLUMNS), read_dictionary=texts)
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    return frame


@cache
def environment() -> jinja2.Environment:
    """Jinja with our templates, filters and words; an undefined name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": typeset.number,
        "bound": typeset.bound,
        "interval": typeset.interval,
        "p_value": typeset.p_value,
        "count": typeset.count,
        "plural": typeset.plural,
        "signs": typeset.signs,
        "duration": typeset.duration,
        "signed_quantity": typeset.signed_quantity,
        "sort_key": _sort_key,
        "embedded": _embedded,
        "plain": _plain,
    }
    environment.globals |= {"ICONS": report_view.ICONS, "OUTCOMES": [str(o) for o in Outcome]}
    return environment


def source(name: str) -> Markup:
    """The page's own style and script, trusted because they are ours."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


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


def _nonce(records: Sequence[dict[str, Any]]) -> str:
    """Marks the page's own scripts, so that the browser runs no other; the same for a rebuild."""
    text = json.dumps(list(records), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _sort_key(value: float | str | None) -> str:
    return "" if value is None else str(value)


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
