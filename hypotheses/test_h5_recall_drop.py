"""Ablating the recall circuit lowers recall and spares reasoning, and the reverse.

Source      Fartale et al. 2025, arXiv:2510.03366: up to 15 % lower recall, reasoning intact.
Materials   Published: the paper's 30 + 30 prompts. Controlled: cells, one question a prompt, where
            source (weights, text) and steps differ one at a time.
Controls    Random sets of the circuit's size, matched by layer, and circuits that the same search
            finds between questions of one process: all must be less selective. Other ways to
            ablate are shown. Only answers that the intact model gives can be lost.
Selection   Components and their number selected by what their loss costs, on discovery entities of
            half of the relations; judged on other entities of the others. The relation is the unit.
"""

import pytest

from harness.findings.circuits.published import published_drop_finding
from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.circuit_finding import process_circuit_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.specialisation.rules import PublishedRule

ALPHA = 0.05
DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind
TARGET = 0.50  # of what ablating all of the kind costs the process's own cell, at least
MARGIN = 0.10  # share of its logit difference that another cell may lose, at most
REFERENCES = 10  # random sets, and circuits found between questions of one process
GATE = 0.60  # accuracy in each cell
UNCHANGED = 0.05  # accuracy drop that counts as none under the published criterion
THRESHOLD_D, VOTES = 1.0, {"head": 3, "neuron": 1}  # of the published selection
ALPHA_PUBLISHED = {"head": 0.01, "neuron": 1e-4}
CORRECTION = {"head": "benjamini-hochberg", "neuron": "bonferroni"}
KINDS = ("head", "neuron")

rule = CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="retrieval", primary=True)
def test_a_circuit_of_retrieval_serves_other_relations(study, verdict, kind):
    """Without a circuit found on other relations recall falls; lookup and reasoning are spared."""
    verdict(process_circuit_finding(study, kind, RETRIEVAL, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing", primary=True)
def test_a_circuit_of_composing_serves_other_relations(study, verdict, kind):
    """Without a circuit found on other relations reasoning falls; lookup and recall are spared."""
    verdict(process_circuit_finding(study, kind, COMPOSING, rule, gate=GATE))


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
