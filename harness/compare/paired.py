"""How far effects moved between two runs, on the samples both have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness import stats
from harness.compare.matching import Match
from harness.verdicts.earlier import Moved
from harness.verdicts.evidence import Evidence
from harness.verdicts.samples import Address, SampleValues
from harness.verdicts.verdict import Verdict

RESAMPLES = 2000
PERMUTATIONS = 9999
_LEAST = 2  # samples
# Share of the earlier mean: a smaller change is none. Rounding alone may have one sign everywhere.
TOLERANCE = 0.01
METHOD = (
    "mean difference over shared samples, paired bootstrap (BCa); p by sign flips of the same "
    "differences, family-wise over the effects compared (min-p, a sample flips alike in all)"
)


def moved_effects(
    matches: Sequence[Match],
    now: Mapping[Address, SampleValues],
    before: Mapping[Address, SampleValues],
    *,
    seed: int = 0,
) -> list[list[Moved]]:
    """For each match, its decisive evidence then and now, significance corrected over all.

    Evidence is matched by its key, else by its name. What only one of the runs has is left out.
    """
    found = [_of_match(match, now, before, seed) for match in matches]
    tested = [differences for effects in found for _, differences in effects if differences]
    adjusted = iter(stats.sign_flip_min_p(tested, permutations=PERMUTATIONS, seed=seed).tolist())
    # Drawn at random, it may fall short of what one effect alone has by all its patterns.
    return [
        [m if m.p is None else replace(m, p_adjusted=max(m.p, next(adjusted))) for m, _ in effects]
        for effects in found
    ]


def _of_match(
    match: Match,
    now: Mapping[Address, SampleValues],
    before: Mapping[Address, SampleValues],
    seed: int,
) -> list[tuple[Moved, SampleValues]]:
    """With the difference on each shared sample; none where they are too few to be tested."""
    if match.before is None or not match.measured:
        return []
    earlier = {e.identity: e for e in match.before.evidence if e.decisive}
    moved = []
    for evidence in match.now.evidence:
        old = earlier.get(evidence.identity)
        if not evidence.decisive or old is None:
            continue
        ours = now.get(_place(match.now, evidence.name), {})
        theirs = before.get(_place(match.before, old.name), {})
        moved.append(_moved(evidence, old, ours, theirs, seed))
    return moved


def _place(record: Verdict, evidence: str) -> Address:
    return Address(
        record.model.name,
        record.materials.name,
        record.claim_id,
        record.prediction_id,
        record.criterion,
        evidence,
    )


def _moved(
    evidence: Evidence, old: Evidence, ours: SampleValues, theirs: SampleValues, seed: int
) -> tuple[Moved, SampleValues]:
    was, value = (e.effect.value if e.effect.known else None for e in (old, evidence))
    each = {sample: ours[sample] - theirs[sample] for sample in ours if sample in theirs}
    if len(each) < _LEAST:
        delta = None if was is None or value is None else value - was
        return Moved(evidence.name, was, value, delta), {}
    differences = np.array([*each.values()])
    estimate = stats.bootstrap_mean(differences, resamples=RESAMPLES, seed=seed)
    test = stats.sign_flip_max(differences, permutations=PERMUTATIONS, seed=seed)
    delta = float(estimate.value)
    moved = Moved(
        evidence.name,
        was,
        value,
        delta,
        (float(estimate.low), float(estimate.high)),
        p=float(test.p),
        n=len(each),
        better=_better(evidence.relation, delta, float(np.mean([theirs[u] for u in each]))),
    )
    return moved, each


def _better(relation: str, delta: float, before: float) -> bool | None:
    """Away from refutation: up for >=, down for <=, away from zero where no bound is set.

    None for a change that is too small to be one.
    """
    if delta == 0 or abs(delta) < TOLERANCE * abs(before):
        return None
    if relation in (">=", ">"):
        return delta > 0
    if relation in ("<=", "<"):
        return delta < 0
    return abs(before + delta) > abs(before)
