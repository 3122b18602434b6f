"""Recall sits in earlier layers than reasoning.

Source      A popular account of Fartale et al. 2025, arXiv:2510.03366; contested: its own public
            outputs say the reverse, and so does arXiv:2601.03542.
Materials   Published: the paper's 30 + 30 prompts. Controlled: cells, one question a prompt, where
            source (weights, text) and steps differ one at a time in 16 relations. Beside it, recall
            and reasoning over the same premises, which differ in both.
Controls    Untrained twins (published); random halves of the relations of one cell, or of the facts
            of one task, against each other.
Selection   None: every layer is ablated, on evaluation entities. The relation is the unit.
"""

import pytest

from harness.findings.circuits.depth import depth_finding
from harness.findings.circuits.published import published_depth_finding
from harness.findings.processes.depth import process_depth_finding
from harness.findings.specialisation.rules import ControlledRule, PublishedRule

THRESHOLD_D = 0.5  # of the observational order, as in h1
ALPHA = 0.01
VOTES = 2  # of six features
DISCOVERY = 60  # pairs whose mean activations an ablation writes
GATE = 0.60  # accuracy on each task
LEAST_DEPTH = 0.05  # of the model's layers: a smaller difference is of no interest


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


@pytest.mark.criterion("controlled", prompts="cells", part="processes", primary=True)
def test_retrieval_is_caused_at_less_depth_than_composing(study, verdict):
    """What recall loses beyond lookup lies in earlier layers than what reasoning does."""
    verdict(process_depth_finding(study, least=LEAST_DEPTH, gate=GATE))


@pytest.mark.criterion("controlled", plain=True)
def test_recall_is_caused_at_less_depth_than_reasoning(study, verdict):
    """The centroid of what each layer's loss costs recall lies before that of reasoning."""
    specialised = ControlledRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
    verdict(depth_finding(study, specialised, pairs=DISCOVERY, gate=GATE))
