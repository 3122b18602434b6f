"""calibration.json: everything that was counted, written whole; described by its schema."""

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.calibration.agreement import agreement, consistency
from harness.calibration.jobs import CONTROLS, ORGANISMS, WRITTEN
from harness.calibration.power import known_verdicts, power
from harness.calibration.recovery import circuit_of
from harness.calibration.results import ResultRow, rows_of, verdicts_of
from harness.calibration.running import CIRCUIT, Ran, RunOutcome
from harness.calibration.settings import CalibrationSettings
from harness.calibration.simulated import simulated_power
from harness.files import write_text
from harness.foreign import ForeignError, border, parsed, strictly_parsed
from harness.models.recipes import organism_folder
from harness.plugin.run import now, provenance
from harness.study.fingerprint import instrument
from harness.verdicts.verdict import to_plain

_SCHEMA = Path(__file__).with_name("calibration.schema.json")
_SCHEMA_VERSION = 3


def calibration(
    settings: CalibrationSettings,
    outcome: RunOutcome,
    processes: Sequence[dict[str, Any]] = (),
    programs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that these runs say, as plain values.

    Args:
        settings: What was asked.
        outcome: The runs.
        processes: What `measured_processes` says of each model.
        programs: What `measured_programs` says of networks with a published circuit.
    """
    runs = sorted(outcome.ran, key=lambda run: run.job.name)
    rows = rows_of(runs)
    record = {
        "schema_version": _SCHEMA_VERSION,
        "created": now(),
        "fingerprint": _fingerprint(settings, runs),
        "whole": outcome.whole,
        "settings": settings.to_json(),
        "provenance": {
            **provenance(),
            "instrument": instrument(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
        "seconds": round(sum(run.seconds for run in runs), 1),
        "runs": [_run(run) for run in runs],
        "failed": [{"name": f.job.name, "said": f.said} for f in outcome.failed],
        "predictions": _predictions(rows),
        "power": power(rows),
        "processes": list(processes),
        "known": known_verdicts(rows, _told(runs)),
        "programs": programs,
        "simulated": simulated_power(),
        "consistency": consistency(runs),
        "agreement": agreement(runs),
    }
    plain: dict[str, Any] = to_plain(record)
    return plain


def _fingerprint(settings: CalibrationSettings, runs: Sequence[Ran]) -> str:
    """Of the settings and of every run's own fingerprint, which its folder's name ends in."""
    names = [run.folder.name for run in runs]
    text = json.dumps([settings.to_json(), names], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _told(runs: Sequence[Ran]) -> dict[str, dict[str, str]]:
    """What is expected of each model that was run, as its circuit.json says."""
    found = {}
    known_of = [run for run in runs if run.job.part in (CONTROLS, ORGANISMS)]
    for job, folder in {(run.job, run.folder.parents[1]) for run in known_of}:
        if job.kind == WRITTEN:
            known = parsed((organism_folder(folder, job.base) / CIRCUIT).read_bytes())
        else:
            known = circuit_of(job.base) or {}
        found[job.base] = known.get("expected", {})
    return found


def _run(run: Ran) -> dict[str, Any]:
    job = run.job
    said = Counter(str(verdict.outcome) for verdict in verdicts_of(run))
    return {
        "name": job.name,
        "part": job.part,
        "kind": job.kind,
        "base": Path(job.base).name,
        "seed": job.seed,
        "items": job.items,
        "seconds": run.seconds,
        "outcomes": dict(said),
    }


def _predictions(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    sentences = {row.key: row.prediction for row in rows}
    return [
        {"claim_id": c, "criterion": criterion, "prediction_id": p, "prediction": sentence}
        for (c, criterion, p), sentence in sorted(sentences.items())
    ]


def write_calibration(path: Path, record: dict[str, Any]) -> Path:
    """Write a record, whole or not at all."""
    text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
    return write_text(path, text + "\n")


def read_calibration(path: Path) -> dict[str, Any]:
    """A record as it was written.

    Raises:
        ForeignError: If it is none, or of another version; names what is wrong.
    """
    with border(path, "a calibration of this suite", "calibrate again, or copy it again"):
        return _read(path)


def _read(path: Path) -> dict[str, Any]:
    record = strictly_parsed(path.read_text(encoding="utf-8"))
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != _SCHEMA_VERSION:
        raise ForeignError(
            f"{path} has schema_version {version!r}; this version reads {_SCHEMA_VERSION}."
        )
    fault = next(iter(_validator().iter_errors(record)), None)
    if fault is not None:
        field = ".".join(str(part) for part in fault.absolute_path) or "the record"
        raise ForeignError(f"{path} is no calibration: {field}: {fault.message[:300]}")
    return dict(record)


@cache
def _validator() -> Any:
    import jsonschema  # noqa: PLC0415 - needed for reading only

    return jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))
