"""The direction that steering uses, random directions, and neutral prompts."""

from dataclasses import replace

import numpy as np
import pytest

from harness.findings.steering.fitting import (
    fit,
    fitting_prompts,
    isotropic,
    neutral_prompts,
    spread_like_stream,
)
from harness.materials.items import DISCOVERY, EVALUATION
from harness.materials.sets import geography
from harness.study.study import Study
from tests.support.steering_toy import (
    PLAN,
    PROMPTS,
    Toy,
    study,
)


def test_plain_materials_take_their_direction_from_their_crossed_counterpart():
    plain = geography(8)
    source = fitting_prompts(Study(Toy(), plain, replace(PLAN, items=8)))
    assert (source.name, source.crossed) == ("geography-crossed", True)
    assert set(source.pairs) == set(plain.pairs)
    split = {i.pair: i.split for i in plain.items}
    assert all(split[i.pair] == i.split for i in source.items)
    assert fitting_prompts(study()) is PROMPTS


def test_neutral_prompts_ask_for_neither_task():
    found = neutral_prompts(geography(4))
    assert found.count() == {"lookup": 4, "statement": 4}
    statement = next(i for i in found.items if i.task == "statement")
    assert "?" not in statement.prompt
    assert not statement.answer
    assert statement.prompt == " ".join(geography(4).items[0].premises).rsplit(" ", 1)[0]
    assert {i.split for i in found.items} == {DISCOVERY, EVALUATION}
    assert neutral_prompts(PROMPTS).items == PROMPTS.items


@pytest.mark.parametrize("draw", [isotropic, spread_like_stream])
def test_random_directions_are_as_long_as_the_fitted_one(draw):
    fitted = fit(study())
    drawn = draw(fitted, 5, 0)
    for one in drawn:
        assert np.allclose(one.norm, fitted.directions.norm)
        assert abs(one.unit(0) @ fitted.directions.unit(0)) < 0.9
    assert not np.allclose(drawn[0].vectors, drawn[1].vectors)
    assert np.allclose(drawn[0].vectors, draw(fitted, 5, 0)[0].vectors)


def test_spread_directions_lie_where_prompts_of_one_task_differ():
    fitted = fit(study())
    fitted.resid[:, :, 5] *= 100
    for one in spread_like_stream(fitted, 5, 0):
        assert abs(one.unit(1)[5]) > 0.9
        assert abs(one.unit(1)[3]) < 1e-3  # the tasks' own difference is taken out
