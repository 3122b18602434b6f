"""At least 80 % of the specialised components hold in five-fold cross-validation.

Source      Fartale et al. 2025, arXiv:2510.03366, on cross-validation; its public notebooks.
Materials   Published: the paper's 30 + 30 prompts. Controlled: crossed prompts, redrawn as well.
Controls    Untrained twins, run through the same.
Selection   Published: refitted on overlapping training folds, never tested. Controlled: selected on
            training folds, tested on the held-out fold; folds keep pairs together.
"""

import pytest

from harness.findings.specialisation.consistency import (
    Resampling,
    held_out_consistency_finding,
    published_consistency_finding,
    redrawn_finding,
)
from harness.findings.specialisation.rules import ControlledRule, PublishedRule

FOLDS = 5
CONSISTENT = 0.80
JACCARD = 0.80
REDRAWS = 2  # further draws of the materials
RESAMPLES = 100  # bootstrap resamples of the pairs of each draw
THRESHOLD_D = {"layer": 0.5, "head": 1.0, "neuron": 1.0}
VOTES = {"layer": 2, "head": 3, "neuron": 1}
ALPHA = {"layer": 0.01, "head": 0.01, "neuron": 1e-4}
ALPHA_CONTROLLED = 0.01
CORRECTION = {"layer": "benjamini-hochberg", "head": "benjamini-hochberg", "neuron": "bonferroni"}
PUBLISHED = {"layer": "28 of 28 layers", "head": "", "neuron": "50 of the 50 strongest"}
GATE = 0.60  # accuracy on each task
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
@pytest.mark.criterion("controlled")
def test_components_hold_on_the_held_out_fold(study, verdict, kind):
    """At least 80 % of the components selected on four fifths of the pairs hold on the rest."""
    rule = ControlledRule(
        threshold_d=THRESHOLD_D[kind],
        alpha=ALPHA_CONTROLLED,
        permutations=study.plan.permutations,
        seed=study.plan.seed,
    )
    verdict(
        held_out_consistency_finding(study, kind, rule, folds=FOLDS, share=CONSISTENT, gate=GATE)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.criterion("controlled")
def test_the_same_components_are_found_in_redrawn_materials(study, verdict, kind):
    """Bootstrap resamples of redrawn materials select the same components (mean Jaccard > 0.8)."""
    resampling = Resampling(threshold_d=THRESHOLD_D[kind], redraws=REDRAWS, resamples=RESAMPLES)
    verdict(redrawn_finding(study, kind, resampling, jaccard=JACCARD, gate=GATE))
