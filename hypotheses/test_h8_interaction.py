"""The circuits of retrieval and of composing are separable, but interact.

Source      Implied by the two dissociations of Fartale et al. 2025, arXiv:2510.03366; not tested
            there: no published criterion.
Materials   cells, one question a prompt: source (weights, text) and steps differ one at a time.
Controls    A 2 x 2 design: neither circuit ablated, either, both, on the same questions; random
            pairs of sets with as many components in every layer; pairs of circuits that the same
            search finds between questions of one process.
Selection   Circuits found on half of the relations, judged on other entities of the others. The
            relation is the unit.
"""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.interaction import interaction_finding, separable_finding
from harness.findings.processes.two_circuits import PairRule

ALPHA = 0.05
DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind
TARGET = 0.50  # of what all heads cost: below, heads are ranked once more without the best one
MARGIN = 0.10  # what costs another cell more of its logit difference is selected last
SMALLEST = 0.05  # of the intact logit difference: a smaller effect or interaction is none
REFERENCES = 10  # random pairs, and pairs of circuits between questions of one process
GATE = 0.60  # accuracy in each cell
KINDS = ("head", "neuron")

rule = PairRule(
    search=CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES),
    smallest=SMALLEST,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="processes", primary=True)
def test_each_circuit_serves_its_own_process_more(study, verdict, kind):
    """Each circuit's main effect is larger on its own cell than on every other, with lookup."""
    verdict(separable_finding(study, kind, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="processes")
def test_the_circuits_interact(study, verdict, kind):
    """Both circuits together cost a process another amount than the sum of each alone."""
    verdict(interaction_finding(study, kind, rule, gate=GATE))
