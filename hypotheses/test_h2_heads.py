"""Attention heads specialise in recalling a fact or in reasoning over premises.

Source      Fartale et al. 2025, arXiv:2510.03366, on heads; its public notebooks for the rule.
Materials   Published: the paper's 30 + 30 prompts, one template a task. Controlled: crossed.
Controls    Untrained twins; shuffled labels; lookup against reasoning and recall against lookup.
Selection   Heads selected on discovery facts, tested on evaluation facts, in every template.
"""

import pytest

from harness.findings.specialisation.held_out import controlled_finding
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import ControlledRule, PublishedRule

THRESHOLD_D = 1.0
ALPHA = 0.01  # the paper's; its public code has 1e-4
VOTES = 3  # of five metrics
NEEDED = (20, 784)  # heads, of the published model's; scaled to the model under study
GATE = 0.60  # accuracy on each task


@pytest.mark.criterion("published")
def test_heads_differ_as_published(study, verdict):
    """At least 20 of 784 heads differ on three metrics or more (|d| > 1, BH within a metric)."""
    rule = PublishedRule(
        threshold_d=THRESHOLD_D, alpha=ALPHA, votes=VOTES, correction="benjamini-hochberg"
    )
    verdict(
        published_finding(
            study,
            "head",
            rule,
            needed=NEEDED,
            mixed=True,
            published="583 of 784 (239 recall, 219 reasoning, 125 mixed), mean |d| 6.83",
            variants={
                "alpha 1e-4 as in the public code": PublishedRule(
                    threshold_d=THRESHOLD_D,
                    alpha=1e-4,
                    votes=VOTES,
                    correction="benjamini-hochberg",
                )
            },
        )
    )


@pytest.mark.criterion("controlled")
def test_heads_differ_on_held_out_facts(study, verdict):
    """Heads selected on half of the facts keep |d| > 1 on the other half, in every template."""
    rule = ControlledRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
    verdict(controlled_finding(study, "head", rule, needed=NEEDED, gate=GATE))
