"""Models whose verdicts are known: every run shows whether it gets them right.

A control is a small model with planted circuits (positive: recall and reasoning come apart) or
with one circuit for both (negative: they do not). Its predictions are items of the run like any
other, with the run's plan and seed and on the default materials; a verdict that is not the known
one fails. A control costs a minute, so its verdicts are kept, under a fingerprint of all that
they depend on: code, plan, weights, libraries, device. Those of the default plan ship with the
suite.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.files import ROOT, write_text
from harness.models import identity, specs
from harness.models.specs import LoadOptions, ModelSpec
from harness.study.fingerprint import instrument, libraries
from harness.study.plan import Plan
from harness.verdicts.verdict import Known

SHIPPED = ROOT / "fixtures" / "organisms" / "controls.json"
FOLDER = "controls"  # in the cache
TRUTH = "circuit.json"


@dataclass(frozen=True, slots=True)
class Control:
    """A model whose verdicts are known.

    Attributes:
        spec: The model.
        role: `positive` or `negative`.
        expected: Outcome by `claim/prediction`.
        why: What makes them known, in a sentence.
    """

    spec: ModelSpec
    role: str
    expected: Mapping[str, str]
    why: str

    @property
    def name(self) -> str:
        """As it is shown."""
        return self.spec.name

    def known(self, who: Mapping[str, str]) -> Known | None:
        """What is known of a prediction on this model."""
        expected = self.expected.get(place(who))
        return None if expected is None else Known(self.role, expected, self.why)


def place(who: Mapping[str, str]) -> str:
    """What a prediction is called in circuit.json."""
    return f"{who['claim_id']}/{who['prediction_id']}"


@cache
def shipped() -> tuple[Control, ...]:
    """The controls of models.toml whose folders are there."""
    found = []
    for name, folder in specs.aliases()["controls"].items():
        path = ROOT / folder / TRUTH
        if not path.is_file():
            continue
        truth = json.loads(path.read_text(encoding="utf-8"))
        found.append(Control(specs.resolve(name), truth["role"], truth["expected"], truth["why"]))
    return tuple(found)


class Kept:
    """Verdicts on controls, those that ship and those of earlier runs on this machine."""

    def __init__(self, plan: Plan, load: LoadOptions, cache_dir: Path) -> None:
        self.plan, self.load, self.cache_dir = plan, load, cache_dir

    def find(self, control: Control, who: Mapping[str, str], claim: Path) -> dict[str, Any] | None:
        """The record of a prediction of a control, if nothing it depends on has changed."""
        key = self.fingerprint(control, claim)
        found: dict[str, Any] | None = _shipped_records().get(_shipped_key(key, place(who)))
        path = self._file(key, who)
        if found is None and path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:  # damaged: measure again
                return None
        if found is None:
            return None
        return {**found, "model": {**found["model"], "path": control.spec.path}}

    def keep(
        self, control: Control, who: Mapping[str, str], claim: Path, record: Mapping[str, Any]
    ) -> None:
        """Keep a record, on disk before this returns."""
        text = json.dumps(record, allow_nan=False)
        write_text(self._file(self.fingerprint(control, claim), who), text)

    def count(self, control: Control, hypotheses: Path) -> int:
        """How many of a control's verdicts are kept, of the claims in a folder."""
        found = 0
        for name in control.expected:
            claim_id, prediction_id = name.split("/")
            who = {"claim_id": claim_id, "prediction_id": prediction_id}
            files = hypotheses.glob(f"test_{claim_id}_*.py")
            found += any(self.find(control, who, file) is not None for file in files)
        return found

    def fingerprint(self, control: Control, claim: Path) -> str:
        """SHA-256 over all that a verdict on a control depends on."""
        depends = {
            "code": instrument(),
            "claim": hashlib.sha256(claim.read_bytes()).hexdigest(),
            "weights": identity.weights_identity(control.spec, self.cache_dir),
            "tokenizer": identity.tokenizer_identity(control.spec),
            "plan": asdict(self.plan),
            "device": self.load.device if self.load.device != "auto" else default_device(),
            "dtype": self.load.dtype,
            "chat_template": self.load.chat_template,
            "versions": libraries(),
        }
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()

    def _file(self, key: str, who: Mapping[str, str]) -> Path:
        return self.cache_dir / FOLDER / key[:32] / f"{place(who).replace('/', '--')}.json"


def default_device() -> str:
    """What `--device auto` will mean, told without importing torch."""
    return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"


def _shipped_key(fingerprint: str, where: str) -> str:
    return f"{fingerprint[:32]}/{where}"


@cache
def _shipped_records() -> Mapping[str, dict[str, Any]]:
    """The records that ship, by fingerprint and prediction; none in a fresh checkout of work."""
    if not SHIPPED.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return found


def ship(cache_dir: Path) -> int:
    """Write all that is kept in a cache folder as what ships; how many records that is."""
    found = {}
    for path in sorted((cache_dir / FOLDER).glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["model"]["path"] = ""  # of this machine
        found[_shipped_key(path.parent.name, path.stem.replace("--", "/"))] = record
    SHIPPED.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return len(found)
