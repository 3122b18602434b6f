"""Five heads carry most of a capability.

Source      arXiv:2603.03335: five heads, up to 60 to 65 % of a capability. Its own procedure could
            not be read: no published criterion.
Materials   cells, one question a prompt, where source (weights, text) and steps differ one at a
            time.
Controls    As in h5: five random heads of the same layers, and five heads that the same search
            finds between questions of one process; lookup and the other process are spared.
Selection   The five heads by what their loss costs, on discovery entities of half of the
            relations; judged on other entities of the others. The relation is the unit.
"""

import pytest

from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.few import few_heads_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL

HEADS = 5
TARGET = 0.60  # of what ablating all heads costs the process's own cell, at least
MARGIN = 0.10  # share of its logit difference that another cell may lose, at most
ALPHA, REFERENCES = 0.05, 10  # rank among random sets and circuits of one process, as in h5
GATE = 0.60  # accuracy in each cell

rule = CircuitRule(doses=(), target=TARGET, margin=MARGIN, alpha=ALPHA, draws=REFERENCES)


@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="retrieval", primary=True)
def test_five_heads_carry_retrieval(study, verdict):
    """Without five heads recall loses most of what it loses without any head; others are spared."""
    verdict(few_heads_finding(study, RETRIEVAL, rule, count=HEADS, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="composing", primary=True)
def test_five_heads_carry_composing(study, verdict):
    """Without five heads reasoning loses most of what it loses without any; others are spared."""
    verdict(few_heads_finding(study, COMPOSING, rule, count=HEADS, gate=GATE))
