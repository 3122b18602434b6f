"""The first finding of h8: each circuit serves its own task more than the other."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.circuits.design import (
    Design,
    beyond_random_pairs,
    main_effects_of,
    measure_design,
    measure_random_pairs,
)
from harness.findings.circuits.gates import items_gates
from harness.findings.circuits.rules import InteractionRule
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding, require
from harness.verdicts.samples import by_sample


def separable_finding(
    study: Study, kind: CircuitKind, rule: InteractionRule, *, gate: float
) -> Finding:
    """Each set's main effect on its own task minus on the other, beyond random pairs of sets."""
    design = measure_design(study, kind, rule, gate)
    gates = require(*design.gates, *items_gates(design.circuits.effects, design.tasks))
    random = measure_random_pairs(design)
    evidence = [e for own in (0, 1) for e in _requirements(design, random, own)]
    return Finding(
        evidence=tuple(evidence),
        gates=gates,
        samples={_name(design, own): _samples(design, own) for own in (0, 1)},
    )


def _requirements(
    design: Design, random: Mapping[str, Float[np.ndarray, "pair row"]], own: int
) -> tuple[Evidence, Evidence]:
    """Of one set: its effect, and against random pairs."""
    task, other = design.tasks[own], design.tasks[1 - own]
    effect, n = _effect(design, own), len(design.costs)
    costs = [main_effects_of(random[t], own) for t in (task, other)]
    against = f"{task} set, against random pairs of sets"
    return (
        Evidence(_name(design, own), effect, threshold=design.rule.smallest, relation=">", n=n),
        beyond_random_pairs(design, against, effect.name, costs[0] - costs[1]),
    )


def _effect(design: Design, own: int) -> Effect:
    """Main effect of a set on its own task minus on the other, with its interval over pairs."""
    plan, (task, other) = design.circuits.study.plan, (design.tasks[own], design.tasks[1 - own])
    estimate = stats.bootstrap_of_means(
        _own_then_other(design, own),
        lambda means: means[:, 0] - means[:, 1],
        resamples=plan.resamples,
        seed=plan.seed,
    )
    on = np.nanmean(main_effects_of(design.costs, own), 0)
    return Effect(
        "share of the logit difference",
        float(estimate.value),
        (float(estimate.low), float(estimate.high)),
        method=f"{task} {on[own]:.2f}, {other} {on[1 - own]:.2f}; paired bootstrap of facts",
    )


def _own_then_other(design: Design, own: int) -> Float[np.ndarray, "pair task"]:
    return main_effects_of(design.costs, own)[:, [own, 1 - own]]


def _name(design: Design, own: int) -> str:
    return f"{design.tasks[own]} set, main effect on its own task minus on the other"


def _samples(design: Design, own: int) -> dict[str, float]:
    effects = _own_then_other(design, own)
    return by_sample(design.pairs, effects[:, 0] - effects[:, 1])
