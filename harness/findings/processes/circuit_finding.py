"""The finding of h5 on processes: a circuit found on some relations costs its process elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.circuits.circuits import Circuit, CircuitKind, Member, shape
from harness.findings.processes.circuit import Ablated, CircuitRule, Parts, ablate, rows_of_cells
from harness.findings.processes.circuit_search import Found, Search, searched
from harness.findings.processes.kinds import CELLS, Process
from harness.findings.processes.other_circuits import Compared, beyond_others, other_circuits
from harness.findings.processes.selected import interval_over_relations
from harness.findings.twins import left_out, worth_controls
from harness.interventions.donors import have_donors
from harness.interventions.interventions import (
    ABLATIONS,
    COUNTERFACTUAL,
    MEAN,
    RESAMPLE,
    Method,
)
from harness.materials.items import Item
from harness.study.study import Study
from harness.verdicts.evidence import Component, Effect, Evidence, Gate
from harness.verdicts.judge import Finding
from harness.verdicts.samples import by_sample

UNIT = "share of the logit difference"


@dataclass(frozen=True)
class Measured:
    """A circuit, ablated in relations it was not found on.

    Attributes:
        ablated: The circuit, then all components of its kind.
    """

    study: Study
    process: Process
    kind: CircuitKind
    rule: CircuitRule
    gates: tuple[Gate, ...]
    parts: Parts
    search: Search
    found: Found
    ablated: Ablated


def process_circuit_finding(
    study: Study, kind: CircuitKind, process: Process, rule: CircuitRule, *, gate: float
) -> Finding:
    """Whether a circuit costs its process in relations it was not found on, and nothing else.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        process: Retrieval or composing.
        rule: When a circuit serves it.
        gate: Least accuracy in each of recall, lookup and reasoning.
    """
    return _judged(_measure(study, kind, process, rule, gate))


def named_circuit_finding(
    study: Study,
    kind: CircuitKind,
    members: Sequence[Member],
    process: Process,
    rule: CircuitRule,
    *,
    gate: float,
) -> Finding:
    """Whether the components that a claim names are a circuit of a process, by the rule of h5.

    They must be named before these prompts are measured, or on other prompts: what is named
    because of what it does here is judged on what it was chosen by.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        members: (layer, number) of each; layers, heads and neurons are counted from 0.
        process: Retrieval or composing.
        rule: When a circuit serves it; its doses are not read.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        ValueError: If none is named, or one that the model does not have.
    """
    layers, width = shape(study, kind)
    absent = [m for m in members if not (0 <= m[0] < layers and 0 <= m[1] < width)]
    if absent or not members:
        raise ValueError(
            f"{absent[0] if absent else 'nothing'} is named as a {kind}; expected (layer, number) "
            f"of at least one, with layers 0 to {layers - 1} and numbers 0 to {width - 1}: change "
            "what the claim names."
        )
    return _judged(_measure(study, kind, process, rule, gate, members))


def _judged(measured: Measured) -> Finding:
    study, rule = measured.study, measured.rule
    lost = target_lost(measured)
    required = (
        lost,
        target_falls(measured),
        *(
            cell_spared(f"{cell} lost without them", cell, measured.ablated, rule, study)
            for cell in measured.process.others
        ),
        *(answers_spared(c, measured.ablated, rule, study) for c in measured.process.others),
    )
    met = worth_controls(study, required)
    others = _compared(measured) if met else None
    beside = (_selective(measured, others), *_otherwise(measured)) if others else ()
    return Finding(
        required + beside,
        gates=measured.gates,
        components=components_of(measured.found.circuit, measured.process),
        notes=(
            _how_found(measured),
            *left_out("other circuits and other ways to ablate", met=met),
        ),
        samples={lost.name: _samples(measured)},
        severity=others.severity if others else None,
    )


def _how_found(measured: Measured) -> str:
    found, relations = measured.found, measured.ablated.relations
    if found.named:
        return (
            f"the {found.size:,} {measured.kind}s are those that the claim names; judged on "
            f"{len(relations)} relations ({', '.join(relations)})"
        )
    again = f", once more with {_named(found.without)} ablated" if found.without else ""
    again += ", those last that cost another cell much" if found.sparing else ""
    return (
        f"the {found.size:,} {measured.kind}s were found by what their loss costs{again}; judged "
        f"on {len(relations)} other relations ({', '.join(relations)})"
    )


def _named(circuit: Circuit) -> str:
    return ", ".join(f"L{layer} H{index}" for layer, index in circuit.members)


def _measure(
    study: Study,
    kind: CircuitKind,
    process: Process,
    rule: CircuitRule,
    gate: float,
    members: Sequence[Member] | None = None,
) -> Measured:
    gates, parts, search = searched(study, kind, process, rule, gate)
    if members is None:
        found = search.circuit_of(process.target)
    else:
        found = search.named(members, rows_of_cells(parts.selection, process.target))
    own = [found.circuit, found.ranking]
    ablated = ablate(study, parts.judging, own, means_over=parts.selection).answered()
    return Measured(study, process, kind, rule, gates, parts, search, found, ablated)


def _other_ways(items: Sequence[Item]) -> tuple[Method, ...]:
    """The ways to ablate, beside the mean, that these items allow."""
    apt = {
        RESAMPLE: have_donors(items),
        COUNTERFACTUAL: all(item.counterfactual_prompt for item in items),
    }
    return tuple(way for way in ABLATIONS if way != MEAN and apt.get(way, True))


def target_lost(measured: Measured) -> Evidence:
    """The requirement on the share of what ablating all of the kind costs the target."""
    target = measured.process.target
    both = measured.ablated.costs[target][:, :2]
    own, everything = both.mean(0)
    return Evidence(
        f"{target} lost without the {measured.process.name} {measured.kind}s",
        Effect(
            "share of the loss without all",
            _ratio(both.mean(0)),
            interval_over_relations(
                lambda weights: _ratio(weights @ both),
                measured.ablated.relations,
                measured.study.plan,
            ),
            method=f"{measured.found.size:,} {measured.kind}s cost {own:.2f} of the logit "
            f"difference, all {everything:.2f}; mean ablation; bootstrap of relations",
        ),
        threshold=measured.rule.target,
        relation=">=",
        n=len(measured.ablated.relations),
        key="lost",
    )


def _ratio(means: Float[np.ndarray, " two"]) -> float:
    """Of two means; nan where the second one is no loss: no share of it says anything."""
    own, everything = means.tolist()
    return own / everything if everything > 0 else float("nan")


def target_falls(measured: Measured) -> Evidence:
    """The requirement that the target lose more than others may, over all of its answers.

    Half of next to nothing is no loss. And where answers are right by luck, taking away what only
    adds noise costs right ones: over all answers such a loss is none.
    """
    ablated = measured.ablated
    return Evidence(
        f"{measured.process.target} lost of its own logit difference, wrong answers included",
        _mean_share(ablated.on_all[measured.process.target][:, 0], ablated, measured.study),
        threshold=measured.rule.margin,
        relation=">",
        n=len(measured.ablated.relations),
        key="falls",
    )


def cell_spared(
    name: str, cell: str, ablated: Ablated, rule: CircuitRule, study: Study
) -> Evidence:
    """The requirement that a cell lose no more of its logit difference than the margin.

    Args:
        name: Of the evidence.
        cell: One that is to be spared.
        ablated: What was done to the circuit first.
        rule: Its margin.
        study: The plan of its bootstrap.
    """
    return Evidence(
        name,
        share_lost(cell, ablated, study),
        threshold=rule.margin,
        relation="<=",
        n=len(ablated.relations),
        key=f"spared.{cell}",
    )


def share_lost(cell: str, ablated: Ablated, study: Study) -> Effect:
    """What a cell loses by what was done first, with its interval over relations."""
    return _mean_share(ablated.costs[cell][:, 0], ablated, study)


def _mean_share(lost: Float[np.ndarray, " relation"], ablated: Ablated, study: Study) -> Effect:
    interval = interval_over_relations(lost.dot, ablated.relations, study.plan)
    return Effect(UNIT, float(lost.mean()), interval, method="bootstrap of relations")


def answers_spared(cell: str, ablated: Ablated, rule: CircuitRule, study: Study) -> Evidence:
    """The requirement that no more of a cell's right answers become wrong than the margin.

    Where some answers gain what others lose, the mean of the logit difference stays.

    Args:
        cell: One that is to be spared.
        ablated: What was done to the circuit first, with the answers counted.
        rule: Its margin.
        study: The plan of its bootstrap.
    """
    lost, right = ablated.answers[cell][:, 0], int(ablated.right[cell].sum())
    low, high = interval_over_relations(lost.dot, ablated.relations, study.plan)
    # Where none of a few is lost, no resample has one either.
    _, most = stats.jeffreys_interval(float(lost @ ablated.right[cell]), right)
    return Evidence(
        f"right answers of {cell} that become wrong",
        Effect(
            "share",
            float(lost.mean()),
            (low, max(high, most)),
            method=f"of {right}; bootstrap of relations, and at most as of {right} single answers "
            "(Jeffreys)",
        ),
        threshold=rule.margin,
        relation="<=",
        n=len(lost),
        key=f"kept.{cell}",
    )


def _compared(measured: Measured) -> Compared:
    """What the target loses beyond the others, without the circuit and without other ones.

    A larger circuit costs more: all have the claim's size.
    """
    parts, found, rule = measured.parts, measured.found, measured.rule
    target = measured.process.target
    random, same = other_circuits(measured.search, found.circuit, target)
    each = [found.circuit, *random, *same, found.ranking]
    ablated = ablate(measured.study, parts.compared, each, means_over=parts.selection)
    own = ablated.mean(target)
    meets = (own >= rule.target * own[-1]) & (own > rule.margin)
    for cell in measured.process.others:
        meets &= (ablated.mean(cell) <= rule.margin) & (ablated.wrong(cell) <= rule.margin)
    return Compared.of(ablated.selectivity(target)[:-1], meets[:-1], len(random))


def _selective(measured: Measured, others: Compared) -> Evidence:
    """Beyond random sets and beyond circuits that the same search finds between questions."""
    return beyond_others(
        f"{measured.process.target} minus the most of the others, against other circuits",
        others,
        alpha=measured.rule.alpha,
        key="selective",
    )


def _otherwise(measured: Measured) -> list[Evidence]:
    """Secondary: what each cell loses where the circuit is ablated in other ways."""
    judging, target = measured.parts.judging, measured.process.target
    ways = _other_ways(judging.items)
    ablated = ablate(
        measured.study,
        judging,
        [measured.found.circuit],
        means_over=measured.parts.selection,
        otherwise=ways,
    ).answered()
    rows = []
    for number, method in enumerate(ways, start=1):
        each = {cell: float(ablated.mean(cell)[number]) for cell in CELLS}
        others = ", ".join(f"{cell} {each[cell]:.2f}" for cell in measured.process.others)
        rows.append(
            Evidence(
                f"{target} lost, {method.name} ablation",
                Effect(UNIT, each[target], method=others),
                n=len(ablated.relations),
                key=f"otherwise.{method.name}",
            )
        )
    return rows


def components_of(circuit: Circuit, process: Process) -> tuple[Component, ...]:
    """The circuit's components, as those of the cell that needs the process."""
    return tuple(
        Component(circuit.kind, layer, index, float("nan"), None, process.target)
        for layer, index in circuit.members
    )


def _samples(measured: Measured) -> dict[str, float]:
    """By relation, its part in the share that is lost; none where that hangs on one relation."""
    both = measured.ablated.costs[measured.process.target][:, :2]
    values = stats.pseudo_values(both, lambda rows: rows[:, 0] / rows[:, 1])
    return by_sample(measured.ablated.relations, values) if np.isfinite(values).all() else {}
