"""The findings of h8: two circuits, taken away alone and together (a 2 x 2 design)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits import plots as causal_plots
from harness.findings.circuits.arms import Arms, arms
from harness.findings.circuits.circuits import Kind, relocated
from harness.findings.circuits.selection import (
    CausalRule,
    component_effects,
    discovery_prompts,
    shape,
)
from harness.findings.circuits.shared import LEAST_ITEMS, circuit_gates, enough
from harness.findings.effects import measured_effects, part
from harness.findings.requirements import beyond_chance, lower_end
from harness.interventions.interventions import MEAN, Intervention
from harness.interventions.sites import Site
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot
from harness.verdicts.samples import by_unit

RECALL_SET, REASONING_SET, BOTH = 0, 1, 2  # rows of the design, beside the intact model
PAIR_ITEMS = 20  # facts of the pair map


def separable_finding(study: Study, kind: Kind, rule: CausalRule, *, gate: float) -> Finding:
    """Each set's main effect on its own task minus on the other, beyond random pairs of sets."""
    gates = circuit_gates(study, rule, gate)
    name = "main effect on its own task minus on the other"
    require(*gates)
    made, tasks = arms(study, kind, rule), study.prompts.tasks
    falls = _design(made)
    gates = (*gates, *(enough(made.drops[t].n, t) for t in tasks))
    require(*gates)
    chance = _random_pairs(made)
    evidence: list[Evidence] = []
    units = {}
    for own, task in enumerate(tasks):
        # [pair task row]: a set's main effect is its mean effect with and without the other set.
        order = [own, 1 - own]
        estimate = stats.bootstrap_of_means(
            _main_effect(falls, own)[:, order],
            lambda means: means[:, 0] - means[:, 1],
            resamples=study.plan.resamples,
            seed=study.plan.seed,
        )
        on = np.nanmean(_main_effect(falls, own), 0)
        effect = Effect(
            "share of the logit difference",
            float(estimate.value),
            (float(estimate.low), float(estimate.high)),
            method=f"{task} {on[own]:.2f}, {tasks[1 - own]} {on[1 - own]:.2f}; "
            "paired bootstrap of facts",
        )
        end = f"{task} set: lower end of its 95 % interval"
        evidence += [
            Evidence(f"{task} set, {name}", effect, n=len(falls)),
            lower_end(effect, len(falls), end),
        ]
        drawn = [_main_effect(chance[t][:, None], own)[:, 0] for t in (task, tasks[1 - own])]
        against = f"{task} set, against random pairs of sets"
        evidence.append(_against_pairs(made, against, effect.name, drawn[0] - drawn[1]))
        by_pair = _main_effect(falls, own)[:, order]
        units[end] = by_unit(_pairs(made), by_pair[:, 0] - by_pair[:, 1])
    return Finding(tuple(evidence), gates=gates, units=units)


def interaction_finding(
    study: Study, kind: Kind, rule: CausalRule, *, smallest: float, components: int, gate: float
) -> Finding:
    """What both sets cost together minus what each costs alone, for each task."""
    gates = circuit_gates(study, rule, gate)
    name = "largest interaction"
    require(*gates)
    made, tasks = arms(study, kind, rule), study.prompts.tasks
    falls = _design(made)
    contrast = falls[:, :, BOTH] - falls[:, :, RECALL_SET] - falls[:, :, REASONING_SET]
    complete = contrast[~np.isnan(contrast).any(1)]
    gates = (*gates, *_crossable(made, len(complete)))
    require(*gates)
    test = stats.sign_flip_max(complete, permutations=study.plan.permutations, seed=study.plan.seed)
    found = stats.bootstrap_mean(complete, resamples=study.plan.resamples, seed=study.plan.seed)
    strongest = int(np.abs(found.value).argmax())
    evidence = [
        Evidence(
            f"{name}, {tasks[strongest]}",
            Effect(
                "|share of the logit difference|",
                float(np.abs(found.value[strongest])),
                _absolute(float(found.low[strongest]), float(found.high[strongest])),
                method="both sets minus the sum of each alone; sign flips of facts",
            ),
            threshold=smallest,
            relation=">",
            p_adjusted=float(test.p_adjusted[strongest]),
            alpha=rule.alpha,
            floor=float(test.floor),
            family=Family("tasks", len(tasks), "max-statistic sign-flip"),
            n=len(complete),
        )
    ]
    for at, task in enumerate(tasks):
        means = np.nanmean(falls[:, at], 0)
        evidence.append(
            Evidence(
                f"interaction on {task}",
                Effect(
                    "share of the logit difference",
                    float(found.value[at]),
                    (float(found.low[at]), float(found.high[at])),
                    method=f"{tasks[0]} set {means[RECALL_SET]:.2f}, {tasks[1]} set "
                    f"{means[REASONING_SET]:.2f}, both {means[BOTH]:.2f}; negative: less than "
                    "the sum",
                ),
                n=len(complete),
            )
        )
    cost = _random_pairs(made)[tasks[strongest]]
    size = np.abs(cost[:, BOTH] - cost[:, RECALL_SET] - cost[:, REASONING_SET])
    against = f"interaction on {tasks[strongest]}, against random pairs of sets"
    evidence.insert(1, _against_pairs(made, against, "|share of the logit difference|", size))
    plot = _pair_map(study, rule, components)
    sign = np.sign(found.value[strongest])
    units = {evidence[0].name: by_unit(_pairs(made), sign * contrast[:, strongest])}
    return Finding(tuple(evidence), gates=gates, units=units, plots=(plot,))


def _pairs(made: Arms) -> list[str]:
    """Pairs with an item of some task that the intact model answers right."""
    return list(dict.fromkeys(str(p) for t in made.tasks for p in made.drops[t].pairs))


def _random_pairs(made: Arms) -> Mapping[str, Float[np.ndarray, "pair row"]]:
    """What random pairs of sets cost each task alone and together, and the circuits' own last.

    In shares of the intact logit difference, all on the same items. Any two sets may cost one task
    more than the other, and less together than their sum.
    """
    pair = tuple(made.chosen[t].circuit for t in made.tasks)
    _, width = shape(made.study, made.kind)
    sets = relocated((pair[0], pair[1]), width, made.rule.sets, made.study.plan.seed)
    each = [c for one, two in (*sets, pair) for c in (one, two, one.union(two))]
    drops = made.measure(each, made.tasks, made.rule.set_items)
    return {t: d.cost.reshape(-1, 3) for t, d in drops.items()}


def _against_pairs(
    made: Arms, name: str, quantity: str, values: Float[np.ndarray, " pair"]
) -> Evidence:
    """The circuits' value, the last, against those of random pairs of sets."""
    null, own = values[:-1], Effect(quantity, float(values[-1]))
    n = min(made.rule.set_items, *(made.drops[t].n for t in made.tasks))
    alpha = made.rule.alpha
    if not len(null):
        nothing = replace(own, method="no other pair of sets matches")
        return Evidence(name, nothing, p_adjusted=1.0, alpha=alpha, floor=1.0, n=n)
    what = f"pairs with as many {made.kind}s in every layer"
    family = Family("random pairs of sets", len(null), "rank")
    return beyond_chance(name, own, null, what, alpha=alpha, n=n, family=family)


def _crossable(made: Arms, complete: int) -> tuple[Gate, Gate]:
    """Facts on which all four cells of the design are known, and two sets that can be crossed."""
    one, two = (set(c.circuit.places) for c in made.chosen.values())
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
            f"both circuits hold {len(one & two)} of the same {made.kind}s: together they cost "
            "less than the sum for that alone",
        ),
    )


def _absolute(low: float, high: float) -> tuple[float, float]:
    """The interval of an absolute value."""
    if low <= 0 <= high:
        return 0.0, max(-low, high)
    return min(abs(low), abs(high)), max(abs(low), abs(high))


def _design(made: Arms) -> Float[np.ndarray, "pair task row"]:
    """Fall of the logit difference under the recall set, the reasoning set and both.

    In shares of the task's mean intact difference; nan where the intact model misses the item.
    """
    rows = [*(made.row[t, "mean"] for t in made.tasks), made.both]
    drops, pairs = [made.drops[t] for t in made.tasks], _pairs(made)
    return np.stack([d.aligned(d.costs[rows], pairs) for d in drops], axis=1)


def _main_effect(falls: np.ndarray, own: int) -> Float[np.ndarray, "pair task"]:
    """Of a set: mean of its effect alone and its effect where the other set is gone."""
    return np.asarray((falls[:, :, own] + falls[:, :, BOTH] - falls[:, :, 1 - own]) / 2)


def _pair_map(study: Study, rule: CausalRule, count: int) -> Plot:
    """Interactions of the strongest heads and MLPs of both tasks."""
    tasks, layers = study.prompts.tasks, study.subject.architecture.layers
    prompts = part(study.prompts, EVALUATION, tasks, PAIR_ITEMS)
    means = discovery_prompts(study, rule)
    strongest = _strongest(study, rule, count, layers)
    singles = [Intervention((site,), MEAN) for site in strongest]
    pairs = list(combinations(range(len(strongest)), 2))
    both = [Intervention((strongest[a], strongest[b]), MEAN) for a, b in pairs]
    found = measured_effects(study, prompts, [*singles, *both], means)
    maps: dict[str, np.ndarray] = {}
    for task in tasks:
        cost = found[task].cost
        table = np.full((len(strongest), len(strongest)), np.nan)
        for (a, b), together in zip(pairs, cost[len(strongest) :], strict=True):
            table[a, b] = table[b, a] = together - cost[a] - cost[b]
        maps[task] = table
    names = [str(site) for site in strongest]
    return causal_plots.pair_map(names, maps, tasks, len(prompts.pairs), _largest(names, maps))


def _strongest(study: Study, rule: CausalRule, count: int, layers: int) -> Sequence[Site]:
    """Heads and MLPs whose loss costs either task most on discovery facts."""
    prompts = discovery_prompts(study, rule)
    heads = component_effects(study, "head", rule)
    mlps = [Intervention((Site("mlp", layer),), MEAN) for layer in range(layers)]
    found = measured_effects(study, prompts, mlps, prompts)
    cost: dict[Site, float] = {}
    for task in study.prompts.tasks:
        for (layer, head), value in np.ndenumerate(heads[task]):
            site = Site("head", layer, head)
            cost[site] = max(cost.get(site, 0.0), float(value))
        for layer, value in enumerate(found[task].cost):
            site = Site("mlp", layer)
            cost[site] = max(cost.get(site, 0.0), float(value))
    best = sorted(cost, key=lambda s: -cost[s])[:count]
    return sorted(best, key=lambda s: (s.layer, s.kind, s.index if isinstance(s.index, int) else 0))


def _largest(names: Sequence[str], maps: Mapping[str, np.ndarray]) -> str:
    said = []
    for task, table in maps.items():
        if np.isnan(table).all():
            said.append(f"{task}: none, no item is answered right")
            continue
        a, b = divmod(int(np.nanargmax(np.abs(table))), len(names))
        said.append(f"{task}: {names[a]} with {names[b]} ({table[a, b]:+.2f})")
    return f"Largest interactions: {'; '.join(said)}."
