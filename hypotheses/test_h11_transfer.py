"""A circuit carries its process into a prompt that asks for something else.

Source      arXiv:2606.08292: a component that is necessary need not carry the role; patching shows
            which does. Its own procedure could not be read: no published criterion.
Materials   cells. The circuit is found on prompts with one question each; it is patched between
            crossed prompts, which have the same words and ask for one of two questions by a label.
Controls    Random sets of the circuit's size, matched by layer, and circuits that the same search
            finds between questions of one process. The answer of the other question must rise above
            other wrong ones, so that an edit that ruins the model does not pass. Patched the other
            way round, from lookup, the circuit must move less: what reads the label moves either.
            From a prompt whose own question is about another name it must lift that answer: what
            only says which process is asked for does not.
Selection   Circuits found by ablation on half of the relations (h5), patched in other entities of
            the others. The relation is the unit.
"""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.transfer import transfer_finding

DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind, as in h5
TARGET = 0.50  # of what patching all components of the kind moves, at least
MARGIN = 0.10  # what costs another cell more of its logit difference is selected last
ALPHA, REFERENCES = 0.05, 10  # rank among random sets and circuits of one process, as in h5
GATE = 0.60  # accuracy in each cell
KINDS = ("head", "neuron")

rule = CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="retrieval", primary=True)
def test_patching_the_retrieval_circuit_lifts_its_answer(study, verdict, kind):
    """From a prompt that asks for recall into one that asks for lookup: the recalled rises."""
    verdict(transfer_finding(study, kind, RETRIEVAL, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing", primary=True)
def test_patching_the_composing_circuit_lifts_its_answer(study, verdict, kind):
    """From a prompt that asks for reasoning into one that asks for lookup: the composed rises."""
    verdict(transfer_finding(study, kind, COMPOSING, rule, gate=GATE))
