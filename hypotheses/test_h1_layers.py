"""Layers specialise in recalling a fact or in reasoning over premises.

Source      Fartale et al. 2025, arXiv:2510.03366, on layers; its public notebooks for the rule.
Materials   Published: the paper's 30 + 30 prompts, one template a task. Controlled: crossed.
Controls    Untrained twins; shuffled labels; lookup against reasoning and recall against lookup.
Selection   Layers selected on discovery facts, tested on evaluation facts, in every template.
"""

import pytest

from harness.findings.specialisation.held_out import controlled_finding
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import ControlledRule, PublishedRule

THRESHOLD_D = 0.5
ALPHA = 0.01
VOTES = 2  # of six features
NEEDED = (5, 28)  # layers, of the published model's; scaled to the model under study
GATE = 0.60  # accuracy on each task


@pytest.mark.criterion("published")
def test_layers_differ_as_published(study, verdict):
    """At least 5 of 28 layers differ on two features or more (|d| > 0.5, BH within a feature)."""
    rule = PublishedRule(
        threshold_d=THRESHOLD_D, alpha=ALPHA, votes=VOTES, correction="benjamini-hochberg"
    )
    verdict(
        published_finding(
            study,
            "layer",
            rule,
            needed=NEEDED,
            mixed=False,
            published="18 of 28 (15 recall, 3 reasoning, 10 mixed)",
            variants={
                "|d| > 0.8 as in the public code": PublishedRule(
                    threshold_d=0.8, alpha=ALPHA, votes=VOTES, correction="benjamini-hochberg"
                )
            },
        )
    )


@pytest.mark.criterion("controlled")
def test_layers_differ_on_held_out_facts(study, verdict):
    """Layers selected on half of the facts keep |d| > 0.5 on the other half, in every template."""
    rule = ControlledRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
    verdict(controlled_finding(study, "layer", rule, needed=NEEDED, gate=GATE))
