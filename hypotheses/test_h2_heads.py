"""Attention heads specialise in recalling a fact or in reasoning over premises.

Source      Fartale et al. 2025, arXiv:2510.03366, on heads; its public notebooks for the rule.
Materials   Published: the paper's 30 + 30 prompts, one template a task. Controlled: cells, where
            source (weights, text) and steps differ one at a time within the same stories, in 16
            relations; crossed where the model follows a label.
Controls    Same-process contrasts: pairs of relations, and places of answers, under the same rule.
            The same sign in a second set (known names alone; steps from the weights). Untrained
            twins.
Selection   Heads selected on discovery entities, judged on others. The relation is the unit.
"""

import pytest

from harness.findings.processes.different import different_finding
from harness.findings.processes.finding import process_finding
from harness.findings.processes.kinds import COMPOSING, RETRIEVAL
from harness.findings.processes.rule import ProcessRule
from harness.findings.specialisation.published import published_finding
from harness.findings.specialisation.rules import PublishedRule

THRESHOLD_D = 1.0
ALPHA = 0.01  # the paper's; its public code has 1e-4
VOTES = 3  # of five metrics
NEEDED = (20, 784)  # heads, of the published model's; scaled to the model under study
SHARED = 0.5  # of the smaller set, at most, that may serve both processes
GATE = 0.60  # accuracy in each cell


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


@pytest.mark.criterion("controlled", prompts="cells", part="retrieval")
def test_some_heads_serve_retrieval(study, verdict):
    """Some heads differ between recall from weights and lookup in the text, over relations."""
    verdict(process_finding(study, "head", RETRIEVAL, rule_of(study), needed=NEEDED, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", part="composing")
def test_some_heads_serve_composing(study, verdict):
    """Some heads differ between two steps in the text and one, over relations."""
    verdict(process_finding(study, "head", COMPOSING, rule_of(study), needed=NEEDED, gate=GATE))


@pytest.mark.criterion("controlled", prompts="cells", part="different", primary=True)
def test_retrieval_and_composing_use_different_heads(study, verdict):
    """The heads that serve retrieval and those that serve composing are not the same."""
    verdict(
        different_finding(study, "head", rule_of(study), needed=NEEDED, shared=SHARED, gate=GATE)
    )


def rule_of(study):
    """When a head serves a process."""
    return ProcessRule(
        threshold_d=THRESHOLD_D,
        alpha=ALPHA,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
