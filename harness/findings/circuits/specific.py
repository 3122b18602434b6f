"""The first finding of h5: does a task's circuit carry that task, and no other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.circuits.measured import (
    AgainstRandomSets,
    SpecificCircuit,
    measure_random_sets,
    measure_specific,
)
from harness.findings.circuits.plots import dose_curve
from harness.findings.circuits.rules import DissociationRule
from harness.findings.circuits.secondary import left_out, secondary_evidence
from harness.findings.circuits.selection import shape
from harness.findings.circuits.tables import circuit_components
from harness.findings.effects import change_test
from harness.findings.requirements import beyond_chance, interval, no_headroom, spared
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family
from harness.verdicts.judge import Finding
from harness.verdicts.samples import by_sample


def specific_finding(
    study: Study, kind: CircuitKind, target: str, rule: DissociationRule, *, gate: float
) -> Finding:
    """Whether a task's circuit costs that task, more than random sets do, and spares the other."""
    measured = measure_specific(study, kind, target, rule, gate)
    lost, kept, apart = required = _requirements(measured)
    # Random sets cost most: a circuit that fails without them is compared on fewer pairs.
    sets = rule.random_sets if all(e.passed for e in required) else rule.other_sizes
    random = measure_random_sets(measured, sets.pairs)
    selective = replace(_selective(measured, random), headroom=_unseen(lost))
    secondary = (_lost_against_random(measured, random), *secondary_evidence(measured))
    return Finding(
        evidence=(lost, selective, kept, apart, *secondary),
        gates=random.gates,
        components=circuit_components(measured.selected),
        notes=_notes(measured, random),
        samples=_samples(measured, required),
        plots=(dose_curve(measured, random.by_size),),
    )


def _requirements(measured: SpecificCircuit) -> tuple[Evidence, Evidence, Evidence]:
    """What is required without random sets: the target falls, the other is spared, and less so."""
    lost = _lost(measured)
    kept = spared(
        f"{measured.other} spared",
        measured.of_other.lost[measured.row],
        measured.circuits.study,
        margin=measured.rule.margin,
        alpha=measured.rule.alpha,
        method="equivalence: the drop is below the threshold, exact binomial",
        published="intact (abstract)",
    )
    kept = replace(kept, headroom=_headroom(measured, measured.other))
    return lost, kept, replace(_more_than_the_other(measured), headroom=_unseen(lost))


def _unseen(lost: Evidence) -> str:
    """Why a small difference from another loss would say nothing: that of the target is hidden."""
    return "" if lost.passed else lost.headroom


def _headroom(measured: SpecificCircuit, task: str) -> str:
    circuits, margin = measured.circuits, measured.rule.margin
    return no_headroom(task, circuits.effects[task], measured.row, circuits.study, margin)


def _lost(measured: SpecificCircuit) -> Evidence:
    """The target falls: McNemar over all items, and an interval over those that were correct."""
    circuits, effects, row = measured.circuits, measured.of_target, measured.row
    test = change_test(effects.before, effects.after[row])
    layers, width = shape(circuits.study, circuits.kind)
    size = measured.selected.size
    effect = Effect(
        "accuracy drop",
        float(effects.share_lost[row]),
        interval(effects.lost[row], circuits.study),
        method=f"{size:,} of {layers * width:,} {circuits.kind}s, mean ablation; of answers that "
        f"were right; bootstrap of items; McNemar, one-sided: {test.lost} lost, {test.gained} "
        "gained",
    )
    return Evidence(
        f"{measured.target} lost without its {circuits.kind}s",
        effect,
        threshold=0,
        relation=">",
        p_adjusted=float(test.p_lost),
        alpha=measured.rule.alpha,
        n=effects.n,
        headroom=_headroom(measured, measured.target),
        published="up to 15 % (abstract); no public run shows a drop",
    )


def _more_than_the_other(measured: SpecificCircuit) -> Evidence:
    """How much more of the target is lost than of the other task.

    A fall above 0 and one below the margin may be the same fall.
    """
    target, other, plan = measured.target, measured.other, measured.circuits.study.plan
    _, cells = measured.lost_by_both
    e = stats.bootstrap_of_means(cells, _difference, resamples=plan.resamples, seed=plan.seed)
    low, high = (float(end.round(9)) for end in (e.low, e.high))  # ties with 0 must tie
    effect = Effect(
        "difference of accuracy drops",
        float(e.value),
        (low, high),
        method="paired bootstrap of facts",
    )
    n = min(measured.of_target.n, measured.of_other.n)
    name = f"{target} minus {other} lost"
    return Evidence(name, effect, threshold=0, relation=">", n=n)


def _difference(means: Float[np.ndarray, "row task"]) -> Float[np.ndarray, " row"]:
    return np.asarray(means[:, 0] - means[:, 1])


def _selective(measured: SpecificCircuit, random: AgainstRandomSets) -> Evidence:
    """How much more the target falls than the other, against as many components drawn at random.

    A random set that breaks both tasks is not selective, so it does not count against a circuit
    that breaks one.
    """
    target, other, match = measured.target, measured.other, random.matched.match
    apart = (random.lost[target] - random.lost[other]).round(9)
    return beyond_chance(
        f"{target} minus {other} lost, against random sets",
        Effect(
            "difference of accuracy drops",
            float(apart[-1]),
            method=f"{target} {random.lost[target][-1]:.2f}, {other} {random.lost[other][-1]:.2f}",
        ),
        apart[:-1],
        f"sets matched by {match} (there are {_many(random.matched.exists)})",
        alpha=measured.rule.alpha,
        n=random.n,
        family=Family(f"random sets matched by {match}", len(apart) - 1, "rank"),
    )


def _many(number: int) -> str:
    """A number of sets as one reads it: 1,820, and "about 1e440" from a million million on."""
    return f"{number:,}" if number < 10**12 else f"about 1e{len(str(number)) - 1}"


def _lost_against_random(measured: SpecificCircuit, random: AgainstRandomSets) -> Evidence:
    """The target's fall alone, against which a set that breaks both tasks counts in full."""
    lost = random.lost[measured.target]
    alone = stats.exceedance(float(lost[-1]), lost[:-1])
    method = (
        f"secondary: 95th percentile {alone.quantile:.2f} of the same sets, median "
        f"{np.median(lost[:-1]):.2f}; a set that breaks both tasks counts in full"
    )
    name = f"{measured.target} lost, against random sets"
    return Evidence(
        name, Effect("accuracy drop", alone.value, method=method), p=alone.p, n=random.n
    )


def _notes(measured: SpecificCircuit, random: AgainstRandomSets) -> tuple[str, ...]:
    notes = left_out(measured.circuits.effects)
    if random.matched.match == "size":
        size = measured.selected.size
        notes += (
            f"too few sets of {size} {measured.circuits.kind}s match the circuit in every layer: "
            "the random sets match in size alone",
        )
    return notes


def _samples(
    measured: SpecificCircuit, required: Sequence[Evidence]
) -> dict[str, dict[str, float]]:
    """Values of each pair, by the requirement that they belong to."""
    lost, kept, apart = required
    pairs, cells = measured.lost_by_both
    target, other, row = measured.of_target, measured.of_other, measured.row
    return {
        lost.name: by_sample(target.pairs, target.lost[row]),
        kept.name: by_sample(other.pairs, other.lost[row]),
        apart.name: by_sample(pairs, stats.pseudo_values(cells, _difference)),
    }
