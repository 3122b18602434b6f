"""Layers specialise in recalling a fact or in reasoning over premises.

Source      Fartale et al. 2025, arXiv:2510.03366, on layers; its public notebooks for the rule.
Materials   Published: the paper's 30 + 30 prompts, one template a task. Controlled: cells, where
            source (weights, text) and steps differ one at a time within the same stories, in 16
            relations; crossed where the model follows a label.
Controls    Same-process contrasts: pairs of relations, and places of answers, under the same rule.
            The same sign in a second set (known names alone; steps from the weights). Untrained
            twins.
Selection   Layers selected on discovery entities, judged on others. The relation is the unit.
"""

import pytest

from harness.findings.processes.different import different_finding
from harness.findings.processes.finding import process_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.rule import ProcessRule
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import PublishedRule

THRESHOLD_D = 0.5
ALPHA = 0.01
VOTES = 2  # of six features
NEEDED = (5, 28)  # layers, of the published model's; scaled to the model under study
SHARED = 0.5  # of the smaller set, at most, that may serve both processes
GATE = 0.60  # accuracy in each cell


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


@pytest.mark.criterion("controlled", prompts="cells", part="retrieval")
def test_some_layers_serve_retrieval(study, verdict):
    """Some layers differ between recall from weights and lookup in the text, over relations."""
    verdict(process_finding(study, "layer", RETRIEVAL, rule_of(study), needed=NEEDED, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", part="composing")
def test_some_layers_serve_composing(study, verdict):
    """Some layers differ between two steps in the text and one, over relations."""
    verdict(process_finding(study, "layer", COMPOSING, rule_of(study), needed=NEEDED, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", part="different", primary=True)
def test_retrieval_and_composing_use_different_layers(study, verdict):
    """The layers that serve retrieval and those that serve composing are not the same."""
    verdict(
        different_finding(study, "layer", rule_of(study), needed=NEEDED, shared=SHARED, gate=GATE)
    )


def rule_of(study):
    """When a layer serves a process."""
    return ProcessRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
