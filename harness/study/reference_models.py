"""Reference models: models whose verdicts are known, judged in every run to check the suite.

A reference model is a small model with circuits of its own for each task (positive), with one
circuit for both, or without one of the tasks (negative). Its predictions are tests of the run like
any other, with the run's plan and seed, on the default materials; a verdict that differs from the
known one fails. They take minutes, so the verdicts are stored under a fingerprint of all that they
depend on: code, plan, weights, libraries, device. Those of the default plan ship with the suite.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.files import DATA, write_text
from harness.foreign import strictly_parsed
from harness.models import identity, specs
from harness.models.specs import LoadOptions, ModelError, ModelSpec
from harness.study.difficulty import Asked
from harness.study.fingerprint import instrument, library_versions
from harness.study.plan import Plan
from harness.verdicts.records import verdict_of
from harness.verdicts.verdict import Known

SHIPPED = DATA / "fixtures" / "organisms" / "controls.json"
STORED = "controls"  # in the cache
TRUTH = "circuit.json"


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """A model whose verdicts are known.

    Attributes:
        spec: The model.
        role: `positive` or `negative`.
        expected: Outcome by `claim/prediction`.
        why: Why they are known, in one sentence.
        asked: The difficulty that it is asked with; None if it is the run's.
    """

    spec: ModelSpec
    role: str
    expected: Mapping[str, str]
    why: str
    asked: Asked | None = None

    @property
    def name(self) -> str:
        """The model's name, as reports show it."""
        return self.spec.name

    def known(self, prediction: Mapping[str, str]) -> Known | None:
        """The known verdict of a prediction on this model; None if nothing is known of it."""
        expected = self.expected.get(key_of(prediction))
        return None if expected is None else Known(self.role, expected, self.why)


def key_of(prediction: Mapping[str, str]) -> str:
    """The name of a prediction in circuit.json, from its `claim_id` and `prediction_id`."""
    return f"{prediction['claim_id']}/{prediction['prediction_id']}"


@cache
def shipped() -> tuple[ReferenceModel, ...]:
    """The reference models of models.toml whose folders exist."""
    models = []
    for name in specs.aliases()["reference"]:
        with suppress(ModelError):  # its folder is not there
            spec = specs.resolve(name)
            truth = json.loads((Path(spec.path) / TRUTH).read_text(encoding="utf-8"))
            asked = Asked(**truth["asked"]) if "asked" in truth else None
            known = truth["role"], truth["expected"], truth["why"]
            models.append(ReferenceModel(spec, *known, asked))
    return tuple(models)


class StoredVerdicts:
    """Verdicts on reference models: those that ship, and those of earlier runs on this machine."""

    def __init__(
        self, plan: Plan, load: LoadOptions, cache_dir: Path, asked: Asked | None = None
    ) -> None:
        self.plan, self.load, self.cache_dir = plan, load, cache_dir
        self.asked = asked or Asked()

    def find(
        self, model: ReferenceModel, prediction: Mapping[str, str], claim: Path
    ) -> dict[str, Any] | None:
        """The record of a prediction, if nothing that it depends on has changed.

        Args:
            model: The reference model.
            prediction: Its `claim_id` and `prediction_id`.
            claim: The hypothesis file.
        """
        fingerprint = self.fingerprint(model, claim)
        shipped_key = _shipped_key(fingerprint, key_of(prediction))
        record = _shipped_records().get(shipped_key)
        path = self._file(fingerprint, prediction)
        if record is None and path.is_file():
            record = _stored(path)
        if record is None:
            return None
        return {**record, "model": {**record["model"], "path": model.spec.path}}

    def save(
        self,
        model: ReferenceModel,
        prediction: Mapping[str, str],
        claim: Path,
        record: Mapping[str, Any],
    ) -> None:
        """Store a record: it is on disk when this returns, unless the cache cannot be written."""
        text = json.dumps(record, allow_nan=False)
        with suppress(OSError):  # the store says once that the folder cannot be written
            write_text(self._file(self.fingerprint(model, claim), prediction), text)

    def count(self, model: ReferenceModel, hypotheses: Path) -> int:
        """How many of a model's known verdicts are stored, for the claims in a folder."""
        stored = 0
        for key in model.expected:
            claim_id, prediction_id = key.split("/")
            prediction = {"claim_id": claim_id, "prediction_id": prediction_id}
            files = hypotheses.glob(f"test_{claim_id}_*.py")
            stored += any(self.find(model, prediction, file) is not None for file in files)
        return stored

    def fingerprint(self, model: ReferenceModel, claim: Path) -> str:
        """SHA-256 over all that a verdict on a reference model depends on."""
        depends = {
            "code": instrument(),
            "claim": hashlib.sha256(claim.read_bytes()).hexdigest(),
            "model": identity.identity_of(model.spec, self.load, self.cache_dir),
            "plan": asdict(self.plan),
            "asked": asdict(model.asked or self.asked),
            "device": self.load.device if self.load.device != "auto" else default_device(),
            "versions": library_versions(),
        }
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()

    def _file(self, fingerprint: str, prediction: Mapping[str, str]) -> Path:
        name = f"{key_of(prediction).replace('/', '--')}.json"
        return self.cache_dir / STORED / fingerprint[:32] / name


def default_device() -> str:
    """The device that `--device auto` will choose, without importing torch."""
    return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"


def _stored(path: Path) -> dict[str, Any] | None:
    """The record in a file of the cache; None if it is damaged: it is measured again."""
    try:
        record: dict[str, Any] = strictly_parsed(path.read_text(encoding="utf-8"))
        verdict_of(record)
    except Exception:  # of any kind
        return None
    return record


def _shipped_key(fingerprint: str, prediction: str) -> str:
    return f"{fingerprint[:32]}/{prediction}"


@cache
def _shipped_records() -> Mapping[str, dict[str, Any]]:
    """The records that ship, by fingerprint and prediction; empty before they are first made."""
    if not SHIPPED.is_file():
        return {}
    records: dict[str, dict[str, Any]] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return records


def ship(cache_dir: Path) -> int:
    """Write the verdicts stored in a cache folder as those that ship; their number."""
    records = {}
    for path in sorted((cache_dir / STORED).glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["model"]["path"] = ""  # a path on this machine
        records[_shipped_key(path.parent.name, path.stem.replace("--", "/"))] = record
    SHIPPED.write_text(json.dumps(records, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return len(records)
