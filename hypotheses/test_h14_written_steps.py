"""The circuit that composes two steps in silence acts while the model writes its steps.

Source      Named as a limit by Hong et al. 2025 (LiReF, arXiv:2503.23084): long reasoning was not
            studied; nor by Fartale et al. 2025 (arXiv:2510.03366). No published criterion.
Materials   cells. The circuit is found on short answers. It is judged on the same questions with
            demonstrations that write the steps in the story's own sentences before the answer.
Controls    Lookup after one written step must be spared. Random sets of the circuit's size, matched
            by layer, and circuits that the same search finds between questions of one process; for
            the direction, random directions and those between questions. A text that ends in no
            answer is no lost answer: where many do, the verdict is inconclusive.
Selection   The circuit by ablation on discovery entities of half of the relations (h5); the
            direction on their crossed prompts (h7); texts about other entities of the others. The
            relation is the unit.
"""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.writing import WritingRule
from harness.findings.processes.writing_finding import writing_finding
from harness.findings.processes.writing_taken import circuit_of, direction

DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind, as in h5
TARGET = 0.50  # of what guessing loses, at least
MARGIN = 0.10  # of what guessing loses, at most, in lookup; in the search as in h5
ALPHA, REFERENCES = 0.05, 10  # rank among random sets and circuits of one process, as in h5
GATE = 0.60  # accuracy in each cell, and after written steps
TOKENS = 64  # written at most: four steps and an answer are about fifty
READABLE = 0.80  # of the texts must end in an answer; without the circuit, of that share
KINDS = ("head", "neuron")

circuit = CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES)
rule = WritingRule(circuit=circuit, gate=GATE, tokens=TOKENS, readable=READABLE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, primary=True)
def test_the_composing_circuit_acts_while_steps_are_written(study, verdict, kind):
    """Without it right answers after written steps become other ones; those of lookup do not."""
    verdict(writing_finding(study, circuit_of(kind), rule))


@pytest.mark.criterion("controlled", prompts="cells", plain=True)
def test_the_composing_direction_acts_while_steps_are_written(study, verdict):
    """Without the direction of composing the same is lost, and lookup is spared."""
    verdict(writing_finding(study, direction, rule))
