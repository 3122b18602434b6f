"""The published findings of h1, h2 and h3: a count of specialised components.

The hypothesis files hold the numbers and the words; this module holds the procedure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.gates import classes_gate
from harness.findings.specialisation.cells import Cells, published_cells
from harness.findings.specialisation.rules import PublishedRule
from harness.findings.twins import TwinResult, on_twins, twin_controls, twins_that_pass
from harness.materials.relabelling import flip_pairs
from harness.study.study import Study
from harness.verdicts.components import ComponentKind, Components
from harness.verdicts.evidence import Component, Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

_SHUFFLES = 5  # label shuffles of the control; few, because the rule is slow and they only inform


@dataclass(frozen=True, slots=True)
class Counted:
    """What the published rule gives on a model, on its twins and under shuffled labels.

    Attributes:
        types: The types of component that are counted.
        bar: The count that the claim asks for.
        tables: Components by source: `model`, `twin 1`...; those that are counted pass.
        shuffled: Counts under shuffled labels.
    """

    cells: Cells
    types: tuple[str, ...]
    bar: int
    tables: Mapping[str, Components]
    shuffled: tuple[int, ...]

    @property
    def model(self) -> Components:
        """The components of the model itself."""
        return self.tables["model"]


def published_finding(
    study: Study,
    kind: ComponentKind,
    rule: PublishedRule,
    *,
    needed: tuple[int, int],
    mixed: bool,
    published: str,
    variants: Mapping[str, PublishedRule],
) -> Finding:
    """Count components by the published rule; twins and shuffled labels are shown.

    Args:
        study: The model and the materials.
        kind: Of component.
        rule: The published rule.
        needed: A count and the number of components it was asked of, in the published model.
        mixed: Whether components whose votes tie are counted.
        published: What the source reports.
        variants: Other numbers that the same source gives for the rule: secondary.
    """
    require(classes_gate(study))
    counted = _measure(study, kind, rule, needed, mixed)
    evidence = (
        _decisive(study, counted, published),
        *_secondary(study, counted, variants),
    )
    twins = _twin_controls(counted)
    return Finding(
        evidence,
        (*twins, _shuffled_control(counted)),
        (_reach(study, counted, rule),),
        passed_components(counted.model),
        (*constant_notes(counted.cells), *twins_that_pass(twins)),
        tables=counted.tables,
    )


def _measure(
    study: Study, kind: ComponentKind, rule: PublishedRule, needed: tuple[int, int], mixed: bool
) -> Counted:
    """Apply the rule to the model, to each twin and to shuffled labels."""
    types = (*study.prompts.tasks, "mixed") if mixed else study.prompts.tasks
    cells = published_cells(kind, study.activations)
    model = counted(rule(cells, study.prompts), types)

    def on_twin(activations: Activations) -> Components:
        return counted(rule(published_cells(kind, activations), study.prompts), types)

    twins = on_twins(study, on_twin)
    flipped = (flip_pairs(study.prompts, study.plan.seed + s) for s in range(_SHUFFLES))
    return Counted(
        cells,
        types,
        stats.scaled_count(*needed, len(model)),
        {"model": model, **twins},
        tuple(rule(cells, prompts).count_of(*types) for prompts in flipped),
    )


def counted(table: Components, types: Sequence[str]) -> Components:
    """The table with no component passing that is not counted: wherever it is shown, one number."""
    return replace(table, passed=table.passed & np.isin(table.type, types))


def _decisive(study: Study, counted: Counted, published: str) -> Evidence:
    """The count, which the bar is for."""
    table = counted.model
    method = f"of {len(table):,}; {counts_by_type(table)}"
    if "mixed" not in counted.types and (tied := table.count_mixed):
        method += f"; {tied:,} more with as many votes for either side, which do not count"
    return Evidence(
        f"specialised {table.kind}s",
        Effect("count", table.count_of(*counted.types), method=method),
        threshold=counted.bar,
        decided_by="estimate",
        relation=">=",
        n=len(study.prompts),
        published=published,
        key="count",
    )


def _secondary(
    study: Study, counted: Counted, variants: Mapping[str, PublishedRule]
) -> list[Evidence]:
    """The mean size of the effects, and the count by other numbers of the same source."""
    table, n = counted.model, len(study.prompts)
    effects = np.abs(table.effect[table.passed])
    mean = float(effects.mean()) if len(effects) else float("nan")
    rows = [Evidence(f"mean |d| of specialised {table.kind}s", Effect("mean |d|", mean), n=n)]
    for name, variant in variants.items():
        count = variant(counted.cells, study.prompts).count_of(*counted.types)
        rows.append(Evidence(f"specialised {table.kind}s, {name}", Effect("count", count), n=n))
    return rows


def _twin_controls(counted: Counted) -> tuple[Control, ...]:
    note = f"needed {counted.bar} of {len(counted.model):,}"
    results = {
        name: TwinResult(table.count_of(*counted.types), note)
        for name, table in counted.tables.items()
        if name != "model"
    }
    return twin_controls(results, meets=lambda count: count >= counted.bar)


def _shuffled_control(counted: Counted) -> Control:
    largest = max(counted.shuffled)
    return Control(
        "shuffled labels, largest count",
        largest,
        largest < counted.bar,
        note=f"{len(counted.shuffled)} shuffles within pairs",
    )


def _reach(study: Study, counted: Counted, rule: PublishedRule) -> Gate:
    """Whether any component could pass with so few prompts."""
    items, table = study.prompts.count(), counted.model
    floor = rule.floor([items[task] for task in study.prompts.tasks], len(table))
    return Gate.of(
        "reach",
        floor <= rule.alpha or table.count > 0,
        f"{len(study.prompts)} prompts can reach an adjusted p of {floor:.2g} at best, needed <= "
        f"{rule.alpha:g}",
        unmet=f": no {table.kind} could pass; use more items",
    )


def passed_components(table: Components) -> tuple[Component, ...]:
    """The components that passed, as the record holds them."""
    return tuple(
        Component(
            table.kind,
            int(table.layer[i]),
            None if table.kind == "layer" else int(table.index[i]),
            float(table.effect[i]),
            float(table.q[i]),
            str(table.type[i]),
        )
        for i in np.flatnonzero(table.passed)
    )


def counts_by_type(table: Components) -> str:
    """How many components passed with each type, in words."""
    names = [t for t in dict.fromkeys(table.type[table.passed].tolist()) if t]
    return ", ".join(f"{t} {table.count_of(t):,}" for t in sorted(names)) or "none"


def constant_notes(cells: Cells) -> tuple[str, ...]:
    """A note on how many cells have no d, because they never vary."""
    if not cells.constant:
        return ()
    return (
        f"{cells.constant:,} of {cells.values.shape[1]:,} values are the same on every prompt: "
        "their d is undefined and they cannot pass",
    )
