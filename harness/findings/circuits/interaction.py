"""The second finding of h8: both circuits together cost another amount than the sum of each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.circuits.design import (
    BOTH,
    REASONING_SET,
    RECALL_SET,
    Design,
    beyond_random_pairs,
    interactions_of,
    measure_design,
    measure_random_pairs,
)
from harness.findings.circuits.gates import LEAST_ITEMS
from harness.findings.circuits.pair_map import component_pairs
from harness.findings.circuits.rules import InteractionRule
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.samples import by_sample


@dataclass(frozen=True)
class Interaction:
    """The interaction of two circuits on each task.

    Attributes:
        complete: Of each pair whose items of both tasks are answered correctly.
        estimate: Its mean over pairs, by task, with intervals.
        random: Of random pairs of sets, and last of the circuits, by task.
    """

    design: Design
    complete: Float[np.ndarray, "pair task"]
    estimate: stats.Estimate
    random: dict[str, Float[np.ndarray, " pair"]]
    gates: tuple[Gate, ...]

    @property
    def strongest(self) -> int:
        """The task on which it is largest."""
        return int(np.abs(self.estimate.value).argmax())


def interaction_finding(
    study: Study, kind: CircuitKind, rule: InteractionRule, *, gate: float
) -> Finding:
    """What both sets cost together minus what each costs alone, for each task."""
    measured = _measure(study, kind, rule, gate)
    largest, beyond = _largest(measured), _beyond_random(measured)
    secondary = [_on_task(measured, at) for at in (0, 1)]
    return Finding(
        evidence=(largest, beyond, *secondary),
        gates=measured.gates,
        samples={largest.name: _samples(measured)},
        plots=(component_pairs(study, rule.selection.pairs, rule.components),),
    )


def _measure(study: Study, kind: CircuitKind, rule: InteractionRule, gate: float) -> Interaction:
    """The design on pairs that have all of its cells, and the same of random pairs of sets."""
    design = measure_design(study, kind, rule, gate)
    each = design.interactions
    complete = each[~np.isnan(each).any(1)]
    gates = require(*design.gates, *_crossing_gates(design, len(complete)))
    return Interaction(
        design=design,
        complete=complete,
        estimate=stats.bootstrap_mean(
            complete, resamples=study.plan.resamples, seed=study.plan.seed
        ),
        random={t: interactions_of(costs) for t, costs in measure_random_pairs(design).items()},
        gates=gates,
    )


def _crossing_gates(design: Design, complete: int) -> tuple[Gate, Gate]:
    """Enough pairs have all four cells of the design, and the two circuits share nothing."""
    circuits = design.circuits
    one, two = (set(s.circuit.members) for s in circuits.selected.values())
    return (
        Gate(
            "pairs",
            complete >= LEAST_ITEMS,
            f"{complete} pairs of the evaluation half have an item of both tasks answered right, "
            f"{LEAST_ITEMS} are needed: use more items, or give a `pair` column",
        ),
        Gate(
            "disjoint sets",
            not one & two,
            f"both circuits hold {len(one & two)} of the same {circuits.kind}s: together they cost "
            "less than the sum for that alone",
        ),
    )


def _largest(measured: Interaction) -> Evidence:
    """The larger of the two tasks' interactions, with a p corrected for the choice."""
    design, estimate, at = measured.design, measured.estimate, measured.strongest
    plan, complete = design.circuits.study.plan, measured.complete
    test = stats.sign_flip_max(complete, permutations=plan.permutations, seed=plan.seed)
    return Evidence(
        f"largest interaction, {design.tasks[at]}",
        Effect(
            "|share of the logit difference|",
            float(np.abs(estimate.value[at])),
            _absolute(float(estimate.low[at]), float(estimate.high[at])),
            method="both sets minus the sum of each alone; sign flips of facts",
        ),
        threshold=design.rule.smallest,
        relation=">",
        p_adjusted=float(test.p_adjusted[at]),
        alpha=design.rule.alpha,
        floor=float(test.floor),
        family=Family("tasks", len(design.tasks), "max-statistic sign-flip"),
        n=len(complete),
    )


def _absolute(low: float, high: float) -> tuple[float, float]:
    """The interval of an absolute value."""
    if low <= 0 <= high:
        return 0.0, max(-low, high)
    return min(abs(low), abs(high)), max(abs(low), abs(high))


def _beyond_random(measured: Interaction) -> Evidence:
    task = measured.design.tasks[measured.strongest]
    size = np.abs(measured.random[task])
    name = f"interaction on {task}, against random pairs of sets"
    return beyond_random_pairs(measured.design, name, "|share of the logit difference|", size)


def _on_task(measured: Interaction, at: int) -> Evidence:
    """The interaction on one task, and what it is made of."""
    design, estimate = measured.design, measured.estimate
    means = np.nanmean(design.costs[:, at], 0)
    return Evidence(
        f"interaction on {design.tasks[at]}",
        Effect(
            "share of the logit difference",
            float(estimate.value[at]),
            (float(estimate.low[at]), float(estimate.high[at])),
            method=f"{design.tasks[0]} set {means[RECALL_SET]:.2f}, {design.tasks[1]} set "
            f"{means[REASONING_SET]:.2f}, both {means[BOTH]:.2f}; negative: less than the sum",
        ),
        n=len(measured.complete),
    )


def _samples(measured: Interaction) -> dict[str, float]:
    """Each pair's interaction on the strongest task, with the sign that makes the mean positive."""
    at = measured.strongest
    sign = np.sign(measured.estimate.value[at])
    return by_sample(measured.design.pairs, sign * measured.design.interactions[:, at])
