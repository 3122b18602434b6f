"""The findings of h5: does a task's circuit carry that task, and that task alone."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from harness import stats
from harness.causal import figures as causal_plots
from harness.causal.ablations import METHODS
from harness.causal.arms import Arms, arms, bands, chance
from harness.causal.circuits import Kind
from harness.causal.measure import Drops, paired
from harness.causal.selection import (
    CausalRule,
    component_effects,
    discovery_prompts,
    other_task,
    shape,
)
from harness.causal.shared import (
    causal_gates,
    circuit_components,
    enough,
    interval,
    left_out,
    selection_gates,
    stopped,
)
from harness.findings import Result
from harness.prompts import EVALUATION
from harness.study import Study
from harness.verdict import Effect, Evidence, Family, Finding, Gate


def specific_finding(
    study: Study, kind: Kind, target: str, rule: CausalRule, *, gate: float
) -> Result:
    """Whether ablating a task's circuit costs that task, more than chance sets do, and no other."""
    gates = causal_gates(study, gate)
    if finding := stopped(gates, f"{target} lost"):
        return Result(finding)
    gates = (*gates, *selection_gates(study, rule))
    if finding := stopped(gates, f"{target} lost"):
        return Result(finding)
    found = arms(study, kind, rule)
    other = other_task(study, target)
    gates = (*gates, *(enough(found.drops[t].n, t) for t in (target, other)))
    if finding := stopped(gates, f"{target} lost"):
        return Result(finding)
    falls, spared = _lost(found, target), _spared(found, target, other)
    # Random sets are most of the work: a circuit that is refuted without them gets fewer items.
    open_still = all(e.passed for e in (*falls, spared))
    random_sets, matched = chance(found, target, rule.set_items if open_still else rule.band_items)
    gates = (*gates, _some_sets(found, target, random_sets))
    if finding := stopped(gates, f"{target} lost"):
        return Result(finding)
    evidence = [
        *falls,
        _beyond_chance(found, target, random_sets, matched.match, matched.exists),
        spared,
        *_in_logits(found, target, (target, other)),
        *_third_abilities(found, target),
        _over_ablations(found, target, other),
        *_by_specialisation(found, target),
    ]
    notes = left_out(found.drops)
    if matched.match == "size":
        notes += (
            f"too few sets of {found.chosen[target].size} {kind}s match the circuit in every "
            "layer: the random sets match in size alone",
        )
    sets = bands(found, target) | {found.chosen[target].size: random_sets.share_lost[:-1]}
    dose = causal_plots.dose_curve(found, target, sets)
    components = circuit_components(found.chosen[target].circuit, target, study, rule)
    row = found.row[target, "mean"]
    units = {
        evidence_.name: dict(zip(map(str, d.pairs), d.lost[row].tolist(), strict=True))
        for evidence_, d in ((falls[0], found.drops[target]), (spared, found.drops[other]))
    }
    finding = Finding(tuple(evidence), (), gates, components, notes, units)
    return Result(finding, plots=(dose,))


def _lost(found: Arms, target: str) -> list[Evidence]:
    """The target task falls: McNemar over all items, and an interval over those that were right."""
    d, row = found.drops[target], found.row[target, "mean"]
    test = paired(d.before, d.after[row])
    low, high = interval(d.lost[row], found.study)
    layers, width = shape(found.study, found.kind)
    size = f"{found.chosen[target].size:,} of {layers * width:,} {found.kind}s"
    return [
        Evidence(
            f"{target} lost without its {found.kind}s",
            Effect(
                "accuracy drop",
                float(d.share_lost[row]),
                (low, high),
                method=f"{size}, mean ablation; of answers that were right; bootstrap of items; "
                f"McNemar, one-sided: {test.lost} lost, {test.gained} gained",
            ),
            threshold=0,
            relation=">",
            p_adjusted=float(test.p_lost),
            alpha=found.rule.alpha,
            n=d.n,
            published="up to 15 % (abstract); no public run shows a drop",
        ),
        Evidence(
            "lower end of its 95 % interval",
            Effect("accuracy drop", low),
            threshold=0,
            relation=">",
            n=d.n,
        ),
    ]


def _some_sets(found: Arms, target: str, random_sets: Drops) -> Gate:
    sets, size = len(random_sets.lost) - 1, found.chosen[target].size
    return Gate(
        "random sets",
        sets > 0 and random_sets.n > 0,
        f"{sets} other sets of {size} {found.kind}s on {random_sets.n} {target} items that are "
        "answered right: there is nothing to compare with",
    )


def _asked(study: Study, rule: CausalRule) -> int:
    """How many discovery items a task components are scored on, those answered right or not."""
    asked = [item.task for item in discovery_prompts(study, rule).items]
    return min(asked.count(task) for task in study.prompts.tasks)


def _many(number: int) -> str:
    """A number of sets as one reads it: 1,820, and 1e440 from a million million on."""
    return f"{number:,}" if number < 10**12 else f"about 1e{len(str(number)) - 1}"


def _beyond_chance(
    found: Arms, target: str, random_sets: Drops, match: str, exists: int
) -> Evidence:
    """The same items without as many components chosen by chance."""
    lost = random_sets.share_lost.round(9)  # ties must tie
    own, null = float(lost[-1]), lost[:-1]
    test = stats.exceedance(own, null)
    return Evidence(
        f"{target} lost, against random sets",
        Effect(
            "accuracy drop",
            own,
            method=f"threshold: 95th percentile of {len(null)} sets matched by {match} "
            f"(there are {_many(exists)}); their median {np.median(null):.2f}",
        ),
        threshold=float(test.quantile),
        relation=">",
        p_adjusted=float(test.p),
        alpha=found.rule.alpha,
        floor=float(test.floor),
        family=Family(f"random sets matched by {match}", len(null), "rank"),
        n=random_sets.n,
    )


def _spared(found: Arms, target: str, other: str) -> Evidence:
    d, row = found.drops[other], found.row[target, "mean"]
    test = stats.equivalence_share(d.any_lost(row), d.n, found.rule.margin)
    return Evidence(
        f"{other} spared",
        Effect(
            "accuracy drop",
            float(d.share_lost[row]),
            interval(d.lost[row], found.study, 0.90),
            0.90,
            "equivalence: the drop is below the threshold, exact binomial",
        ),
        threshold=found.rule.margin,
        relation="<",
        p_adjusted=float(test.p),
        alpha=found.rule.alpha,
        floor=float(test.floor),
        n=d.n,
        published="intact (abstract)",
    )


def _in_logits(found: Arms, target: str, tasks: tuple[str, str]) -> list[Evidence]:
    rows = []
    for task in tasks:
        d, row = found.drops[task], found.row[target, "mean"]
        intact = f"; intact mean {d.scale:.2f}"
        for name, values, note in (
            ("logit difference", d.logit_difference[row], intact),
            ("log-probability", d.log_probability[row], ""),
        ):
            rows.append(
                Evidence(
                    f"{task}, fall of {name}",
                    Effect(
                        "nats",
                        float(np.nanmean(values)),
                        interval(values, found.study),
                        method=f"first token of the answer{note}",
                    ),
                    n=d.n,
                )
            )
    return rows


def _third_abilities(found: Arms, target: str) -> list[Evidence]:
    """Tasks of the materials that the claim does not name: lookup tells reasoning from reading."""
    items = [i for i in found.study.prompts.items if i.split == EVALUATION]
    others = list(dict.fromkeys(i.task for i in items if i.task not in found.tasks))
    if not others:
        return []
    measured = found.measure([found.chosen[target].circuit], others)
    return [
        Evidence(
            f"{task} lost, beside",
            Effect("accuracy drop", float(d.share_lost[0]), interval(d.lost[0], found.study)),
            n=d.n,
        )
        for task, d in measured.items()
        if d.n
    ]


def _over_ablations(found: Arms, target: str, other: str) -> Evidence:
    """The same circuit taken away in other ways, and how often two ways disagree."""
    known: dict[str, bool] = {}
    said = []
    for method in METHODS:
        row = found.at(target, method)
        mine, spared = found.drops[target], found.drops[other]
        if row is None:
            said.append(f"{method}: a task has one answer throughout, so no other to take")
            continue
        if np.isnan(mine.after[row]).any() or np.isnan(spared.after[row]).any():
            said.append(f"{method}: not applicable to every prompt")
            continue
        known[method] = _holds(found, mine, spared, row)
        said.append(
            f"{method}: {target} {mine.share_lost[row]:.2f}, {other} {spared.share_lost[row]:.2f}, "
            + ("holds" if known[method] else "does not hold")
        )
    pairs = list(combinations(known.values(), 2))
    flips = float(np.mean([a != b for a, b in pairs])) if pairs else float("nan")
    return Evidence(
        "flip rate over ablations",
        Effect("share of pairs that disagree", flips, method="; ".join(said)),
        n=len(known),
    )


def _holds(found: Arms, mine: Drops, spared: Drops, row: int) -> bool:
    """Whether the target falls and the other task is spared."""
    falls = paired(mine.before, mine.after[row]).p_lost <= found.rule.alpha
    test = stats.equivalence_share(spared.any_lost(row), spared.n, found.rule.margin)
    return bool(falls and test.p <= found.rule.alpha)


def _by_specialisation(found: Arms, target: str) -> list[Evidence]:
    """As many components, chosen as the paper does: by how they differ, not by what they do."""
    row = found.at(target, "specialised")
    if row is None:
        return []
    return [
        Evidence(
            f"{task} lost, {found.kind}s chosen by specialisation",
            Effect(
                "accuracy drop",
                float(d.share_lost[row]),
                interval(d.lost[row], found.study),
                method="as many, largest d on crossed discovery prompts",
            ),
            n=d.n,
        )
        for task, d in found.drops.items()
    ]


def double_finding(study: Study, kind: Kind, rule: CausalRule, *, gate: float) -> Result:
    """Whether each task loses more without its own circuit than without the other's."""
    gates = causal_gates(study, gate)
    name = "difference between the circuits"
    if finding := stopped(gates, name):
        return Result(finding)
    gates = (*gates, *selection_gates(study, rule))
    if finding := stopped(gates, name):
        return Result(finding)
    found = arms(study, kind, rule)
    gates = (*gates, *(enough(found.drops[t].n, t) for t in found.tasks))
    if finding := stopped(gates, name):
        return Result(finding)
    tests = {
        task: paired(*(found.drops[task].after[found.row[c, "mean"]] for c in (o, task)))
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
    effects = component_effects(study, kind, rule)
    plots = causal_plots.component_plots(
        effects, circuits, found.tasks, kind, n=_asked(study, rule)
    )
    components = tuple(
        c for t in found.tasks for c in circuit_components(circuits[t], t, study, rule)
    )
    return Result(
        Finding(tuple(evidence), (), gates, components, left_out(found.drops)), plots=plots
    )


def _own_and_other(found: Arms) -> list[tuple[str, str]]:
    return list(zip(found.tasks, found.tasks[::-1], strict=True))


def _difference(
    found: Arms, task: str, other: str, test: stats.PairedTest, p_adjusted: float
) -> list[Evidence]:
    d = found.drops[task]
    own, others = found.row[task, "mean"], found.row[other, "mean"]
    difference = d.lost[own] - d.lost[others]
    low, high = interval(difference, found.study)
    sizes: Mapping[str, int] = {t: len(c.circuit) for t, c in found.chosen.items()}
    return [
        Evidence(
            f"{task}: lost without its own {found.kind}s minus without the other's",
            Effect(
                "difference of accuracy drops",
                float(difference.mean()),
                (low, high),
                method=f"{d.share_lost[own]:.2f} - {d.share_lost[others]:.2f}; {sizes[task]:,} and "
                f"{sizes[other]:,} {found.kind}s; paired bootstrap; McNemar between the two, "
                "one-sided",
            ),
            threshold=0,
            relation=">",
            p=float(test.p_lost),
            p_adjusted=p_adjusted,
            alpha=found.rule.alpha,
            family=Family("tasks", 2, "Holm"),
            n=d.n,
        ),
        Evidence(
            f"{task}: lower end of its 95 % interval",
            Effect("difference of accuracy drops", low),
            threshold=0,
            relation=">",
            n=d.n,
        ),
    ]
