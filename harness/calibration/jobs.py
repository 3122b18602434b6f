"""The runs of a calibration: each is one `pytest hypotheses/`, with an address of its own."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.calibration.settings import CalibrationSettings

OPEN = 0.0  # the competence gate that everything passes
FIRST_UNTRAINED = 1000  # seeds of untrained networks; the suite's own twins have 1, 2, 3, ...
BATCH = 7  # prompts at a time, where another batch size than usual is tried


@dataclass(frozen=True, slots=True)
class Job:
    """One run of the suite.

    Attributes:
        part: `null`, `power`, `organisms` or `consistency`.
        kind: Of null (untrained, shuffled, redrawn) or of consistency (base, again, ...).
        base: The model that it is about; of untrained networks, the one they are made like.
        network: Number of the untrained network that is run in the base's place; None for none.
        seed: Of materials, shuffling, permutations and resamples.
        items: Facts a task.
        share: Of pairs whose labels are shuffled.
        gate: Competence gate; None is each claim's own.
        more: Further options.
        cache: Runs of one name share what they measure; "" for none.
    """

    part: str
    kind: str
    base: str
    network: int | None = None
    seed: int = 0
    items: int = 200
    share: float = 0.0
    gate: float | None = None
    more: tuple[str, ...] = ()
    cache: str = ""

    @property
    def name(self) -> str:
        """What it is, in a few words that differ between jobs of a plan."""
        words = [self.part, self.kind, Path(self.base).name]
        words += [] if self.network is None else [f"network {self.network}"]
        words += [f"seed {self.seed}", f"{self.items} items"]
        words += [f"share {self.share:g}"] if self.share else []
        words += [] if self.gate is None else [f"gate {self.gate:g}"]
        return " ".join(words)

    def options(self, settings: CalibrationSettings) -> list[str]:
        """The command line's part that decides what comes out."""
        numbers = ("permutations", "resamples", "twins")
        given = [f"--{name}={getattr(settings, name)}" for name in numbers]
        given += [f"--items={self.items}", f"--seed={self.seed}", "--gate=none"]
        given += [f"--shuffle-labels={self.share:g}"] if self.share else []
        given += [] if self.gate is None else [f"--competence-gate={self.gate:g}"]
        return [*given, *self.more]

    def fingerprint(self, settings: CalibrationSettings, depends: Mapping[str, Any]) -> str:
        """Sixteen hex digits that change with whatever the outcome depends on."""
        key = {**depends, "options": self.options(settings), "claims": settings.claims}
        # A base and a second run of it differ in nothing but what they are for.
        key["kind"] = [self.part, self.kind] if self.part == "consistency" else []
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
    for seed in range(max(settings.seeds, settings.power_seeds)):
        if "null" in settings.parts and seed < settings.seeds:
            made += [c for c in _null(settings, seed) if c[0].kind in settings.nulls]
        if "power" in settings.parts and seed < settings.power_seeds:
            made += _power(settings, seed)
        if "organisms" in settings.parts and seed < settings.power_seeds:
            made += _organisms(settings, seed)
        if "consistency" in settings.parts and settings.consistent and seed == 0:
            made += _consistency(settings)
    return made


def _null(settings: CalibrationSettings, seed: int) -> Iterator[list[Job]]:
    for base in settings.untrained:
        # Materials are the same for all of them, and so are the twins: measured once.
        cache = f"untrained-{Path(base).name}"
        yield _gated(Job("null", "untrained", base, network=seed, cache=cache), settings)
    for base in settings.untrained[:1]:
        cache = f"redrawn-{seed}"
        drawn = Job("null", "redrawn", base, network=0, seed=seed + 1, cache=cache)
        yield _gated(drawn, settings)
    for base in settings.shuffled:
        # A trained model passes the gate: there is nothing to open.
        yield [Job("null", "shuffled", base, seed=seed, share=1.0, items=settings.items)]


def _gated(job: Job, settings: CalibrationSettings) -> list[Job]:
    """As it is used, then again from the same measurements with the gate open."""
    used = replace(job, items=settings.items)
    return [used, replace(used, gate=OPEN)]


def _power(settings: CalibrationSettings, seed: int) -> Iterator[list[Job]]:
    points = {(items, 0.0) for items in settings.power_items}
    points |= {(settings.items, share) for share in settings.shares}
    for base in settings.power:
        for items, share in sorted(points):
            yield [Job("power", "planted", base, seed=seed, items=items, share=share)]


def _organisms(settings: CalibrationSettings, seed: int) -> Iterator[list[Job]]:
    for name in settings.organisms:
        # One that works is judged by everything: the suite's own twins are the same for all seeds.
        yield [Job("organisms", "written", name, seed=seed, items=settings.items)]


def _consistency(settings: CalibrationSettings) -> Iterator[list[Job]]:
    def job(kind: str, cache: str = "", *more: str) -> Job:
        base = settings.consistent
        return Job("consistency", kind, base, items=settings.items, more=more, cache=cache)

    yield [job("base", "consistency"), job("warm cache", "consistency")]
    yield [job("again")]
    yield [job("other batch size", "", f"--batch-size={BATCH}")]
    yield [job("two workers", "", "-n2")]


def jobs_of(plan: Sequence[Sequence[Job]]) -> list[Job]:
    """All of them, in order."""
    return [job for chain in plan for job in chain]
