"""Ablating the recall circuit lowers recall and spares reasoning, and the reverse.

Source      Fartale et al. 2025, arXiv:2510.03366: up to 15 % lower recall, reasoning intact.
Materials   Published: the paper's 30 + 30 prompts. Controlled: one question a prompt, recall and
            reasoning over the same premises; lookup is shown.
            Circuits of processes: cells, found on half of the relations, judged on the others.
Controls    Random sets of the circuit's size, matched by layer, which must be less selective; four
            ways to ablate; the other task's circuit. Only answers that the intact model gives can
            be lost.
Selection   Components and their number selected on discovery facts by what their loss costs, judged
            on evaluation facts.
"""

import pytest

from harness.findings.circuits.dissociation import double_finding
from harness.findings.circuits.published import published_drop_finding
from harness.findings.circuits.rules import DissociationRule, RandomSets, Selection
from harness.findings.circuits.specific import specific_finding
from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.circuit_finding import process_circuit_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.specialisation.rules import PublishedRule

ALPHA = 0.05
MARGIN = 0.10  # a task is spared if less of its right answers is lost; the published drop is 0.15
# Shares of the components of a kind; the published circuits hold 30 % of heads and of neurons.
DOSES = {"head": (1 / 8, 1 / 4, 1 / 2), "neuron": (1 / 8, 1 / 4, 1 / 2)}
DISCOVERY = 60  # pairs on which circuits are selected, at most
SETS = 100  # random sets, of which 95 % must be less selective than the circuit
SET_ITEMS = 20  # evaluation pairs that they are run on
BAND_SETS, BAND_ITEMS = 20, 10  # the same for sizes that are only shown
UNCHANGED = 0.05  # accuracy drop that counts as none under the published criterion
THRESHOLD_D, VOTES = 1.0, {"head": 3, "neuron": 1}  # of the published selection
ALPHA_PUBLISHED = {"head": 0.01, "neuron": 1e-4}
CORRECTION = {"head": "benjamini-hochberg", "neuron": "bonferroni"}
GATE = 0.60  # accuracy on each task
# Of circuits of processes, found on half of the relations and judged on the others:
PROCESS_DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind
TARGET = 0.50  # of what ablating all of the kind costs the process's own cell, at least
REFERENCES = 10  # random sets, and circuits found between questions of one process
KINDS = ("head", "neuron")

rule = DissociationRule(
    selection=Selection(doses=DOSES, pairs=DISCOVERY, margin=MARGIN),
    alpha=ALPHA,
    margin=MARGIN,
    random_sets=RandomSets(count=SETS, pairs=SET_ITEMS),
    other_sizes=RandomSets(count=BAND_SETS, pairs=BAND_ITEMS),
)

process_rule = CircuitRule(
    doses=PROCESS_DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", part="retrieval")
def test_a_circuit_of_retrieval_serves_other_relations(study, verdict, kind):
    """Without a circuit found on other relations recall falls; lookup and reasoning are spared."""
    verdict(process_circuit_finding(study, kind, RETRIEVAL, process_rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", part="composing")
def test_a_circuit_of_composing_serves_other_relations(study, verdict, kind):
    """Without a circuit found on other relations reasoning falls; lookup and recall are spared."""
    verdict(process_circuit_finding(study, kind, COMPOSING, process_rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("published")
def test_zeroing_specialised_components_costs_their_task_alone(study, verdict, kind):
    """Zeroing what is specialised in one task lowers that task and leaves the other unchanged."""
    specialised = PublishedRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA_PUBLISHED[kind],
        votes=VOTES[kind],
        correction=CORRECTION[kind],
    )
    verdict(published_drop_finding(study, kind, specialised, unchanged=UNCHANGED, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", plain=True)
def test_the_recall_circuit_carries_recall_alone(study, verdict, kind):
    """Without its circuit recall falls and reasoning is spared, beyond random sets."""
    target = study.prompts.tasks[0]
    verdict(specific_finding(study, kind, target, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", plain=True)
def test_the_reasoning_circuit_carries_reasoning_alone(study, verdict, kind):
    """Without its circuit reasoning falls and recall is spared, beyond random sets."""
    target = study.prompts.tasks[1]
    verdict(specific_finding(study, kind, target, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", plain=True, primary=True)
def test_the_dissociation_is_double(study, verdict, kind):
    """Each task loses more without its own circuit than without the other task's."""
    verdict(double_finding(study, kind, rule, gate=GATE))
