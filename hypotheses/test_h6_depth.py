"""Recall sits in earlier layers than reasoning.

Source      A popular account of Fartale et al. 2025, arXiv:2510.03366; contested: its own public
            outputs say the reverse, and so does arXiv:2601.03542.
Materials   Published: the paper's 30 + 30 prompts. Controlled: cells, one question a prompt, where
            source (weights, text) and steps differ one at a time in 16 relations.
Controls    Untrained twins (published); circuits that the same search finds between halves of the
            relations of one cell.
Selection   Circuits as in h5, on discovery entities of half of the relations; their depth is
            judged on other entities of the others. The relation is the unit.
"""

import pytest

from harness.findings.circuits.published import published_depth_finding
from harness.findings.processes.circuit import CircuitRule
from harness.findings.processes.depth import process_depth_finding
from harness.findings.specialisation.rules import PublishedRule

THRESHOLD_D = 0.5  # of the published layers, as in h1
ALPHA = 0.01
VOTES = 2  # of six features
GATE = 0.60  # accuracy in each cell
BEYOND = 0.50  # of what a circuit costs its own cell, the share that lookup must not lose
LEAST_DEPTH = 0.05  # of the model's layers: a smaller difference is of no interest
DOSES = (0.01, 0.02, 0.05, 0.125, 0.25)  # shares of the components of a kind, as in h5
TARGET, MARGIN = 0.50, 0.10  # of the search, as in h5
HALVES = 20  # of the relations of each cell, whose circuits differ in depth too
LEVEL = 0.05  # of the rank among these

search = CircuitRule(doses=DOSES, target=TARGET, margin=MARGIN, alpha=LEVEL, draws=HALVES)


@pytest.mark.criterion("published")
def test_recall_layers_lie_before_reasoning_layers(study, verdict):
    """The layers specialised in recall have a lower mean than those specialised in reasoning."""
    rule = PublishedRule(
        threshold_d=THRESHOLD_D, alpha=ALPHA, votes=VOTES, correction="benjamini-hochberg"
    )
    verdict(
        published_depth_finding(
            study, rule, published="15 recall layers, mean 11.4; 3 reasoning layers, mean 7.0"
        )
    )


@pytest.mark.criterion("controlled", prompts="cells", plain=True, part="processes", primary=True)
def test_retrieval_is_caused_at_less_depth_than_composing(study, verdict):
    """The circuit of retrieval acts in earlier layers than the circuit of composing."""
    verdict(process_depth_finding(study, search, least=LEAST_DEPTH, beyond=BEYOND, gate=GATE))
