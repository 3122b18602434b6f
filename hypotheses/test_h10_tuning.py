"""A circuit's parameters alone can be tuned so that one ability goes and the others stay.

Source      A question that this project began with; no published criterion.
Materials   cells: one question a prompt.
Controls    Random sets of the circuit's size, matched by layer, and circuits that the same search
            finds between questions of one process: tuned on the same items, by steps that begin as
            long, and no more of them. What tuning all parameters does is shown.
Selection   Circuits found by ablation on half of the relations (h5), tuned there on the items that
            the model answers right, judged on other entities of the others. The relation is the
            unit. The loss names the ability that is to go, and none that is to stay.
"""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.tuning import TuningRule
from harness.findings.processes.tuning_finding import tuning_finding
from harness.interventions.steps import Steps

DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind, as in h5
TARGET = 0.50  # of what ablating all components of the kind costs: heads are ranked again below
STEPS = 20  # at most
SIZE = 1 / STEPS  # of the norm of the circuit's parameters: all steps together reach zero at most
POOR, GOOD = 0.25, 0.75  # gain as a share of the gradient's promise: shorten, lengthen the step
LEFT = 0.10  # of the logit difference of the items tuned on: then the tuning ends
LOST = 0.50  # share of its own logit difference that the target loses, at least
MARGIN = 0.10  # share of its own logit difference that another cell loses, at most
ALPHA, REFERENCES = 0.05, 10  # rank among random sets and circuits of one process, as in h5
GATE = 0.60  # accuracy in each cell
KINDS = ("head", "neuron")

rule = TuningRule(
    circuit=CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES),
    lost=LOST,
    steps=Steps(size=SIZE, most=STEPS, poor=POOR, good=GOOD, left=LEFT),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="retrieval", primary=True)
def test_tuning_the_retrieval_circuit_unlearns_recall_alone(study, verdict, kind):
    """Recall goes, lookup and reasoning stay."""
    verdict(tuning_finding(study, kind, RETRIEVAL, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing", primary=True)
def test_tuning_the_composing_circuit_unlearns_reasoning_alone(study, verdict, kind):
    """Reasoning goes, lookup and recall stay."""
    verdict(tuning_finding(study, kind, COMPOSING, rule, gate=GATE))
