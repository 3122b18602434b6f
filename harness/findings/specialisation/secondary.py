"""Secondary outcomes of a controlled count: lookup, key-value groups, firing rates."""

from dataclasses import replace

import numpy as np

from harness.activations.extracted import Activations
from harness.findings.specialisation.contrasts import controlled_contrast
from harness.findings.specialisation.rules import ControlledRule
from harness.materials.items import EVALUATION
from harness.study.study import Study
from harness.verdicts.components import ComponentKind, Components
from harness.verdicts.evidence import Effect, Evidence


def secondary(
    study: Study, kind: ComponentKind, rule: ControlledRule, table: Components
) -> list[Evidence]:
    """The secondary outcomes that there are for this kind of component."""
    rows = _lookup(study, kind, rule, table)
    if kind == "head":
        rows += _key_value_groups(study, rule)
    if kind == "neuron":
        rows.append(_firing_rate(study, table))
    return rows


def _lookup(
    study: Study, kind: ComponentKind, rule: ControlledRule, table: Components
) -> list[Evidence]:
    """The same count where lookup is crossed with each task: it is a third ability."""
    rows = []
    for control in study.lookup_controls():
        first, second = control.prompts.tasks
        other = rule(controlled_contrast(kind, control.activations, control.prompts))
        both = int((other.passed & table.passed).sum())
        rows.append(
            Evidence(
                f"{first} against {second}, {kind}s that hold",
                Effect("count", other.count, method=f"{both:,} of them also above"),
                n=_evaluation_pairs(control),
            )
        )
    return rows


def _evaluation_pairs(study: Study) -> int:
    splits = {item.pair: item.split for item in study.prompts.items}
    return list(splits.values()).count(EVALUATION)


def pooled_by_group(activations: Activations, kv_heads: int) -> Activations:
    """Head metrics averaged over the query heads that share a key-value head."""
    prompts, layers, heads, metrics = activations.heads.shape
    grouped = activations.heads.reshape(prompts, layers, kv_heads, heads // kv_heads, metrics)
    return replace(activations, heads=grouped.mean(3))


def _key_value_groups(study: Study, rule: ControlledRule) -> list[Evidence]:
    """Heads of a group share keys and values and are not independent: the count of groups."""
    architecture = study.subject.architecture
    heads, kv_heads = architecture.heads, architecture.kv_heads
    if not kv_heads or kv_heads == heads:
        return []
    pooled = pooled_by_group(study.activations, kv_heads)
    groups = rule(controlled_contrast("head", pooled, study.prompts))
    method = f"of {len(groups):,}; metrics averaged in a group"
    effect = Effect("count", groups.count, method=method)
    return [Evidence("key-value groups that hold", effect, n=_evaluation_pairs(study))]


def _firing_rate(study: Study, table: Components) -> Evidence:
    """How much more often the gates of neurons that passed are open under one task.

    On evaluation items.
    """
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
        n=_evaluation_pairs(study),
    )
