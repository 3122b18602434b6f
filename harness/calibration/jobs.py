"""The runs of a calibration: each is one `pytest hypotheses/`, with an address of its own."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.calibration.settings import ON_ORGANISMS, CalibrationSettings
from harness.calibration.settings import ORGANISMS as WRITTEN_ORGANISMS

BATCH = 7  # prompts at a time, where another batch size than usual is tried
CONTROLS, ORGANISMS, POWER, CONSISTENCY = "controls", "organisms", "power", "consistency"  # parts
SHIPPED, WRITTEN = "shipped", "written"  # where a model whose verdicts are known comes from


@dataclass(frozen=True, slots=True)
class Job:
    """One run of the suite.

    Attributes:
        part: `controls`, `organisms`, `power` or `consistency`.
        kind: Of model (shipped, written), or of consistency (base, again, ...).
        base: The model that it is about.
        seed: Of materials, permutations and resamples.
        items: Facts a task.
        more: Further options.
        cache: Runs of one name share what they measure; "" for none.
    """

    part: str
    kind: str
    base: str
    seed: int = 0
    items: int = 200
    more: tuple[str, ...] = ()
    cache: str = ""

    @property
    def name(self) -> str:
        """What it is, in a few words that differ between jobs of a plan."""
        words = [self.part, self.kind, Path(self.base).name]
        return " ".join([*words, f"seed {self.seed}", f"{self.items} items"])

    def options(self, settings: CalibrationSettings) -> list[str]:
        """The command line's part that decides what comes out."""
        numbers = ("permutations", "resamples", "twins")
        given = [f"--{name}={getattr(settings, name)}" for name in numbers]
        return [*given, f"--items={self.items}", f"--seed={self.seed}", "--gate=none", *self.more]

    def fingerprint(self, settings: CalibrationSettings, depends: Mapping[str, Any]) -> str:
        """Sixteen hex digits that change with whatever the outcome depends on."""
        key = {**depends, "options": self.options(settings), "claims": settings.claims}
        # A base and a second run of it differ in nothing but what they are for.
        key["kind"] = [self.part, self.kind] if self.part == CONSISTENCY else []
        text = json.dumps(key, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "name": self.name, "more": list(self.more)}


def chains(settings: CalibrationSettings) -> list[list[Job]]:
    """All runs; those of a chain are carried out one after the other, and share measurements.

    The first seed of every part comes first, so that a calibration that is stopped has something
    of everything.
    """
    made: list[list[Job]] = []
    for draw in range(max(settings.seeds, settings.organism_seeds)):
        seed = settings.first_seed + draw
        if CONTROLS in settings.parts and draw < settings.seeds:
            made += [[_control(settings, m, seed)] for m in settings.controls]
        if ORGANISMS in settings.parts and draw < settings.organism_seeds:
            made += [[_organism(settings, m, seed)] for m in settings.organisms]
        if POWER in settings.parts and draw < settings.organism_seeds:
            made += _power(settings, seed)
        if CONSISTENCY in settings.parts and settings.consistent and draw == 0:
            made += _consistency(settings)
    return made


def _control(settings: CalibrationSettings, name: str, seed: int) -> Job:
    if name in WRITTEN_ORGANISMS:
        return _written(CONTROLS, name, seed, settings.control_items)
    return Job(CONTROLS, SHIPPED, name, seed=seed, items=settings.control_items)


def _organism(settings: CalibrationSettings, name: str, seed: int) -> Job:
    return _written(ORGANISMS, name, seed, settings.organism_items)


def _written(part: str, name: str, seed: int, items: int) -> Job:
    easy = tuple(f"--{option}={value}" for option, value in ON_ORGANISMS.items())
    return Job(part, WRITTEN, name, seed=seed, items=items, more=easy)


def _power(settings: CalibrationSettings, seed: int) -> Iterator[list[Job]]:
    for base in settings.power:
        for items in settings.power_items:
            yield [Job(POWER, SHIPPED, base, seed=seed, items=items)]


def _consistency(settings: CalibrationSettings) -> Iterator[list[Job]]:
    def job(kind: str, cache: str = "", *more: str) -> Job:
        base = settings.consistent
        seed = settings.first_seed
        return Job(CONSISTENCY, kind, base, seed, settings.items, more=more, cache=cache)

    yield [job("base", "consistency"), job("warm cache", "consistency")]
    yield [job("again")]
    yield [job("other batch size", "", f"--batch-size={BATCH}")]
    yield [job("two workers", "", "-n2")]


def jobs_of(plan: Sequence[Sequence[Job]]) -> list[Job]:
    """All of them, in order."""
    return [job for chain in plan for job in chain]
