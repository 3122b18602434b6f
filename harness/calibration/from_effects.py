"""The rules of h5, h6 and h8 where nothing is, on effects of components that are measured once.

The claims' own functions search, choose and judge on questions that are labelled otherwise:

- *Shuffled labels*: in every block (the questions of a story) the three cells change places.
- *Same-process contrasts*: three relations of one cell stand for the three cells.

What a set costs is a sum (`effects`); for the circuits of the model's own labels it is said how far
that is from measured sets. Judged are the requirements on what a circuit's loss costs (h5), on both
main effects (h8), and all of those of h6. That a circuit be more selective than others (h5, h8) is
not: it can only take support away. Nor is the interaction of h8: sums have none.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from harness.calibration.claims import claim_module
from harness.calibration.effects import KINDS, Effects, Labelled
from harness.calibration.relabelled import Relabel, shuffled_cells, three_relations
from harness.calibration.tally import Null, said, tallied, together
from harness.findings.circuits.circuits import CircuitKind
from harness.findings.processes.circuit import ablate
from harness.findings.processes.circuit_finding import (
    Measured,
    cell_spared,
    target_falls,
    target_lost,
)
from harness.findings.processes.depth import (
    deeper,
    depth_gates,
    further_apart,
    parts_by_layer,
    profiles_of,
    same_process_distances,
)
from harness.findings.processes.interaction import main_effect_on_own
from harness.findings.processes.kinds import CELLS, PROCESSES, Process
from harness.findings.processes.two_circuits import OWN, TwoCircuits
from harness.study.study import Study
from harness.verdicts.evidence import Evidence, State
from harness.verdicts.judge import Inconclusive

BOTH = "both"
PLACES = (  # claim, kind of component, process
    *(("h5", kind, process) for kind in KINDS for process in PROCESSES),
    ("h6", BOTH, BOTH),
    *(("h8", kind, BOTH) for kind in KINDS),
)


def effect_entries(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """One a claim, kind of component and process: what `Null` says, or the gate that is unmet.

    Args:
        study: The model on its materials.
        draws: Shuffles of the labels, and as many same-process contrasts.
    """
    keys = ("claim", "kind", "process")
    try:
        effects = Effects.of(study)
    except Inconclusive as reason:
        yield from ({**dict(zip(keys, place, strict=True)), **said(reason)} for place in PLACES)
        return
    judges = {place: partial(_judged, *place) for place in PLACES}
    shuffled = tallied(_drawn(effects, shuffled_cells, draws), judges)
    same = tallied(_drawn(effects, three_relations, draws), judges)
    model = effects.labelled(effects.parts.selection, effects.parts.judging)
    for place, judge in judges.items():
        null = Null(judge(model), shuffled[place], same[place])
        sums = {"sums": _sums(model, *place[1:])} if place[0] == "h5" else {}
        yield {**dict(zip(keys, place, strict=True)), **said(null), **sums}


def _drawn(effects: Effects, relabel: Relabel, draws: int) -> Iterator[Labelled]:
    generator = np.random.default_rng(effects.study.plan.seed)
    for _ in range(draws):
        parts = effects.parts
        yield effects.labelled(*(relabel(p, generator) for p in (parts.selection, parts.judging)))


def _judged(claim: str, kind: Any, process: str, labelled: Labelled) -> State:
    """What the claim says; undecided where too few relations are answered."""
    judge: Callable[[], State] = {
        "h5": lambda: costs_its_cell(labelled, kind, PROCESSES[process]),
        "h6": lambda: lie_apart(labelled),
        "h8": lambda: serve_their_own(labelled, kind),
    }[claim]
    try:
        return judge()
    except Inconclusive:
        return State.UNDECIDED


def costs_its_cell(labelled: Labelled, kind: CircuitKind, process: Process) -> State:
    """h5: without the circuit its cell falls, by half of what all parts cost; others are spared."""
    found = labelled.circuit(kind, process.target)
    ablated = labelled.ablated([found.circuit, found.ranking])
    rule, search = claim_module("h5").rule, labelled.searching[kind]
    study, parts = labelled.effects.study, labelled.parts
    circuit = Measured(study, process, kind, rule, (), parts, search, found, ablated)

    def required() -> Iterator[Evidence]:
        yield target_falls(circuit)
        yield from (cell_spared("", cell, ablated, rule, study) for cell in process.others)
        yield target_lost(circuit)

    return together(required())


def serve_their_own(labelled: Labelled, kind: CircuitKind) -> State:
    """h8: each circuit's main effect is larger on its own cell than on the others."""
    one, two = (labelled.circuit(kind, cell).circuit for cell in OWN)
    judged = labelled.ablated([one, two, one.union(two)])
    costs = np.stack([judged.costs[cell] for cell in CELLS], axis=1)
    rule, search = claim_module("h8").rule, labelled.searching[kind]
    study, parts, relations = labelled.effects.study, labelled.parts, judged.relations
    pair, heights = (one, two), judged.heights
    both = TwoCircuits(study, kind, rule, (), parts, search, pair, relations, costs, heights)
    return together(main_effect_on_own(both, at) for at in range(len(OWN)))


def lie_apart(labelled: Labelled) -> State:
    """h6: retrieval acts at less depth than composing."""
    claim, study = claim_module("h6"), labelled.effects.study
    layers = study.subject.architecture.layers
    found = tuple(
        tuple(labelled.circuit(kind, process.target) for kind in KINDS)
        for process in PROCESSES.values()
    )
    ablated = labelled.ablated(parts_by_layer(found, layers))
    searches = tuple(labelled.searching[kind].under(claim.search) for kind in KINDS)
    profiles = profiles_of(study, searches, found, ablated)
    if not all(gate.met for gate in depth_gates(profiles, claim.BEYOND)):
        return State.UNDECIDED
    bar = claim.LEAST_DEPTH * layers

    def required() -> Iterator[Evidence]:
        yield deeper(profiles, bar)
        yield further_apart(profiles, np.array(list(same_process_distances(profiles))), bar)

    return together(required())


def _sums(model: Labelled, kind: Any, process: str) -> dict[str, float]:
    """What the circuit of a process costs its cell, as a sum and as the claim measures it."""
    effects, cell = model.effects, PROCESSES[process].target
    parts = effects.parts
    found = effects.searching[kind].search.circuit_of(cell)
    measured = ablate(effects.study, parts.judging, [found.circuit], means_over=parts.selection)
    added = model.ablated([found.circuit])
    return {"sum": float(added.mean(cell)[0]), "measured": float(measured.mean(cell)[0])}
