"""What is shown beside a controlled count without deciding it: lookup, KV groups, firing rates."""

from dataclasses import replace

import numpy as np

from harness.activations.extracted import Activations
from harness.findings.specialisation.cells import (
    ControlledRule,
    contrast,
    controlled_cells,
)
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.components import Components, Kind
from harness.verdicts.verdict import Effect, Evidence


def shown_beside(
    study: Study, kind: Kind, rule: ControlledRule, table: Components
) -> list[Evidence]:
    """All that applies to components of this kind."""
    rows = _lookup(study, kind, rule, table)
    if kind == "head":
        rows += _key_value_groups(study, rule)
    if kind == "neuron":
        rows.append(_firing_rate(study, table))
    return rows


def _lookup(study: Study, kind: Kind, rule: ControlledRule, table: Components) -> list[Evidence]:
    """The two crossings with lookup: it is a third ability, and separates from both."""
    rows = []
    for control in study.lookup_controls():
        first, second = control.prompts.tasks
        found = rule(contrast(controlled_cells(kind, control.activations), control.prompts))
        both = int((found.passed & table.passed).sum())
        rows.append(
            Evidence(
                f"{first} against {second}, {kind}s that hold",
                Effect("count", found.count, method=f"{both:,} of them also above"),
                n=sum(pair_split == EVALUATION for pair_split in _splits(control)),
            )
        )
    return rows


def _splits(study: Study) -> list[str]:
    return list({item.pair: item.split for item in study.prompts.items}.values())


def pooled_by_group(activations: Activations, kv_heads: int) -> Activations:
    """Head metrics averaged over the query heads that share a key-value head."""
    prompts, layers, heads, metrics = activations.heads.shape
    grouped = activations.heads.reshape(prompts, layers, kv_heads, heads // kv_heads, metrics)
    return replace(activations, heads=grouped.mean(3))


def _key_value_groups(study: Study, rule: ControlledRule) -> list[Evidence]:
    """Heads of one group share keys and values, so they are not independent findings."""
    architecture = study.subject.architecture
    heads, kv_heads = architecture.heads, architecture.kv_heads
    if not kv_heads or kv_heads == heads:
        return []
    pooled = pooled_by_group(study.activations, kv_heads)
    found = rule(contrast(controlled_cells("head", pooled), study.prompts))
    effect = Effect("count", found.count, method=f"of {len(found):,}; metrics averaged in a group")
    return [Evidence("key-value groups that hold", effect, n=_splits(study).count(EVALUATION))]


def _firing_rate(study: Study, table: Components) -> Evidence:
    """How much more often a found neuron's gate is open under one task, on evaluation items."""
    first, second = study.prompts.tasks
    rates = []
    for task in (first, second):
        rows = [
            i
            for i, item in enumerate(study.prompts.items)
            if item.task == task and item.split == EVALUATION
        ]
        open_ = study.activations.gates[rows] > 0
        rates.append(open_.mean(0).reshape(-1))
    difference = np.abs(rates[0] - rates[1])[table.passed]
    return Evidence(
        "firing rate difference of these neurons",
        Effect(
            "mean absolute difference",
            float(difference.mean()) if len(difference) else float("nan"),
            method=f"share of prompts with gate > 0, {first} against {second}",
        ),
        n=_splits(study).count(EVALUATION),
    )
