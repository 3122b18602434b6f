"""A claim's number beside those of same-process contrasts."""

import numpy as np
import pytest

from harness.stats import BeyondSameProcess, beyond_same_process


def test_few_contrasts_have_to_be_exceeded_all():
    null = np.array([1.0, 9.0, 3.0])
    assert beyond_same_process(7.5, null) == BeyondSameProcess(threshold=9, p=0.5)
    assert beyond_same_process(9.5, null) == BeyondSameProcess(threshold=9, p=0.25)


@pytest.mark.parametrize(("contrasts", "threshold"), [(19, 18), (20, 19), (21, 19), (41, 38)])
def test_many_contrasts_have_to_be_exceeded_but_for_the_largest_twentieth(contrasts, threshold):
    null = np.random.default_rng(0).permutation(contrasts).astype(float)
    assert beyond_same_process(0, null).threshold == threshold


def test_the_rule_supports_a_twentieth_of_what_comes_from_the_null():
    draws = np.random.default_rng(1).standard_normal((4000, 61))
    supported = [row[0] > beyond_same_process(row[0], row[1:]).threshold for row in draws]
    # Four of 60 contrasts may lie above the threshold: 4 ranks of 61 support.
    assert np.mean(supported) == pytest.approx(4 / 61, abs=0.015)


def test_no_contrast_and_no_number_are_refused():
    with pytest.raises(ValueError, match="null has 0 rows"):
        beyond_same_process(1.0, np.array([]))
    with pytest.raises(ValueError, match="value is nan"):
        beyond_same_process(float("nan"), np.array([1.0]))
