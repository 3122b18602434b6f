"""What the causal claims (h5, h6, h8) share: when nothing can be said, intervals, and notes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.selection import CausalRule, Chosen, discovery_prompts
from harness.findings.effects import TaskEffects, measured_effects
from harness.findings.gates import competence_gates
from harness.interventions.interventions import INTACT
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.verdict import Component, Effect, Evidence, Family, Gate

LEAST_ITEMS = 20  # facts answered right on evaluation items, without which no drop can be judged
LEAST_DISCOVERY = 10  # the same on discovery items, without which no circuit can be chosen


def causal_gates(study: Study, gate: float) -> tuple[Gate, ...]:
    """Answers there must be, and the intact model must give them, on both tasks.

    An answer that is not given cannot be lost: so an untrained model is inconclusive.
    """
    if not study.has_answers:
        reason = f"{study.prompts.name} carries no answers that an ablation could cost"
        return (Gate("answers", False, reason),)
    gates = competence_gates(study, gate, study.prompts.tasks)
    there = {(i.split, i.task) for i in study.prompts.items}
    missing = [
        f"{split} items of {task}"
        for task in study.prompts.tasks
        for split in (DISCOVERY, EVALUATION)
        if (split, task) not in there
    ]
    return (
        *gates,
        Gate(
            "splits",
            not missing,
            f"{study.prompts.name} has no {', no '.join(missing)}: circuits are chosen on "
            "discovery items and judged on evaluation items",
        ),
    )


def selection_gates(study: Study, rule: CausalRule) -> tuple[Gate, ...]:
    """Right answers there must be on discovery facts: from fewer, a circuit is chosen blindly."""
    prompts = discovery_prompts(study, rule)
    intact = measured_effects(study, prompts, [INTACT])
    return tuple(
        Gate(
            f"{task} items to choose on",
            intact[task].n >= LEAST_DISCOVERY,
            f"{intact[task].n} {task} facts of the discovery half are answered right, "
            f"{LEAST_DISCOVERY} are needed: use more items",
        )
        for task in study.prompts.tasks
    )


def circuit_gates(study: Study, rule: CausalRule, gate: float) -> tuple[Gate, ...]:
    """Those of every causal claim, and where they are met those of choosing a circuit."""
    gates = causal_gates(study, gate)
    return (*gates, *selection_gates(study, rule)) if all(g.met for g in gates) else gates


def causal_answers(study: Study, gate: float) -> tuple[Gate, ...]:
    """As `causal_gates`, for a criterion that does not divide the items."""
    return tuple(g for g in causal_gates(study, gate) if g.name != "splits")


def enough(n: int, task: str) -> Gate:
    """Facts that must be answered right on evaluation items."""
    return Gate(
        f"{task} items",
        n >= LEAST_ITEMS,
        f"{n} {task} items of the evaluation half are answered right, {LEAST_ITEMS} are "
        "needed: use more items",
    )


def interval(values: np.ndarray, study: Study, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of a mean over items; not-a-number is left out. nan below two items."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap_mean(
        known, resamples=study.plan.resamples, level=level, seed=study.plan.seed
    )
    return float(found.low), float(found.high)


def lower_end(
    effect: Effect, n: int, name: str = "lower end of its 95 % interval", threshold: float = 0
) -> Evidence:
    """The requirement that an effect's interval lie above a threshold."""
    assert effect.interval is not None
    return Evidence(name, Effect(effect.name, effect.interval[0]), threshold, ">", n=n)


def spared(
    name: str,
    lost: Float[np.ndarray, " pair"],
    study: Study,
    *,
    margin: float,
    alpha: float,
    method: str,
    published: str = "",
) -> Evidence:
    """The requirement that fewer than `margin` of the pairs lose an answer, by equivalence.

    Args:
        name: Of the evidence.
        lost: Share of each pair's answers that is lost, of pairs that were right.
        study: For the seed and the number of resamples.
        margin: Share of pairs.
        alpha: Of the test.
        method: How it was measured, in words.
        published: What the literature reports.
    """
    test = stats.equivalence_share(int((lost > 0).sum()), len(lost), margin)
    between = interval(lost, study, 0.90)
    return Evidence(
        name,
        Effect("accuracy drop", float(lost.mean(dtype=np.float64)), between, 0.90, method),
        threshold=margin,
        relation="<",
        p_adjusted=float(test.p),
        alpha=alpha,
        floor=float(test.floor),
        n=len(lost),
        published=published,
    )


def beyond_chance(
    name: str,
    effect: Effect,
    null: Float[np.ndarray, " draw"],
    what: str,
    *,
    alpha: float,
    n: int,
    family: Family | None = None,
) -> Evidence:
    """A value against those of random draws: beyond their 95th percentile, by rank.

    Args:
        name: Of the evidence.
        effect: The value, measured on the items that the draws were measured on.
        null: Of the draws.
        what: The draws, in words that follow their number.
        alpha: Of the test.
        n: Units that all of it was measured on.
        family: What the draws are, where it is to be shown.
    """
    test = stats.exceedance(effect.value, null)
    said = f"threshold: 95th percentile of {len(null)} {what}; their median {np.median(null):.2f}"
    return Evidence(
        name,
        replace(effect, method=f"{effect.method}; {said}" if effect.method else said),
        threshold=float(test.quantile),
        relation=">",
        p_adjusted=float(test.p),
        alpha=alpha,
        floor=float(test.floor),
        family=family,
        n=n,
    )


def left_out(drops: Mapping[str, TaskEffects]) -> tuple[str, ...]:
    """Say how many items could not be lost: the intact model misses them, or none can tell."""
    reasons = {
        "missed": "the intact model misses them",
        "unscored": "no distractor differs from the answer in its first token",
    }
    return tuple(
        f"{getattr(d, count)} {task} items are left out: {reason}"
        for count, reason in reasons.items()
        for task, d in drops.items()
        if getattr(d, count)
    )


def circuit_components(chosen: Chosen) -> tuple[Component, ...]:
    """A circuit as the record lists it, each part with its effect on discovery facts."""
    circuit, effects = chosen.circuit, chosen.effects
    return tuple(
        Component(circuit.kind, n, i, float(effects[n, i]), None, chosen.target)
        for n, i in circuit.places
    )
