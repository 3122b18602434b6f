"""Intervals that resample relations hold what they promise where relations differ."""

import numpy as np
import pytest

from harness.findings.requirements import interval, interval_within
from harness.stats import binomial_interval
from harness.study.plan import Plan
from harness.study.study import Study

RELATIONS, STORIES = 10, 3


def study():
    return Study(None, None, Plan(resamples=199))


def drawn(rng, icc):
    """Values without an effect; relations share this part of their variance."""
    own = rng.normal(size=(RELATIONS, 1)) * np.sqrt(icc)
    return (own + rng.normal(size=(RELATIONS, STORIES)) * np.sqrt(1 - icc)).ravel()


@pytest.mark.parametrize("icc", [0.1, 0.3])
def test_nothing_is_found_where_nothing_is_as_often_as_promised(icc):
    rng, relations = np.random.default_rng(0), np.repeat(np.arange(RELATIONS), STORIES).astype("U")
    runs = 400
    found = sum(interval(drawn(rng, icc), study(), relations)[0] > 0 for _ in range(runs))
    assert binomial_interval(found, runs)[0] <= 1.5 * 0.025


def test_relations_that_differ_make_the_interval_wider():
    relations = np.repeat(np.arange(RELATIONS), STORIES).astype("U")
    values = np.repeat(np.linspace(-1, 1, RELATIONS), STORIES)
    (low, high), alone = interval(values, study(), relations), interval(values, study())
    assert high - low > 1.5 * (alone[1] - alone[0])


@pytest.mark.parametrize("relations", [None, np.full(RELATIONS, "")])
def test_without_relations_items_are_the_unit(relations):
    values = np.arange(RELATIONS, dtype=float)
    assert interval(values, study(), relations) == interval(values, study())


def test_the_sample_itself_weighs_every_item_alike():
    seen = []
    relations = np.array(["a", "a", "a", "b"], dtype=object)
    interval_within(lambda weights: seen.append(weights) or 0.0, relations, study())
    np.testing.assert_allclose(seen[0], np.full(4, 0.25))
