"""In questions of several steps the bridge is found before the answer, step after step.

Source      arXiv:2406.12775 (Hopping too late): bridge entities are resolved in early layers, the
            second step in later ones; arXiv:2601.03542 disputes an order of layers. Both ask for
            facts in the weights, with their own probes: no published criterion.
Materials   cells: stories tell chains of invented names in shuffled order; a reasoning question
            takes two steps (A lives in B, B is in C: which country does A live in), a lookup one.
Controls    The same words in the prompt of the same story that does not need them; a name that is
            told beside the one asked about; prompts of the same words, where only a label says what
            is asked; one word in other halves of the relations; untrained twins.
Selection   The layer of the bridge, and of two readers the one that reads it best and the one
            that finds the answer first, on discovery entities; all is judged on other entities,
            in stories of which both questions are answered right. The relation is the unit.
"""

import pytest

from harness.findings.processes.bridge import bridge_finding
from harness.findings.processes.hops import HopRule
from harness.findings.processes.steps import steps_finding

NEEDED = 0.10  # of its comparisons, that a word wins more often where it is needed, at least
LEAST_DEPTH = 0.05  # of the model's layers: a smaller difference is of no interest, as in h6
HALVES = 20  # of the relations, for each word, whose depths differ too
GATE = 0.60  # accuracy in lookup and in reasoning

rule = HopRule(needed=NEEDED, least=LEAST_DEPTH, halves=HALVES, gate=GATE)


@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing", primary=True)
def test_the_bridge_is_readable_before_the_answer(study, verdict):
    """The last token shows the bridge where it is needed, in earlier layers than the answer."""
    verdict(bridge_finding(study, rule))


@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing")
def test_each_further_step_is_readable_later(study, verdict):
    """An answer of two steps becomes readable in later layers than one of one step, and so on."""
    verdict(steps_finding(study, rule))
