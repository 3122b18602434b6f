"""The instrument is fit to measure the other claims on this model.

Source      Errors found in published analyses of recall and reasoning.
Materials   The crossed prompts of the other claims, and the plain ones they are made of.
Controls    Shuffled labels; the surface of the prompts; positions where nothing may differ.
Selection   None: nothing is selected here.
"""

import pytest

from harness.findings import validity
from harness.findings.competence import competence_finding

# Largest relative error allowed in the arithmetic of each dtype.
TOLERANCE = {"float32": 1e-5, "bfloat16": 5e-2, "float16": 5e-3}
GATE = 0.60  # accuracy on each task
SURFACE_AUC = 0.55  # largest AUC of words, length, label and order
LABEL_SHUFFLES = 200
UNIFORM_P = 0.001  # least p of an excess of small p-values, or the test is not calibrated


@pytest.mark.criterion("controlled")
def test_hooks_leave_the_model_as_it_is(subject, verdict):
    """With hooks the model gives the same logits, and its parts add up to the whole."""
    verdict(validity.hooks_finding(subject, TOLERANCE))


@pytest.mark.criterion("controlled")
def test_padding_does_not_matter(subject, verdict):
    """A prompt gives the same numbers padded, or behind a shared prefix, as it gives alone."""
    verdict(validity.padding_finding(subject, TOLERANCE))


@pytest.mark.criterion("controlled")
def test_every_site_reaches_the_logits(subject, verdict):
    """Zeroing any site of any layer changes the logits: no edit there is a no-op."""
    verdict(validity.sites_finding(subject))


@pytest.mark.criterion("controlled")
def test_the_model_answers(study, verdict):
    """The model answers recall, lookup and reasoning above the gate; crossed ones are shown."""
    verdict(competence_finding(study, GATE))


@pytest.mark.criterion("controlled")
def test_materials_are_balanced(study, verdict):
    """Words, positions, length, label and order do not predict the task."""
    verdict(validity.balance_finding(study, SURFACE_AUC))


@pytest.mark.criterion("controlled")
def test_nothing_differs_before_the_label(study, verdict):
    """Before the label, where no difference between the tasks is possible, none is measured."""
    verdict(validity.causality_finding(study, TOLERANCE))


@pytest.mark.criterion("controlled")
def test_shuffled_labels_give_uniform_p(study, verdict):
    """With shuffled task labels, small p-values are no more frequent than they should be."""
    verdict(validity.uniformity_finding(study, LABEL_SHUFFLES, UNIFORM_P))
