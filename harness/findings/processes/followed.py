"""The gate of claims that follow a circuit elsewhere: in other relations its process needs it."""

from collections.abc import Sequence

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.circuit import CircuitRule, Parts, ablate
from harness.findings.processes.circuit_search import Found
from harness.findings.processes.kinds import Process
from harness.study.study import Study
from harness.verdicts.evidence import Gate


def needed_elsewhere(
    study: Study,
    kind: CircuitKind,
    process: Process,
    parts: Parts,
    found: Found,
    rule: CircuitRule,
    *,
    spared: Sequence[str] = (),
) -> Gate:
    """Whether short answers in the judged relations need what was found, by the bars of h5.

    Where they do not, there is nothing to follow: "refuted" would say that something does without
    a circuit that is none.

    Args:
        study: The model, on prompts with one question each.
        kind: Of component.
        process: That the circuit was found for.
        parts: Its prompts.
        found: The circuit.
        rule: Its target, of what all components of the kind cost; its margin, of what a cell has.
        spared: Cells that must not need it.

    Raises:
        Inconclusive: If too few relations have an answer that can be lost in each cell.
    """
    ablated = ablate(
        study, parts.judging, [found.circuit, found.ranking], means_over=parts.selection
    ).answered()
    target = process.target
    own, every = ablated.mean(target)
    beside = {cell: float(ablated.mean(cell)[0]) for cell in spared}
    others = "".join(
        f", those to {c} {x:.2f} (at most {rule.margin:.2f})" for c, x in beside.items()
    )
    met = (
        own >= rule.target * every
        and own > rule.margin
        and all(lost <= rule.margin for lost in beside.values())
    )
    found_there = (
        f"without the {found.size:,} {kind}s found, short answers to {target} lose {own:.2f} of "
        f"their logit difference (needed {rule.target:.2f} of the {every:.2f} that all {kind}s "
        f"cost, and above {rule.margin:.2f}){others}"
    )
    unmet = f"no circuit of {process.name} to follow: {found_there}"
    return Gate("circuit", met, found_there if met else unmet)
