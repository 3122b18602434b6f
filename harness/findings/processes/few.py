"""The finding of h13: a handful of heads carries most of a capability."""

from dataclasses import replace

import numpy as np

from harness.findings.circuits.circuits import Circuit, shape
from harness.findings.processes.circuit import CircuitRule, Parts, ablate
from harness.findings.processes.circuit_finding import process_circuit_finding
from harness.findings.processes.kinds import Process
from harness.study.study import Study
from harness.verdicts.evidence import Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

FEW = 1 / 8  # of all heads: more are not few


def few_heads_finding(
    study: Study, process: Process, rule: CircuitRule, *, count: int, gate: float
) -> Finding:
    """Whether `count` heads cost most of what all heads cost the process, and nothing else.

    Args:
        study: The model, on prompts with one question each.
        process: Retrieval or composing.
        rule: When a circuit serves it; its doses are not used.
        count: How many heads.
        gate: Least accuracy in each of recall, lookup and reasoning.

    Raises:
        Inconclusive: If a gate is unmet, or so many heads are not few in this model.
    """
    layers, width = shape(study, "head")
    heads = layers * width
    few = Gate.of(
        "few heads",
        count <= FEW * heads,
        unmet=f"{count} of the {heads} heads of this model are not few: at most an eighth is",
    )
    gates = require(few)
    finding = process_circuit_finding(
        study, "head", process, replace(rule, doses=(count / heads,)), gate=gate
    )
    kept = {(c.layer, c.index) for c in finding.components if c.index is not None}
    alone = _alone(study, process, kept, layers, width)
    return replace(finding, gates=gates + finding.gates, evidence=(*finding.evidence, alone))


def _alone(
    study: Study, process: Process, kept: set[tuple[int, int]], layers: int, width: int
) -> Evidence:
    """Secondary: what is left of the process when all other heads are ablated at once."""
    places = [(layer, head) for layer in range(layers) for head in range(width)]
    rest = [place for place in places if place not in kept]
    parts = Parts.of(study)
    others = Circuit("head", *(_numbers(rest, axis) for axis in (0, 1)))
    ablated = ablate(study, parts.judging, [others], means_over=parts.selection).answered()
    cell = process.target
    return Evidence(
        f"{cell} left with these heads alone",
        Effect(
            "share of the logit difference",
            1.0 - float(ablated.mean(cell)[0]),
            method=f"all {len(rest):,} other heads ablated to their mean",
        ),
        n=len(ablated.relations),
        key="alone",
    )


def _numbers(places: list[tuple[int, int]], axis: int) -> np.ndarray:
    return np.array([place[axis] for place in places])
