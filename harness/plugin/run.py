"""One run on disk: verdicts as they fall, component tables, figures, the report at its end."""

import json
import platform
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compare.changes import against
from harness.compare.past import Baseline
from harness.verdicts import records, samples
from harness.verdicts.components import COLUMNS, Components, components_frame
from harness.verdicts.plots import Plot
from harness.verdicts.verdict import Outcome, Verdict

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = "recall-or-reasoning"
PARTS = "components.parts"
PLOT_PARTS = "plots.parts"
UNIT_PARTS = "units.parts"


@cache
def provenance() -> dict[str, Any]:
    """Versions and machine, for every verdict of a run."""
    names = ("torch", "transformers", "nnsight", "numpy", "scipy")
    return {
        "package": _version(PACKAGE),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in names},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    here = Path(__file__).parent
    done = subprocess.run(
        [git, "describe", "--always", "--dirty"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


@dataclass
class Run:
    """Where one run writes. Workers write parts (tables, figures); the controller does the rest.

    Attributes:
        card: A Markdown file for the report's summary and table.
        command: How the run was called, which every verdict's provenance says.
    """

    report: Path
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    controls: list[dict[str, Any]] = field(default_factory=list)  # verdicts on models known
    baseline: Baseline | None = None
    card: Path | None = None
    command: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the report, which the other files share."""
        return self.report.parent

    def add(self, verdict: Mapping[str, Any]) -> None:
        """Keep a verdict, on disk before anything else happens."""
        if not self.verdicts and not self.controls:
            self.start_files()
        if self.command:
            called = {**verdict["provenance"], "command": self.command}
            verdict = {**verdict, "provenance": called}
        if verdict.get("control"):
            self.controls.append(dict(verdict))
            records.write_verdicts(self.folder / records.CONTROLS_NAME, self.controls)
            return
        self.verdicts.append(dict(verdict))
        records.append_jsonl(self.folder, verdict)

    def start_files(self) -> None:
        """Clear the verdicts of the last run; component parts of this one may be there already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / records.JSONL_NAME).unlink(missing_ok=True)
        (self.folder / records.PLOTS_NAME).unlink(missing_ok=True)
        (self.folder / records.CONTROLS_NAME).unlink(missing_ok=True)
        (self.folder / samples.NAME).unlink(missing_ok=True)

    def save_components(self, tables: Mapping[str, Components], **common: str) -> None:
        """Write the full tables of one prediction; called where it ran."""
        import pandas as pd  # noqa: PLC0415 - slow to import, and not needed to list tests

        frames = [components_frame(table, source=s, **common) for s, table in tables.items()]
        if frames:
            pd.concat(frames, ignore_index=True).to_parquet(
                self._part(PARTS, "parquet"), index=False
            )

    def save_units(self, values: Mapping[str, samples.Values], **common: str) -> None:
        """Write the values by unit of one prediction's evidence; called where it ran."""
        if values:
            frame = samples.units_frame(values, **common)
            frame.to_parquet(self._part(UNIT_PARTS, "parquet"), index=False)

    def save_plots(self, plots: Sequence[Plot], **common: str) -> None:
        """Write the figures that one prediction hands over; called where it ran."""
        if not plots:
            return
        drawn = [{**common, "plot": plain(plot)} for plot in plots]
        text = json.dumps(drawn, ensure_ascii=False, allow_nan=False)
        self._part(PLOT_PARTS, "json").write_text(text, encoding="utf-8")

    def _part(self, name: str, suffix: str) -> Path:
        """A new file among the parts of that name."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.run_id}-{uuid.uuid4().hex}.{suffix}"

    def finish(self, *, stopped: bool = False) -> Path | None:
        """Write verdicts.json, tables, figures and the report; None if nothing was judged.

        Args:
            stopped: Whether predictions are missing that the run did not come to (Ctrl-C, -x).
        """
        if not self.verdicts:
            return None
        if stopped:
            self.verdicts = [
                {**v, "provenance": {**v["provenance"], "stopped": True}} for v in self.verdicts
            ]
        records.write_verdicts(self.folder, self.verdicts)
        self._merge_units()
        if self.baseline is not None:
            self.verdicts = against(self.verdicts, samples.read_units(self.folder), self.baseline)
            records.write_verdicts(self.folder, self.verdicts)
        components = self._merge_components()
        plots = self._merge_plots()
        from harness.report import rendering as report  # noqa: PLC0415 - plotly and jinja2 load here

        shown = [*self.verdicts, *self.controls]
        return report.render(shown, components, self.report, plots=plots, card=self.card)

    def _merge_components(self) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415

        parts = sorted((self.folder / PARTS).glob(f"{self.run_id}-*.parquet"))
        merged = (
            pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True)
            if parts
            else (pd.DataFrame(columns=list(COLUMNS)))
        )
        merged.to_parquet(self.folder / records.COMPONENTS_NAME, index=False)
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        return merged

    def _merge_units(self) -> None:
        """All units of the run; no file if no prediction has any."""
        import pandas as pd  # noqa: PLC0415

        parts = sorted((self.folder / UNIT_PARTS).glob(f"{self.run_id}-*.parquet"))
        if parts:
            merged = pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True)
            merged = merged.astype(dict.fromkeys(samples.LABELS, "category"))
            merged.to_parquet(self.folder / samples.NAME, index=False)
        shutil.rmtree(self.folder / UNIT_PARTS, ignore_errors=True)

    def _merge_plots(self) -> list[dict[str, Any]]:
        """All figures of the run, in the order of the verdicts."""
        parts = sorted((self.folder / PLOT_PARTS).glob(f"{self.run_id}-*.json"))
        merged = [p for part in parts for p in json.loads(part.read_text(encoding="utf-8"))]
        fell = {_place(v, v["model"]["name"]): at for at, v in enumerate(self.verdicts)}
        merged.sort(key=lambda plot: fell.get(_place(plot, plot["model"]), len(fell)))
        if merged:
            records.write_plots(self.folder, merged)
        shutil.rmtree(self.folder / PLOT_PARTS, ignore_errors=True)
        return merged


def _place(record: Mapping[str, Any], model: str) -> tuple[str, str, str]:
    """What a verdict and the figures handed over with it have in common."""
    return model, record["claim_id"], record["prediction_id"]


def plain(plot: Plot) -> dict[str, Any]:
    """JSON's own types, with None for whatever is not finite: it leaves a gap in the figure.

    Not `to_plain`, which keeps infinities as text: in a series, text is the name of a category.
    """
    text = json.dumps(plot.to_json(), default=lambda array: array.tolist())
    record: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
    return record


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def not_measured(identity: Mapping[str, Any], reason: str, run_id: str) -> dict[str, Any]:
    """The record of a prediction that ended without a verdict: a row, never a gap."""
    return Verdict(
        run_id=run_id,
        created=now(),
        claim_id=identity["claim_id"],
        claim=identity["claim"],
        prediction_id=identity["prediction_id"],
        prediction=identity["prediction"],
        criterion=identity["criterion"],
        outcome=Outcome.NOT_MEASURED,
        reason=reason,
        model={"name": identity["model"]},
        materials={"name": identity["materials"]},
        provenance=provenance(),
    ).to_json()
