"""How far effects moved between two runs, on the units both have."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from harness import stats
from harness.compare.matching import Match
from harness.verdicts.samples import Place, Values
from harness.verdicts.verdict import Outcome

ALPHA = 0.05  # of the family of all effects compared, by Holm
RESAMPLES = 2000
PERMUTATIONS = 9999  # the smallest p is 1e-4, so Holm can reach alpha over 500 effects
LEAST = 2  # units
METHOD = (
    "mean difference over shared units, paired bootstrap (BCa); p by sign flips of the same "
    "differences, Holm over the effects compared"
)


@dataclass(frozen=True, slots=True)
class Moved:
    """One effect then and now.

    Attributes:
        before: The earlier effect, as its record has it; `now` this run's.
        delta: Mean over shared units of now minus before; without units, of the two effects.
        interval: Of `delta`, at 95 %; None without units.
        p: Uncorrected; `p_adjusted` is corrected over all effects that are compared.
        n: Units both runs have; 0 where the effects are not paired.
        better: Whether the change is away from refutation; None if it is neither.
    """

    evidence: str
    before: float | None
    now: float | None
    delta: float | None
    interval: tuple[float, float] | None = None
    p: float | None = None
    p_adjusted: float | None = None
    n: int = 0
    better: bool | None = None

    @property
    def significant(self) -> bool:
        """Whether the change is more than chance, over the whole family."""
        return self.p_adjusted is not None and self.p_adjusted <= ALPHA

    def to_json(self) -> dict[str, Any]:
        """As it stands in the record."""
        return {**asdict(self), "significant": self.significant}


def moved_effects(
    matches: Sequence[Match],
    now: Mapping[Place, Values],
    before: Mapping[Place, Values],
    *,
    seed: int = 0,
) -> list[list[Moved]]:
    """For each match, its decisive evidence then and now, significance corrected over all.

    Evidence is matched by its name. What only one of the runs has is left out.
    """
    found = [_of_match(match, now, before, seed) for match in matches]
    p = [m.p for moved in found for m in moved if m.p is not None]
    adjusted = iter(stats.holm(np.array(p)).tolist() if p else ())
    return [
        [m if m.p is None else replace(m, p_adjusted=next(adjusted)) for m in moved]
        for moved in found
    ]


def _of_match(
    match: Match, now: Mapping[Place, Values], before: Mapping[Place, Values], seed: int
) -> list[Moved]:
    if match.before is None or Outcome.NOT_MEASURED in (
        match.now["outcome"],
        match.before["outcome"],
    ):
        return []
    earlier = {e["name"]: e for e in match.before["evidence"] if e["decisive"]}
    moved = []
    for evidence in match.now["evidence"]:
        old = earlier.get(evidence["name"])
        if not evidence["decisive"] or old is None:
            continue
        ours = now.get(_place(match.now, evidence["name"]), {})
        theirs = before.get(_place(match.before, evidence["name"]), {})
        moved.append(_moved(evidence, old, ours, theirs, seed))
    return moved


def _place(record: Mapping[str, Any], evidence: str) -> Place:
    return Place(
        record["model"]["name"],
        record["materials"]["name"],
        record["claim_id"],
        record["prediction_id"],
        record["criterion"],
        evidence,
    )


def _moved(
    evidence: Mapping[str, Any], old: Mapping[str, Any], ours: Values, theirs: Values, seed: int
) -> Moved:
    values = tuple(_number(e["effect"]["value"]) for e in (old, evidence))
    was, value = values
    shared = [unit for unit in ours if unit in theirs]
    if len(shared) < LEAST:
        delta = None if was is None or value is None else value - was
        return Moved(evidence["name"], was, value, delta)
    differences = np.array([ours[u] - theirs[u] for u in shared])
    estimate = stats.bootstrap_mean(differences, resamples=RESAMPLES, seed=seed)
    test = stats.sign_flip_max(differences, permutations=PERMUTATIONS, seed=seed)
    delta = float(estimate.value)
    return Moved(
        evidence["name"],
        was,
        value,
        delta,
        (float(estimate.low), float(estimate.high)),
        p=float(test.p),
        n=len(shared),
        better=_better(evidence["relation"], delta, float(np.mean([theirs[u] for u in shared]))),
    )


def _better(relation: str, delta: float, before: float) -> bool | None:
    """Away from refutation: up for >=, down for <=, away from zero where no bound is set."""
    if delta == 0:
        return None
    if relation in (">=", ">"):
        return delta > 0
    if relation in ("<=", "<"):
        return delta < 0
    return abs(before + delta) > abs(before)


def _number(value: float | str | None) -> float | None:
    """A finite number of a record, or None: infinities are text there."""
    return None if value is None or isinstance(value, str) else float(value)
