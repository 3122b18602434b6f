"""MLP neurons are specific to recalling a fact or to reasoning over premises.

Source      Fartale et al. 2025, arXiv:2510.03366, on neurons; its public notebooks for the rule.
Materials   Published: the paper's 30 + 30 prompts, one template a task. Controlled: cells, where
            source (weights, text) and steps differ one at a time within the same stories, in 16
            relations; crossed where the model follows a label.
Measure     Published: the gate before its activation. Controlled: what the neuron writes.
Controls    Same-process contrasts: pairs of relations, and places of answers, under the same rule.
            The same sign in a second set (known names alone; steps from the weights). Untrained
            twins.
Selection   Neurons selected on discovery entities, judged on others. The relation is the unit.
"""

import pytest

from harness.findings.processes.different import different_finding
from harness.findings.processes.finding import process_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.rule import ProcessRule
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import PublishedRule

THRESHOLD_D = 1.0
ALPHA_PUBLISHED = 1e-4  # Bonferroni over all neurons
ALPHA = 0.01
NEEDED = (100, 530_432)  # neurons, of the published model's; scaled to the model under study
SHARED = 0.5  # of the smaller set, at most, that may serve both processes
GATE = 0.60  # accuracy in each cell


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


@pytest.mark.criterion("controlled", prompts="cells", part="retrieval")
def test_some_neurons_serve_retrieval(study, verdict):
    """Some neurons differ between recall from weights and lookup in the text, over relations."""
    verdict(process_finding(study, "neuron", RETRIEVAL, rule_of(study), needed=NEEDED, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", part="composing")
def test_some_neurons_serve_composing(study, verdict):
    """Some neurons differ between two steps in the text and one, over relations."""
    verdict(process_finding(study, "neuron", COMPOSING, rule_of(study), needed=NEEDED, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", part="different", primary=True)
def test_retrieval_and_composing_use_different_neurons(study, verdict):
    """The neurons that serve retrieval and those that serve composing are not the same."""
    verdict(
        different_finding(study, "neuron", rule_of(study), needed=NEEDED, shared=SHARED, gate=GATE)
    )


def rule_of(study):
    """When a neuron serves a process."""
    return ProcessRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
