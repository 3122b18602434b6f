"""Runs of many models made one: the same files as any run has, and its report."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compare.curves import FleetRecord, write_fleet
from harness.verdicts import records, samples
from harness.verdicts.components import COMPONENTS_NAME
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

ONCE = ("materials", "item", "prompt")  # what tells answers of a model apart
TABLES = (COMPONENTS_NAME, samples.SAMPLES_NAME, records.ANSWERS_NAME)


def renamed(verdict: Verdict, name: str) -> Verdict:
    """The verdict with another name for its model."""
    return replace(verdict, model=replace(verdict.model, name=name))


def put_together(
    verdicts: Sequence[Verdict],
    folders: Sequence[tuple[str, Path]],
    record: FleetRecord,
    out: Path,
) -> Path:
    """Write verdicts, tables, figures and `fleet.json` of all runs, and their report; its path.

    Args:
        verdicts: Of all models, each prediction once.
        folders: Model and folder of each run; of what two runs of a model have, the later counts.
        record: Orders of models, and sentences.
        out: The folder, whose files of an earlier report are replaced.
    """
    from harness.report.rendering import load_and_render  # noqa: PLC0415 - plotly loads here

    out.mkdir(parents=True, exist_ok=True)
    (out / records.JSONL_NAME).unlink(missing_ok=True)
    records.write_verdicts(out, verdicts)
    _controls(folders, out)
    for name in TABLES:
        _table(name, folders, out)
    plots = [replace(p, model=label) for label, at in folders for p in records.read_plots(at)]
    records.write_plots(out, list({repr(p): p for p in plots}.values()))
    write_fleet(out, record)
    return load_and_render(out)


def _controls(folders: Sequence[tuple[str, Path]], out: Path) -> None:
    """Verdicts on the reference models, each once: every run judges the same ones."""
    found = {
        (v.model.name, v.claim_id, v.criterion, v.prediction_id, v.materials.name): v
        for _, folder in folders
        for v in records.read_controls(folder)
    }
    (out / records.CONTROLS_NAME).unlink(missing_ok=True)
    if found:
        records.write_verdicts(out / records.CONTROLS_NAME, found.values())


def _table(name: str, folders: Sequence[tuple[str, Path]], out: Path) -> None:
    """One table of all runs, read and written model by model: a fleet's may not fit into memory."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    (out / name).unlink(missing_ok=True)
    found = [(label, at / name) for label, at in folders if (at / name).is_file()]
    if not found:
        return
    schema, temporary = _schema([path for _, path in found]), out / f".{name}"
    with pq.ParquetWriter(temporary, schema) as writer:
        for label in dict.fromkeys(label for label, _ in found):
            frame = _of_model([path for of, path in found if of == label], label)
            frame = frame.reindex(columns=schema.names)
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))
    shutil.move(temporary, out / name)


def _schema(files: Sequence[Path]) -> Any:
    """Columns of all tables: one that is empty in some run has its type from the others."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    plain = [
        pa.schema(
            [
                (c.name, c.type.value_type if pa.types.is_dictionary(c.type) else c.type)
                for c in pq.read_schema(path)
            ]
        )
        for path in files
    ]
    return pa.unify_schemas(plain, promote_options="permissive")


def _of_model(files: Sequence[Path], label: str) -> "pd.DataFrame":
    """The tables of a model's runs, without rows that several have, and with plain texts."""
    import pandas as pd  # noqa: PLC0415

    frame = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    for column in frame.columns[frame.dtypes == "category"]:
        frame[column] = frame[column].astype(str)
    once = [c for c in ONCE if c in frame] if files[0].name == records.ANSWERS_NAME else None
    return frame.assign(model=label).drop_duplicates(once, ignore_index=True)
