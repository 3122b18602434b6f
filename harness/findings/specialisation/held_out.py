"""The controlled findings of h1, h2 and h3: a count of components that hold on held-out facts.

The hypothesis files hold the numbers and the words; this module holds the procedure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.gates import competence_gates, gate_notes, paired_gate
from harness.findings.specialisation.contrasts import Contrast, controlled_contrast
from harness.findings.specialisation.published import (
    constant_notes,
    counts_by_type,
    passed_components,
)
from harness.findings.specialisation.rules import CellDecisions, ControlledRule, shuffled_counts
from harness.findings.specialisation.secondary import secondary
from harness.findings.twins import TwinResult, on_twins, twin_controls
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.components import ComponentKind, Components
from harness.verdicts.evidence import Control, Effect, Evidence, Family
from harness.verdicts.judge import Finding, require

SHUFFLES = 20  # label shuffles of the control
SHUFFLES_ALLOWED = 0.05  # share of shuffles that may reach the bar


@dataclass(frozen=True, slots=True)
class Held:
    """What the controlled rule gives on a model, on its twins and under shuffled labels.

    Attributes:
        decisions: On the model, of every cell.
        bar: The count that the claim asks for.
        tables: Components by source: `model`, `twin 1`...
        shuffled: Counts under shuffled labels.
    """

    contrast: Contrast
    rule: ControlledRule
    decisions: CellDecisions
    bar: int
    tables: Mapping[str, Components]
    shuffled: np.ndarray

    @property
    def model(self) -> Components:
        """The components of the model itself."""
        return self.tables["model"]

    @property
    def held_out(self) -> np.ndarray:
        """Positions of the evaluation pairs."""
        return np.flatnonzero(self.contrast.split == EVALUATION)

    @property
    def direction(self) -> float:
        """Sign of the strongest cell's effect on discovery pairs."""
        return -1.0 if self.decisions.d_discovery[self.decisions.strongest] < 0 else 1.0


def controlled_finding(
    study: Study, kind: ComponentKind, rule: ControlledRule, *, needed: tuple[int, int], gate: float
) -> Finding:
    """Count components that hold on held-out facts, more than on twins and shuffled labels.

    Args:
        study: The model and the materials.
        kind: Of component.
        rule: The controlled rule.
        needed: A count and the number of components it was asked of, in the published model.
        gate: Least accuracy on each task.
    """
    require(paired_gate(study))
    held = _measure(study, kind, rule, needed)
    count, strongest = _count(held), _strongest(study, held)
    gates = competence_gates(study, gate)
    return Finding(
        (count, strongest, *secondary(study, kind, rule, held.model)),
        (*_twin_controls(held), _shuffled_control(held)),
        gates,
        passed_components(held.model),
        (*gate_notes(gates), *constant_notes(held.contrast.cells), *_missing_twins(study)),
        {strongest.name: _strongest_samples(held)},
        tables=held.tables,
    )


def _measure(
    study: Study, kind: ComponentKind, rule: ControlledRule, needed: tuple[int, int]
) -> Held:
    """Apply the rule to the model, to each twin and to shuffled labels."""
    c = controlled_contrast(kind, study.activations, study.prompts)
    decisions = rule.decide(c)
    model = rule.table(c, decisions)

    def on_twin(activations: Activations) -> Components:
        return rule(controlled_contrast(kind, activations, study.prompts))

    return Held(
        c,
        rule,
        decisions,
        stats.scaled_count(*needed, len(model)),
        {"model": model, **on_twins(study, on_twin)},
        shuffled_counts(rule, c, SHUFFLES, study.plan.seed),
    )


def _count(held: Held) -> Evidence:
    """The count, which the bar is for."""
    table = held.model
    return Evidence(
        f"{table.kind}s that hold on held-out facts",
        Effect("count", table.count, method=f"of {len(table):,}; {counts_by_type(table)}"),
        threshold=held.bar,
        relation=">=",
        n=len(held.held_out),
        key="count",
    )


def _strongest(study: Study, held: Held) -> Evidence:
    """The effect on evaluation pairs of the cell that is strongest on discovery pairs.

    Evaluation pairs had no part in the selection, so the estimate and its interval are free of
    selection bias. They are in the direction of discovery: an effect that turned its sign is
    negative.
    """
    cells, decisions, cell = held.contrast.cells, held.decisions, held.decisions.strongest
    where = f"layer {cells.layer[cell]}" + (
        "" if cells.kind == "layer" else f" {cells.kind} {cells.index[cell]}"
    )
    selected = bool(decisions.selected[cell])
    return Evidence(
        f"strongest effect on discovery, {where}, {cells.metrics[cell % len(cells.metrics)]}",
        Effect(
            "|d|",
            held.direction * float(decisions.d[cell]),
            _strongest_interval(study, held),
            method="on held-out pairs, in the direction of discovery; pair contrast / pooled SD; "
            "bootstrap of pairs",
        ),
        threshold=held.rule.threshold_d,
        relation=">",
        p_adjusted=float((decisions.p if selected else decisions.p_discovery)[cell]),
        alpha=held.rule.alpha,
        floor=held.rule.floor(held.contrast),
        family=_family(held, selected),
        n=len(held.held_out),
        key="largest",
    )


def _family(held: Held, selected: bool) -> Family:
    """The tests that the strongest cell's p is corrected over."""
    name, size = (
        ("selected on discovery", int(held.decisions.selected.sum()))
        if selected
        else ("on discovery, where none was selected", len(held.decisions.d))
    )
    return Family(f"{held.model.kind}s x metrics {name}", size, "max-statistic sign-flip")


def _strongest_interval(study: Study, held: Held) -> tuple[float, float]:
    """Bootstrap interval of the strongest cell's d, in the direction of discovery."""
    c, pairs = held.contrast, held.held_out
    estimate = stats.bootstrap_d(
        c.cells.values[:, held.decisions.strongest],
        c.treated[pairs],
        c.control[pairs],
        resamples=study.plan.resamples,
        seed=study.plan.seed,
    )
    low, high = float(estimate.low), float(estimate.high)
    return (low, high) if held.direction > 0 else (-high, -low)


def _strongest_samples(held: Held) -> dict[str, float]:
    """By held-out pair, its contrast in the strongest cell in units of the pooled SD.

    Their mean is the effect of `_strongest`. Empty where that is 0, or infinite:
    prompts of one task that are all alike have an SD of 0, and nothing can be said in units of it.
    """
    cell, pairs = held.decisions.strongest, held.held_out
    values = held.contrast.values[pairs, cell].astype(float)
    mean, d = values.mean(), float(held.decisions.d[cell])
    if mean == 0 or d == 0 or math.isinf(d):
        return {}
    scaled = (held.direction * values * d / mean).tolist()
    return dict(zip(held.contrast.pair[pairs].tolist(), scaled, strict=True))


def _twin_controls(held: Held) -> tuple[Control, ...]:
    results = {}
    for name, table in held.tables.items():
        if name != "model":
            largest = float(np.abs(table.cells_d).max())
            note = f"largest held-out |d| {largest:.2f}; must stay below {held.bar}"
            results[name] = TwinResult(table.count, note)
    return twin_controls(results, meets=lambda count: count >= held.bar)


def _shuffled_control(held: Held) -> Control:
    reached = held.shuffled >= held.bar
    return Control(
        "shuffled labels, share that reach the bar",
        float(reached.mean()),
        bool(reached.mean() <= SHUFFLES_ALLOWED),
        stats.binomial_interval(int(reached.sum()), SHUFFLES),
        note=f"{SHUFFLES} shuffles, at most {SHUFFLES_ALLOWED:.2f}",
    )


def _missing_twins(study: Study) -> tuple[str, ...]:
    if study.plan.twins:
        return ()
    return ("no untrained twin was run (--twins 0), so that control is missing",)
