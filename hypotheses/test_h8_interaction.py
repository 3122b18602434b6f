"""The recall circuit and the reasoning circuit are separable, but interact.

Source      Implied by the two dissociations of Fartale et al. 2025, arXiv:2510.03366; not tested
            there: no published criterion.
Materials   One question a prompt, recall and reasoning over the same premises.
Controls    A 2 x 2 design: neither circuit ablated, either, both, on the same facts; random pairs
            of sets with as many components in every layer.
Selection   Circuits selected on discovery facts as in h5, judged on evaluation facts.
"""

import pytest

from harness.findings.circuits.interaction import interaction_finding
from harness.findings.circuits.rules import InteractionRule, RandomSets, Selection
from harness.findings.circuits.separable import separable_finding

ALPHA = 0.05
# Shares of the components of a kind; the published circuits hold 30 % of heads and of neurons.
DOSES = {"head": (1 / 8, 1 / 4, 1 / 2), "neuron": (1 / 8, 1 / 4, 1 / 2)}
DISCOVERY = 60  # pairs on which circuits are selected, at most
MARGIN = 0.10  # what costs the other task more of its logit difference is selected last
SMALLEST = 0.05  # of the intact logit difference: a smaller effect or interaction is none
SETS, SET_ITEMS = 20, 20  # random pairs of sets, and the facts that they are run on
COMPONENTS = 8  # strongest heads and MLPs of the pair map
GATE = 0.60  # accuracy on each task
KINDS = ("head", "neuron")

rule = InteractionRule(
    selection=Selection(doses=DOSES, pairs=DISCOVERY, margin=MARGIN),
    alpha=ALPHA,
    random_pairs=RandomSets(count=SETS, pairs=SET_ITEMS),
    smallest=SMALLEST,
    components=COMPONENTS,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", plain=True, primary=True)
def test_each_set_moves_its_own_task_more(study, verdict, kind):
    """Each set's main effect is larger on its own task than on the other."""
    verdict(separable_finding(study, kind, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", plain=True)
def test_the_sets_interact(study, verdict, kind):
    """Both sets together cost a task another amount than the sum of each alone."""
    verdict(interaction_finding(study, kind, rule, gate=GATE))
