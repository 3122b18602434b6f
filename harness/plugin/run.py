"""One run on disk: verdicts as they fall, component tables, figures, the report at its end."""

import json
import platform
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compare.changes import against
from harness.compare.past import Baseline
from harness.files import DATA, IN_CHECKOUT
from harness.plugin.prediction import Prediction
from harness.verdicts import records, samples
from harness.verdicts.components import (
    COMPONENT_COLUMNS,
    COMPONENTS_NAME,
    Components,
    components_frame,
)
from harness.verdicts.judge import Criterion, Outcome
from harness.verdicts.plots import PlacedPlot, Plot
from harness.verdicts.records import DISTRIBUTION, package_version
from harness.verdicts.verdict import Named, Verdict

if TYPE_CHECKING:
    import pandas as pd

COMPONENT_PARTS = "components.parts"
PLOT_PARTS = "plots.parts"
SAMPLE_PARTS = "samples.parts"
ANSWER_PARTS = "answers.parts"


@cache
def provenance() -> dict[str, Any]:
    """Versions and machine, for every verdict of a run."""
    names = ("torch", "transformers", "nnsight", "numpy", "scipy")
    return {
        "package": package_version(DISTRIBUTION),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: package_version(name) for name in names},
    }


def _commit() -> str:
    git = shutil.which("git")
    if git is None or not IN_CHECKOUT:  # around an installed copy lies somebody else's repository
        return "unknown"
    done = subprocess.run(
        [git, "describe", "--always", "--dirty"],
        cwd=DATA,
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
        replaced: When the report was written that this run's replaces, local time; "" if none was.
    """

    report: Path
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    verdicts: list[Verdict] = field(default_factory=list)
    controls: list[Verdict] = field(default_factory=list)  # verdicts on reference models
    baseline: Baseline | None = None
    card: Path | None = None
    command: str = ""
    replaced: str = ""
    _answered: set[tuple[str, str]] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """The folder of the report, which the other files share."""
        return self.report.parent

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict, on disk before anything else happens.

        Those on reference models wait for the first one on a model: until then there is no report
        they could stand in, and the files of the last run stay as they are.
        """
        if self.command:
            verdict = _with_provenance(verdict, command=self.command)
        own = verdict.control is None
        (self.verdicts if own else self.controls).append(verdict)
        waiting = [verdict] if self.verdicts and not own else []
        if own and len(self.verdicts) == 1:
            self.start_files()
            waiting = self.controls
        if own:
            records.append_jsonl(self.folder, verdict)
        for control in waiting:
            records.append_jsonl(self.folder / records.CONTROL_LINES_NAME, control)

    def start_files(self) -> None:
        """Clear the verdicts of the last run; component parts of this one may be there already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.report.exists():
            written = datetime.fromtimestamp(self.report.stat().st_mtime).astimezone()
            self.replaced = f"{written:%Y-%m-%d %H:%M}"
        controls = (records.CONTROLS_NAME, records.CONTROL_LINES_NAME)
        others = (records.PLOTS_NAME, *controls, records.ANSWERS_NAME)
        for name in (records.JSONL_NAME, *others, samples.SAMPLES_NAME):
            (self.folder / name).unlink(missing_ok=True)

    def save_components(
        self, tables: Mapping[str, Components], encoder_layers: int = 0, **common: str
    ) -> None:
        """Write the full tables of one prediction; called where it ran.

        Args:
            tables: By source, the model's and its twins'.
            encoder_layers: Layers of the encoder that the model has beside a decoder.
            common: What is the same in every row.
        """
        import pandas as pd  # noqa: PLC0415 - slow to import, and not needed to list tests

        frames = [
            components_frame(table, encoder_layers, source=s, **common)
            for s, table in tables.items()
        ]
        if frames:
            pd.concat(frames, ignore_index=True).to_parquet(
                self._part(COMPONENT_PARTS, "parquet"), index=False
            )

    def save_samples(self, values: Mapping[str, samples.SampleValues], **common: str) -> None:
        """Write the values by sample of one prediction's evidence; called where it ran."""
        if values:
            frame = samples.samples_frame(values, **common)
            frame.to_parquet(self._part(SAMPLE_PARTS, "parquet"), index=False)

    def save_answers(self, answers: "pd.DataFrame", materials: str) -> None:
        """Write how a model answered a set of prompts, given by its hash, once a process."""
        if len(answers) and (answers["model"][0], materials) not in self._answered:
            self._answered.add((answers["model"][0], materials))
            answers.to_parquet(self._part(ANSWER_PARTS, "parquet"), index=False)

    def save_plots(self, plots: Sequence[Plot], **common: str) -> None:
        """Write the figures that one prediction hands over; called where it ran."""
        if not plots:
            return
        drawn = [PlacedPlot(**common, plot=plot).to_json() for plot in plots]
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
            if self.controls and not stopped:  # reference models were all that was asked for
                self.folder.mkdir(parents=True, exist_ok=True)
                self._finish_controls()
            return None
        self._finish_controls()
        if stopped:
            self.verdicts = [_with_provenance(v, stopped=True) for v in self.verdicts]
        records.write_verdicts(self.folder, self.verdicts)
        self._merge_samples()
        if self.baseline is not None:
            self.verdicts = against(self.verdicts, samples.read_samples(self.folder), self.baseline)
            records.write_verdicts(self.folder, self.verdicts)
        components = self._merge_components()
        answers = self._merge_answers()
        plots = self._merge_plots()
        from harness.report import rendering as report  # noqa: PLC0415 - plotly and jinja2 load here

        shown = [*self.verdicts, *self.controls]
        return report.render(
            shown, components, self.report, plots=plots, answers=answers, card=self.card
        )

    def _finish_controls(self) -> None:
        if self.controls:
            records.write_verdicts(self.folder / records.CONTROLS_NAME, self.controls)
            (self.folder / records.CONTROL_LINES_NAME).unlink(missing_ok=True)

    def _merge_components(self) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415

        parts = sorted((self.folder / COMPONENT_PARTS).glob(f"{self.run_id}-*.parquet"))
        merged = (
            pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True)
            if parts
            else (pd.DataFrame(columns=list(COMPONENT_COLUMNS)))
        )
        merged.to_parquet(self.folder / COMPONENTS_NAME, index=False)
        shutil.rmtree(self.folder / COMPONENT_PARTS, ignore_errors=True)
        return merged

    def _merge_answers(self) -> "pd.DataFrame | None":
        """Every prompt once, though several workers asked it; None if no model was asked."""
        import pandas as pd  # noqa: PLC0415

        parts = sorted((self.folder / ANSWER_PARTS).glob(f"{self.run_id}-*.parquet"))
        if not parts:
            return None
        merged = pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True)
        merged = merged.drop_duplicates(["model", "materials", "item", "prompt"])
        merged = merged.sort_values(["model", "materials"], kind="stable", ignore_index=True)
        merged.to_parquet(self.folder / records.ANSWERS_NAME, index=False)
        shutil.rmtree(self.folder / ANSWER_PARTS, ignore_errors=True)
        return merged

    def _merge_samples(self) -> None:
        """All samples of the run; no file if no prediction has any."""
        import pandas as pd  # noqa: PLC0415

        parts = sorted((self.folder / SAMPLE_PARTS).glob(f"{self.run_id}-*.parquet"))
        if parts:
            merged = pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True)
            merged = merged.astype(dict.fromkeys(samples.SAMPLE_LABELS, "category"))
            merged.to_parquet(self.folder / samples.SAMPLES_NAME, index=False)
        shutil.rmtree(self.folder / SAMPLE_PARTS, ignore_errors=True)

    def _merge_plots(self) -> list[PlacedPlot]:
        """All figures of the run, in the order of the verdicts."""
        parts = sorted((self.folder / PLOT_PARTS).glob(f"{self.run_id}-*.json"))
        texts = [part.read_text(encoding="utf-8") for part in parts]
        merged = [PlacedPlot.from_json(plot) for text in texts for plot in json.loads(text)]
        places = [(v.model.name, v.claim_id, v.prediction_id) for v in self.verdicts]
        rank = {place: at for at, place in enumerate(places)}
        merged.sort(key=lambda p: rank.get((p.model, p.claim_id, p.prediction_id), len(rank)))
        if merged:
            records.write_plots(self.folder, merged)
        shutil.rmtree(self.folder / PLOT_PARTS, ignore_errors=True)
        return merged


def _with_provenance(verdict: Verdict, **more: Any) -> Verdict:
    return replace(verdict, provenance={**verdict.provenance, **more})


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def not_measured(prediction: Prediction, reason: str, run_id: str) -> Verdict:
    """The verdict on a prediction that ended without one: a row, never a gap."""
    return Verdict(
        run_id=run_id,
        created=now(),
        claim_id=prediction.claim_id,
        claim=prediction.claim,
        prediction_id=prediction.prediction_id,
        prediction=prediction.prediction,
        criterion=Criterion(prediction.criterion),
        outcome=Outcome.NOT_MEASURED,
        reason=reason,
        model=Named(prediction.model),
        materials=Named(prediction.materials),
        provenance=provenance(),
        control=prediction.control,
        part=prediction.part,
        primary=prediction.primary,
    )
