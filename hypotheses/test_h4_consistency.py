"""At least 80 % of the specialised components hold in five-fold cross-validation.

Source      Fartale et al. 2025, arXiv:2510.03366, on cross-validation; its public notebooks.
Materials   Published: the paper's 30 + 30 prompts. Controlled: cells, where source (weights, text)
            and steps differ one at a time in 16 relations; the same drawn again.
Controls    Untrained twins, run through the same.
Selection   Published: refitted on overlapping training folds, never tested. Controlled: found on
            four fifths of the relations, tested on the others; found with two draws of entities.
"""

import pytest

from harness.findings.processes.held_out import held_out_relations_finding
from harness.findings.processes.kinds import PROCESSES
from harness.findings.processes.redrawn import redrawn_entities_finding
from harness.findings.processes.rule import ProcessRule
from harness.findings.specialisation.consistency import published_consistency_finding
from harness.findings.specialisation.rules import PublishedRule

FOLDS = 5
CONSISTENT = 0.80
JACCARD = 0.80
NEEDED = {"layer": (5, 28), "head": (20, 784), "neuron": (100, 530_432)}  # as in h1 to h3
THRESHOLD_D = {"layer": 0.5, "head": 1.0, "neuron": 1.0}
VOTES = {"layer": 2, "head": 3, "neuron": 1}
ALPHA = {"layer": 0.01, "head": 0.01, "neuron": 1e-4}
ALPHA_CONTROLLED = 0.01
CORRECTION = {"layer": "benjamini-hochberg", "head": "benjamini-hochberg", "neuron": "bonferroni"}
PUBLISHED = {"layer": "28 of 28 layers", "head": "", "neuron": "50 of the 50 strongest"}
GATE = 0.60  # accuracy in each cell
KINDS = ("layer", "head", "neuron")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("published")
def test_types_hold_over_training_folds(study, verdict, kind):
    """At least 80 % of the specialised components keep their type in 80 % of the training folds."""
    rule = PublishedRule(
        threshold_d=THRESHOLD_D[kind],
        alpha=ALPHA[kind],
        votes=VOTES[kind],
        correction=CORRECTION[kind],
    )
    verdict(
        published_consistency_finding(
            study, kind, rule, folds=FOLDS, share=CONSISTENT, published=PUBLISHED[kind]
        )
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.criterion("controlled", prompts="cells", part="other relations")
def test_components_hold_in_relations_left_out(study, verdict, process, kind):
    """At least 80 % of the components that four fifths of the relations find hold in the rest."""
    verdict(
        held_out_relations_finding(
            study,
            kind,
            PROCESSES[process],
            rule_of(study, kind),
            folds=FOLDS,
            share=CONSISTENT,
            gate=GATE,
        )
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.criterion("controlled", prompts="cells", part="other entities")
def test_the_same_components_are_found_with_other_entities(study, verdict, process, kind):
    """Components surely found with two draws of the entities are the same (Jaccard above 0.8)."""
    verdict(
        redrawn_entities_finding(
            study,
            kind,
            PROCESSES[process],
            rule_of(study, kind),
            needed=NEEDED[kind],
            jaccard=JACCARD,
            gate=GATE,
        )
    )


def rule_of(study, kind):
    """When a component serves a process: as in h1 to h3."""
    return ProcessRule(
        threshold_d=THRESHOLD_D[kind],
        alpha=ALPHA_CONTROLLED,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
