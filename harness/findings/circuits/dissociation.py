"""The findings of h5: does a task's circuit carry that task, and that task alone."""

from collections.abc import Mapping

import numpy as np

from harness import stats
from harness.findings.circuits import plots as causal_plots
from harness.findings.circuits.arms import Arms, arms, bands, chance
from harness.findings.circuits.circuits import Kind, Matched
from harness.findings.circuits.secondary import (
    by_specialisation,
    in_logits,
    over_ablations,
    third_abilities,
)
from harness.findings.circuits.selection import CausalRule, discovery_prompts, other_task, shape
from harness.findings.circuits.shared import circuit_components, circuit_gates, enough, left_out
from harness.findings.circuits.tables import causal_tables
from harness.findings.effects import TaskEffects, change_test
from harness.findings.requirements import beyond_chance, interval, lower_end, spared
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.samples import by_unit


def specific_finding(
    study: Study, kind: Kind, target: str, rule: CausalRule, *, gate: float
) -> Finding:
    """Whether ablating a task's circuit costs that task, more than chance sets do, and no other."""
    gates = circuit_gates(study, rule, gate)
    require(*gates)
    found = arms(study, kind, rule)
    other = other_task(study, target)
    gates = (*gates, *(enough(found.drops[t].n, t) for t in (target, other)))
    require(*gates)
    row = found.row[target, "mean"]
    falls = _lost(found, target)
    kept = spared(
        f"{other} spared",
        found.drops[other].lost[row],
        study,
        margin=rule.margin,
        alpha=rule.alpha,
        method="equivalence: the drop is below the threshold, exact binomial",
        published="intact (abstract)",
    )
    apart, by_pair = _more_than_the_other(found, target, other)
    # Random sets are most of the work: a circuit that is refuted without them gets fewer items.
    open_still = all(e.passed for e in (*falls, kept, apart))
    random_sets, matched = chance(found, target, rule.set_items if open_still else rule.band_items)
    gates = (*gates, _some_sets(found, target, random_sets))
    require(*gates)
    judged, beside = _selective(found, target, other, random_sets, matched)
    evidence = [
        *falls,
        judged,
        kept,
        apart,
        beside,
        *in_logits(found, target, (target, other)),
        *third_abilities(found, target),
        over_ablations(found, target, other),
        *by_specialisation(found, target),
    ]
    notes = left_out(found.drops)
    if matched.match == "size":
        notes += (
            f"too few sets of {found.chosen[target].size} {kind}s match the circuit in every "
            "layer: the random sets match in size alone",
        )
    sets = bands(found, target) | {found.chosen[target].size: random_sets[target].share_lost[:-1]}
    dose = causal_plots.dose_curve(found, target, sets)
    components = circuit_components(found.chosen[target])
    units = {
        evidence_.name: by_unit(d.pairs, d.lost[row])
        for evidence_, d in ((falls[0], found.drops[target]), (kept, found.drops[other]))
    }
    units[apart.name] = by_pair
    return Finding(tuple(evidence), (), gates, components, notes, units, plots=(dose,))


def _lost(found: Arms, target: str) -> list[Evidence]:
    """The target task falls: McNemar over all items, and an interval over those that were right."""
    d, row = found.drops[target], found.row[target, "mean"]
    test = change_test(d.before, d.after[row])
    layers, width = shape(found.study, found.kind)
    size = f"{found.chosen[target].size:,} of {layers * width:,} {found.kind}s"
    effect = Effect(
        "accuracy drop",
        float(d.share_lost[row]),
        interval(d.lost[row], found.study),
        method=f"{size}, mean ablation; of answers that were right; bootstrap of items; "
        f"McNemar, one-sided: {test.lost} lost, {test.gained} gained",
    )
    return [
        Evidence(
            f"{target} lost without its {found.kind}s",
            effect,
            threshold=0,
            relation=">",
            p_adjusted=float(test.p_lost),
            alpha=found.rule.alpha,
            n=d.n,
            published="up to 15 % (abstract); no public run shows a drop",
        ),
        lower_end(effect, d.n),
    ]


def _more_than_the_other(found: Arms, target: str, other: str) -> tuple[Evidence, dict[str, float]]:
    """The lower end of how much more of the target is lost, and each pair's part in it.

    A fall above 0 and one below the margin may be the same fall.
    """
    row = found.row[target, "mean"]
    drops = [found.drops[t] for t in (target, other)]
    pairs = np.unique(np.concatenate([d.pairs for d in drops])).tolist()
    cells = np.concatenate([d.aligned(d.lost[[row]], pairs) for d in drops], axis=1)
    plan = found.study.plan

    def difference(means: np.ndarray) -> np.ndarray:
        return np.asarray(means[:, 0] - means[:, 1])

    e = stats.bootstrap_of_means(cells, difference, resamples=plan.resamples, seed=plan.seed)
    low, high = (float(end.round(9)) for end in (e.low, e.high))  # ties with 0 must tie
    effect = Effect(
        "difference of accuracy drops",
        low,
        (low, high),
        method=f"lower end of the 95 % interval of {float(e.value):.2f}; paired bootstrap of facts",
    )
    n, name = min(d.n for d in drops), f"lower end of {target} minus {other} lost"
    by_pair = by_unit(pairs, stats.pseudo_values(cells, difference))
    return Evidence(name, effect, threshold=0, relation=">", n=n), by_pair


def _some_sets(found: Arms, target: str, random_sets: Mapping[str, TaskEffects]) -> Gate:
    sets, size = len(random_sets[target].lost) - 1, found.chosen[target].size
    fewest = min(d.n for d in random_sets.values())
    return Gate(
        "random sets",
        sets > 0 and fewest > 0,
        f"{sets} other sets of {size} {found.kind}s on {fewest} items of a task that are "
        "answered right: there is nothing to compare with",
    )


def _asked(study: Study, rule: CausalRule) -> int:
    """How many discovery items a task components are scored on, those answered right or not."""
    asked = [item.task for item in discovery_prompts(study, rule).items]
    return min(asked.count(task) for task in study.prompts.tasks)


def _many(number: int) -> str:
    """A number of sets as one reads it: 1,820, and 1e440 from a million million on."""
    return f"{number:,}" if number < 10**12 else f"about 1e{len(str(number)) - 1}"


def _selective(
    found: Arms, target: str, other: str, random_sets: Mapping[str, TaskEffects], matched: Matched
) -> list[Evidence]:
    """How far one task falls more than the other, against as many components chosen by chance.

    A random set that breaks both tasks is not selective, so it does not count against a circuit
    that breaks one. Beside: the target's fall alone, against which it does.
    """
    lost = {t: d.share_lost.round(9) for t, d in random_sets.items()}  # ties must tie
    apart = (lost[target] - lost[other]).round(9)
    what = f"sets matched by {matched.match} (there are {_many(matched.exists)})"
    n = random_sets[target].n
    judged = beyond_chance(
        f"{target} minus {other} lost, against random sets",
        Effect(
            "difference of accuracy drops",
            float(apart[-1]),
            method=f"{target} {lost[target][-1]:.2f}, {other} {lost[other][-1]:.2f}",
        ),
        apart[:-1],
        what,
        alpha=found.rule.alpha,
        n=n,
        family=Family(f"random sets matched by {matched.match}", len(apart) - 1, "rank"),
    )
    alone = stats.exceedance(float(lost[target][-1]), lost[target][:-1])
    method = (
        f"beside: 95th percentile {alone.quantile:.2f} of the same sets, median "
        f"{np.median(lost[target][:-1]):.2f}; a set that breaks both tasks counts in full"
    )
    return [
        judged,
        Evidence(
            f"{target} lost, against random sets",
            Effect("accuracy drop", alone.value, method=method),
            p=alone.p,
            n=n,
        ),
    ]


def double_finding(study: Study, kind: Kind, rule: CausalRule, *, gate: float) -> Finding:
    """Whether each task loses more without its own circuit than without the other's."""
    gates = circuit_gates(study, rule, gate)
    require(*gates)
    found = arms(study, kind, rule)
    gates = (*gates, *(enough(found.drops[t].n, t) for t in found.tasks))
    require(*gates)
    tests = {
        task: change_test(*(found.drops[task].after[found.row[c, "mean"]] for c in (o, task)))
        for task, o in _own_and_other(found)
    }
    adjusted = dict(
        zip(tests, stats.holm(np.array([t.p_lost for t in tests.values()])), strict=True)
    )
    evidence = [
        row
        for task, other in _own_and_other(found)
        for row in _difference(found, task, other, tests[task], float(adjusted[task]))
    ]
    circuits = {t: c.circuit for t, c in found.chosen.items()}
    shared = set.intersection(*(set(c.places) for c in circuits.values()))
    evidence.append(Evidence(f"{kind}s in both circuits", Effect("count", len(shared))))
    effects = {t: c.effects for t, c in found.chosen.items()}
    plots = causal_plots.component_plots(
        effects, circuits, found.tasks, kind, n=_asked(study, rule)
    )
    components = tuple(c for t in found.tasks for c in circuit_components(found.chosen[t]))
    tables = causal_tables(kind, effects, circuits)
    return Finding(
        tuple(evidence), (), gates, components, left_out(found.drops), tables=tables, plots=plots
    )


def _own_and_other(found: Arms) -> list[tuple[str, str]]:
    return list(zip(found.tasks, found.tasks[::-1], strict=True))


def _difference(
    found: Arms, task: str, other: str, test: stats.PairedTest, p_adjusted: float
) -> list[Evidence]:
    d = found.drops[task]
    own, others = found.row[task, "mean"], found.row[other, "mean"]
    difference = d.lost[own] - d.lost[others]
    sizes: Mapping[str, int] = {t: len(c.circuit) for t, c in found.chosen.items()}
    effect = Effect(
        "difference of accuracy drops",
        float(difference.mean()),
        interval(difference, found.study),
        method=f"{d.share_lost[own]:.2f} - {d.share_lost[others]:.2f}; {sizes[task]:,} and "
        f"{sizes[other]:,} {found.kind}s; paired bootstrap; McNemar between the two, one-sided",
    )
    return [
        Evidence(
            f"{task}: lost without its own {found.kind}s minus without the other's",
            effect,
            threshold=0,
            relation=">",
            p=float(test.p_lost),
            p_adjusted=p_adjusted,
            alpha=found.rule.alpha,
            family=Family("tasks", 2, "Holm"),
            n=d.n,
        ),
        lower_end(effect, d.n, f"{task}: lower end of its 95 % interval"),
    ]
