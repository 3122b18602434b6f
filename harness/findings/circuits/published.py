"""The published statements of h5 and h6, as published: on the prompts they were found on."""

import numpy as np

from harness.activations.extracted import Activations
from harness.findings.circuits.circuits import Circuit, Kind, matched_sets
from harness.findings.circuits.depth import observed_order
from harness.findings.circuits.selection import shape
from harness.findings.circuits.shared import left_out
from harness.findings.effects import measured_effects
from harness.findings.gates import causal_answers
from harness.findings.requirements import interval
from harness.findings.specialisation.cells import published_cells
from harness.findings.specialisation.rules import PublishedRule
from harness.findings.twins import TwinResult, on_twins, twin_controls
from harness.interventions.interventions import ZERO, Intervention
from harness.study.study import Study
from harness.verdicts.components import Components
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

SETS = 20  # random sets beside


def published_drop_finding(
    study: Study,
    kind: Kind,
    rule: PublishedRule,
    *,
    unchanged: float,
    gate: float,
) -> Finding:
    """The published statement: zero what is specialised, on the prompts that it was found on."""
    gates = causal_answers(study, gate)
    require(*gates)
    table = rule(published_cells(kind, study.activations), study.prompts)
    tasks = study.prompts.tasks
    circuits = {t: _of_type(table, t, kind) for t in tasks}
    gates = (
        *gates,
        *(
            Gate(
                f"{t} circuit",
                len(circuits[t]) > 0,
                f"no {kind} is specialised in {t} by the published rule: nothing to ablate",
            )
            for t in tasks
        ),
    )
    require(*gates)
    layers, width = shape(study, kind)
    sets = {t: matched_sets(circuits[t], layers, width, SETS, 1, study.plan.seed) for t in tasks}
    every = [circuits[t] for t in tasks] + [c for t in tasks for c in sets[t].circuits]
    ablations = [Intervention(c.sites, ZERO) for c in every]
    result = measured_effects(study, study.prompts, ablations)
    gates = (
        *gates,
        *(
            Gate(f"{t} items", result[t].n > 1, f"{result[t].n} {t} items are answered right")
            for t in tasks
        ),
    )
    require(*gates)
    evidence, controls = [], []
    for own, task in enumerate(tasks):
        for about in (task, tasks[1 - own]):
            d, hit = result[about], about == task
            evidence.append(
                Evidence(
                    f"{about} without the {task} {kind}s",
                    Effect(
                        "accuracy drop",
                        float(d.share_lost[own]),
                        interval(d.lost[own], study),
                        method=f"{len(circuits[task]):,} of {len(table):,} {kind}s zeroed; "
                        "of answers that were right",
                    ),
                    threshold=0 if hit else unchanged,
                    relation=">" if hit else "<=",
                    n=d.n,
                    published=("up to 15 %" if hit else "intact") + " (abstract)",
                )
            )
        start = 2 + sum(len(sets[t].circuits) for t in tasks[:own])
        chance = result[task].share_lost[start : start + len(sets[task].circuits)]
        if len(chance):
            controls.append(
                Control(
                    f"{task} without random {kind}s, mean of {len(chance)} sets",
                    float(chance.mean()),
                    None,
                    (float(chance.min()), float(chance.max())),
                    f"as many, matched by {sets[task].match}; range of the sets",
                )
            )
    return Finding(tuple(evidence), tuple(controls), gates, (), left_out(result))


def _of_type(table: Components, task: str, kind: Kind) -> Circuit:
    at = np.flatnonzero(table.passed & (table.type == task))
    return Circuit(kind, table.layer[at], table.index[at])


def published_depth_finding(study: Study, rule: PublishedRule, *, published: str) -> Finding:
    """The order of the layers that the published rule calls specialised."""
    table = rule(published_cells("layer", study.activations), study.prompts)
    first, second = study.prompts.tasks
    counts = {t: table.count_of(t) for t in (first, second)}
    order = observed_order(table, study.prompts.tasks)
    evidence = Evidence(
        f"mean layer of {second} minus mean layer of {first}",
        Effect(
            "layers", order, method=f"{counts[first]} {first}, {counts[second]} {second} layers"
        ),
        threshold=0,
        relation=">",
        n=len(study.prompts),
        published=published,
    )
    both = Gate(
        "both types",
        all(counts.values()),
        f"the published rule finds {counts[first]} {first} and {counts[second]} {second} layers: "
        "there is no order to compare",
    )

    def on_twin(activations: Activations) -> TwinResult:
        twin = rule(published_cells("layer", activations), study.prompts)
        order = observed_order(twin, study.prompts.tasks)
        return TwinResult(order, "layers; undefined if one type is missing")

    return Finding((evidence,), twin_controls(on_twins(study, on_twin), meets=None), (both,))
