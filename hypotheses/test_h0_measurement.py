"""The instrument is fit to measure the other claims on this model.

Source      Traps that published analyses of recall and reasoning fell into.
Materials   The crossed prompts of the other claims, and the plain ones they are made of.
Controls    Shuffled labels; the surface of the prompts; positions where nothing may differ.
Selection   None: nothing is chosen here.
"""

import pytest

from harness.findings import validity

# Largest error allowed, relative to the largest value, in the arithmetic of each dtype.
TOLERANCE = {"float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}
GATE = 0.60  # accuracy on each task
SURFACE_AUC = 0.55  # what words, length, label and order may tell
LABEL_SHUFFLES = 200
UNIFORM_P = 0.001  # of too many small p-values; below it the permutation test is not calibrated


@pytest.mark.criterion("controlled")
def test_hooks_leave_the_model_as_it_is(subject, verdict):
    """The traced model gives the plain model's logits, and its parts add up to its wholes."""
    verdict(validity.hooks_finding(subject, TOLERANCE))


@pytest.mark.criterion("controlled")
def test_padding_does_not_matter(subject, verdict):
    """A prompt padded, or on a line with others that begin alike, is as it is alone."""
    verdict(validity.padding_finding(subject, TOLERANCE))


@pytest.mark.criterion("controlled")
def test_every_site_reaches_the_logits(subject, verdict):
    """Zeroing any site of any layer changes the logits: no edit there is a no-op."""
    verdict(validity.sites_finding(subject))


@pytest.mark.criterion("controlled")
def test_the_model_answers(study, verdict):
    """The model answers recall, lookup and reasoning above the gate, plain and crossed."""
    verdict(validity.competence_finding(study, GATE))


@pytest.mark.criterion("controlled")
def test_materials_are_balanced(study, verdict):
    """Words, positions, length, label and order do not tell the tasks apart."""
    verdict(validity.balance_finding(study, SURFACE_AUC))


@pytest.mark.criterion("controlled")
def test_nothing_differs_before_the_label(study, verdict):
    """Where causality forbids a difference between the tasks, none is measured."""
    verdict(validity.causality_finding(study, TOLERANCE))


@pytest.mark.criterion("controlled")
def test_shuffled_labels_give_uniform_p(study, verdict):
    """With the task labels of pairs shuffled, small p-values are no more frequent than they say."""
    verdict(validity.uniformity_finding(study, LABEL_SHUFFLES, UNIFORM_P))
