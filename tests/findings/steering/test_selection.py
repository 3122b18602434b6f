"""What steering is selected on, and what it may cost."""

import numpy as np

from harness.findings.direction.vectors import difference_in_means
from harness.findings.steering.selection import SteeringStudy, select_added
from harness.materials.items import DISCOVERY
from tests.support.steering_toy import (
    PROMPTS,
    RULE,
    SIDE,
    Toy,
    costing,
    study,
)


def test_a_dose_that_costs_too_much_is_not_selected():
    def score(interventions):
        return np.array([a.dose * len(a.layers) for a in interventions])

    selected = select_added(SteeringStudy.fit(study(), RULE), score)
    assert (selected.intervention.dose, len(selected.intervention.layers), selected.affordable) == (
        1.0,
        1,
        True,
    )
    dear = select_added(SteeringStudy.fit(study(), costing(0.001)), score)
    assert (dear.intervention.dose, len(dear.intervention.layers), dear.affordable) == (
        0.5,
        1,
        False,
    )
    assert "none was within the cost allowed" in str(dear)


def test_what_is_fitted_selected_and_judged_has_no_pair_in_common():
    steering = SteeringStudy.fit(study(), RULE)
    fitted = {i.pair for i in PROMPTS.items if i.split == DISCOVERY} - steering.fitted.unseen
    choosing = set(steering.selection_items().pairs)
    judged = set(steering.evaluation_items().pairs)
    assert len(fitted) == steering.fitted.pairs == 30
    assert len(choosing) == RULE.selection.pairs
    assert len(judged) == 60
    assert len(fitted | choosing | judged) == 30 + RULE.selection.pairs + 60
    expected = difference_in_means(
        Toy().activations(PROMPTS).resid,
        np.array([SIDE[i.task] * (i.pair in fitted) for i in PROMPTS.items]),
    )
    assert np.allclose(steering.fitted.directions.vectors, expected.vectors)
