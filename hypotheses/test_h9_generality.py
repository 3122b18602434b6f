"""The same components serve a process in every relation.

Source      Assumed where circuits of one task are named after a capability. No published criterion.
Materials   cells, one question a prompt, where source (weights, text) and steps differ one at a
            time, in relations of several families (countries, animals, jobs, things).
Measure     Of every component, what its loss costs the process's cell minus what it costs lookup:
            signed, so that what only reads the story for lookup takes part in the order. Those
            that serve the process most in one relation must serve it in others.
Controls    Every exchange of the two cells within relations; agreement with what serves the other
            process in other relations; the same rule on questions of one process.
Selection   None: the effect of every component, on discovery entities of half of the relations.
            The relation is the unit.
"""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.generality import generality_finding
from harness.findings.processes.generality_rule import GeneralityRule
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL

ALPHA = 0.05
LEAST = 0.20  # rank correlation of all components between two relations, at least
TOP = 0.05  # share of the components: those that serve the process most in a relation
CARRIED = 0.10  # in another one, share of what its own strongest add up to there, at least
DOSES, TARGET, MARGIN, REFERENCES = (0.01, 0.02, 0.05, 0.125, 0.25), 0.50, 0.10, 10  # as in h5
DRAWS = 100  # same-process contrasts, of which the rule should support few
GATE = 0.60  # accuracy in each cell
KINDS = ("head", "neuron")

search = CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES)
rule = GeneralityRule(
    search=search, least=LEAST, top=TOP, carried=CARRIED, alpha=ALPHA, draws=DRAWS
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="retrieval", primary=True)
def test_relations_agree_on_what_serves_retrieval(study, verdict, kind):
    """Relations order components alike by what their loss costs recall beyond lookup."""
    verdict(generality_finding(study, kind, RETRIEVAL, rule, gate=GATE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing", primary=True)
def test_relations_agree_on_what_serves_composing(study, verdict, kind):
    """Relations order components alike by what their loss costs reasoning beyond lookup."""
    verdict(generality_finding(study, kind, COMPOSING, rule, gate=GATE))
