"""MLP neurons are specific to recalling a fact or to reasoning over premises.

Source      Fartale et al. 2025, arXiv:2510.03366, on neurons; its public notebooks for the rule.
Materials   Published: the paper's 30 + 30 prompts, one template a task. Controlled: crossed.
Measure     Published: the gate before its activation. Controlled: what the neuron writes.
Controls    Untrained twins; shuffled labels; lookup against reasoning and recall against lookup.
Selection   Neurons selected on discovery facts, tested on evaluation facts, in every template.
"""

import pytest

from harness.findings.specialisation.held_out import controlled_finding
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import ControlledRule, PublishedRule

THRESHOLD_D = 1.0
ALPHA_PUBLISHED = 1e-4  # Bonferroni over all neurons
ALPHA = 0.01
NEEDED = (100, 530_432)  # neurons, of the published model's; scaled to the model under study
GATE = 0.60  # accuracy on each task


@pytest.mark.criterion("published")
def test_neurons_differ_as_published(study, verdict):
    """At least 100 of 530,432 neurons differ (|d| > 1, Bonferroni at 1e-4)."""
    rule = PublishedRule(
        threshold_d=THRESHOLD_D, alpha=ALPHA_PUBLISHED, votes=1, correction="bonferroni"
    )
    verdict(
        published_finding(
            study,
            "neuron",
            rule,
            needed=NEEDED,
            mixed=False,
            published="163,058 of 530,432 (79,221 recall, 83,837 reasoning)",
            variants={},
        )
    )


@pytest.mark.criterion("controlled")
def test_neurons_differ_on_held_out_facts(study, verdict):
    """Neurons selected on half of the facts keep |d| > 1 on the other half, in every template."""
    rule = ControlledRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
    verdict(controlled_finding(study, "neuron", rule, needed=NEEDED, gate=GATE))
