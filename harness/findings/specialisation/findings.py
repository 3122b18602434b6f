"""The two kinds of finding that h1, h2 and h3 share: a count by the published rule, and by ours.

The hypothesis files hold the numbers and the words; this file holds the procedure.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from harness import stats
from harness.findings.gates import competence_gates, gate_notes, paired_gate
from harness.findings.specialisation.cells import (
    Cells,
    Contrast,
    ControlledRule,
    Judged,
    PublishedRule,
    contrast,
    controlled_cells,
    published_cells,
    shuffled_counts,
)
from harness.findings.specialisation.secondary import shown_beside
from harness.materials.items import EVALUATION
from harness.materials.relabelling import flip_pairs
from harness.study.study import Study
from harness.verdicts.components import Components, Kind
from harness.verdicts.verdict import (
    Component,
    Control,
    Effect,
    Evidence,
    Family,
    Finding,
    Gate,
    require,
)

SHUFFLES = 20  # label shuffles of the control
PUBLISHED_SHUFFLES = 5  # the same for the published rule, which is slower and only shown
SHUFFLES_ALLOWED = 0.05  # share of shuffles that may reach the bar


def published_floor(rule: PublishedRule, prompts: Sequence[int], tests: int) -> float:
    """The smallest corrected p of the published rule on untied values.

    `prompts` of each task, `tests` a metric.
    """
    floor = stats.mann_whitney_floor(*prompts)
    return min(1.0, floor * (tests if rule.correction == "bonferroni" else 1))


def constant_notes(cells: Cells) -> tuple[str, ...]:
    """Say how many cells have no d, because they never vary."""
    if not cells.constant:
        return ()
    return (
        f"{cells.constant:,} of {cells.values.shape[1]:,} values are the same on every prompt: "
        "their d is undefined and they cannot pass",
    )


def _found(components: Components) -> tuple[Component, ...]:
    return tuple(
        Component(
            components.kind,
            int(components.layer[i]),
            None if components.kind == "layer" else int(components.index[i]),
            float(components.effect[i]),
            float(components.q[i]),
            str(components.type[i]),
        )
        for i in np.flatnonzero(components.passed)
    )


def published_finding(
    study: Study,
    kind: Kind,
    rule: PublishedRule,
    *,
    needed: tuple[int, int],
    mixed: bool,
    published: str,
    variants: Mapping[str, PublishedRule],
) -> Finding:
    """Count components by the published rule; twins and shuffled labels stand beside it.

    `mixed` says whether components whose votes tie are counted; `variants` are other numbers
    that the same source gives for the same rule: shown.
    """
    types = (*study.prompts.tasks, "mixed") if mixed else study.prompts.tasks
    cells = published_cells(kind, study.activations)
    table = rule(cells, study.prompts)
    bar = stats.scaled_count(*needed, len(table))
    n = len(study.prompts)
    effects = np.abs(table.effect[table.passed])
    evidence = [
        Evidence(
            f"specialised {kind}s",
            Effect("count", _typed(table, types), method=f"of {len(table):,}; {_by_type(table)}"),
            threshold=bar,
            relation=">=",
            n=n,
            published=published,
        ),
        Evidence(
            f"mean |d| of specialised {kind}s",
            Effect("mean |d|", float(effects.mean()) if len(effects) else float("nan")),
            n=n,
        ),
        *(
            Evidence(
                f"specialised {kind}s, {how}",
                Effect("count", _typed(other(cells, study.prompts), types)),
                n=n,
            )
            for how, other in variants.items()
        ),
    ]
    tables = {"model": table}
    controls = []
    for name, activations in study.twins():
        tables[name] = rule(published_cells(kind, activations), study.prompts)
        count = _typed(tables[name], types)
        controls.append(
            Control(f"untrained {name}", count, count < bar, note=f"needed {bar} of {len(table):,}")
        )
    shuffled = [
        _typed(rule(cells, flip_pairs(study.prompts, study.plan.seed + s)), types)
        for s in range(PUBLISHED_SHUFFLES)
    ]
    controls.append(
        Control(
            "shuffled labels, largest count",
            max(shuffled),
            max(shuffled) < bar,
            note=f"{PUBLISHED_SHUFFLES} shuffles within pairs",
        )
    )
    passing = sum(c.passed is False for c in controls[:-1])
    notes = constant_notes(cells)
    if passing:
        notes += (f"{passing} of {len(controls) - 1} untrained twins pass this criterion too",)
    items = study.prompts.count()
    floor = published_floor(rule, [items[task] for task in study.prompts.tasks], len(table))
    reach = Gate(
        "reach",
        floor <= rule.alpha or table.count > 0,
        f"{n} prompts can reach an adjusted p of {floor:.2g} at best, above alpha {rule.alpha:g}: "
        f"no {kind} could pass; use more items",
    )
    return Finding(tuple(evidence), tuple(controls), (reach,), _found(table), notes, tables=tables)


def _typed(table: Components, types: tuple[str, ...]) -> int:
    return table.count_of(*types)


def _by_type(table: Components) -> str:
    names = [t for t in dict.fromkeys(table.type[table.passed].tolist()) if t]
    return ", ".join(f"{t} {table.count_of(t):,}" for t in sorted(names)) or "none"


def controlled_finding(
    study: Study, kind: Kind, rule: ControlledRule, *, needed: tuple[int, int], gate: float
) -> Finding:
    """Count components that hold on held-out facts, beyond twins and shuffled labels."""
    require(paired_gate(study))
    c = contrast(controlled_cells(kind, study.activations), study.prompts)
    judged = rule.judged(c)
    table = rule.table(c, judged)
    bar = stats.scaled_count(*needed, len(table))
    evidence = [_count_evidence(c, table, bar, kind), _strongest_evidence(study, c, judged, rule)]
    evidence += shown_beside(study, kind, rule, table)
    tables = {"model": table}
    controls = []
    for name, activations in study.twins():
        tables[name] = rule(contrast(controlled_cells(kind, activations), study.prompts))
        count = tables[name].count
        largest = float(np.abs(tables[name].cells_d).max())
        controls.append(
            Control(
                f"untrained {name}",
                count,
                count < bar,
                note=f"largest held-out |d| {largest:.2f}; must stay below {bar}",
            )
        )
    reached = shuffled_counts(rule, c, SHUFFLES, study.plan.seed) >= bar
    low, high = stats.binomial_interval(int(reached.sum()), SHUFFLES)
    controls.append(
        Control(
            "shuffled labels, share that reach the bar",
            float(reached.mean()),
            bool(reached.mean() <= SHUFFLES_ALLOWED),
            (low, high),
            note=f"{SHUFFLES} shuffles, at most {SHUFFLES_ALLOWED:.2f}",
        )
    )
    gates = competence_gates(study, gate)
    notes = (*gate_notes(gates), *constant_notes(c.cells))
    if not study.plan.twins:
        notes += ("no untrained twin was run (--twins 0), so that control is missing",)
    units = {evidence[1].name: _strongest_units(c, judged)}
    return Finding(
        tuple(evidence), tuple(controls), gates, _found(table), notes, units, tables=tables
    )


def _strongest_units(c: Contrast, judged: Judged) -> dict[str, float]:
    """By held-out pair, its contrast in the strongest cell in units of the pooled SD.

    Their mean is the effect of `_strongest_evidence`.
    """
    cell, pairs = judged.strongest, np.flatnonzero(c.split == EVALUATION)
    values = c.values[pairs, cell].astype(float)
    mean, d = values.mean(), float(judged.d[cell])
    if mean == 0 or d == 0:
        return {}
    sign = -1.0 if judged.found[cell] < 0 else 1.0
    return dict(zip(c.pair[pairs].tolist(), (sign * values * d / mean).tolist(), strict=True))


def _count_evidence(c: Contrast, table: Components, bar: int, kind: Kind) -> Evidence:
    pairs = int((c.split == EVALUATION).sum())
    return Evidence(
        f"{kind}s that hold on held-out facts",
        Effect("count", table.count, method=f"of {len(table):,}; {_by_type(table)}"),
        threshold=bar,
        relation=">=",
        n=pairs,
    )


def _strongest_evidence(
    study: Study, c: Contrast, judged: Judged, rule: ControlledRule
) -> Evidence:
    """The cell that is strongest on discovery pairs, as it is on evaluation pairs.

    Evaluation has no part in the choice, so the estimate and its interval are not selected for.
    They are in the direction of discovery: an effect that turned its sign is negative.
    """
    cells, cell, pairs = c.cells, judged.strongest, np.flatnonzero(c.split == EVALUATION)
    estimate = stats.bootstrap_d(
        cells.values[:, cell],
        c.treated[pairs],
        c.control[pairs],
        resamples=study.plan.resamples,
        seed=study.plan.seed,
    )
    low, high = float(estimate.low), float(estimate.high)
    sign = -1.0 if judged.found[cell] < 0 else 1.0
    where = f"layer {cells.layer[cell]}" + (
        "" if cells.kind == "layer" else f" {cells.kind} {cells.index[cell]}"
    )
    chosen = bool(judged.chosen[cell])
    tested, size = (
        ("chosen on discovery", int(judged.chosen.sum()))
        if chosen
        else ("on discovery, where none was chosen", len(judged.d))
    )
    return Evidence(
        f"strongest effect on discovery, {where}, {cells.metrics[cell % len(cells.metrics)]}",
        Effect(
            "|d|",
            sign * float(judged.d[cell]),
            (low, high) if sign > 0 else (-high, -low),
            method="on held-out pairs, in the direction of discovery; pair contrast / pooled SD; "
            "bootstrap of pairs",
        ),
        threshold=rule.threshold_d,
        relation=">",
        p_adjusted=float((judged.p if chosen else judged.p_found)[cell]),
        alpha=rule.alpha,
        floor=rule.floor(c),
        family=Family(f"{cells.kind}s x metrics {tested}", size, "max-statistic sign-flip"),
        n=len(pairs),
    )
