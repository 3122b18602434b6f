"""Families of contrasts with units of their own: rates under the null, power, exact small cases."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from harness import stats
from harness.stats import sign_flip_min_p


def named(values, prefix="r"):
    return {f"{prefix}{i}": float(v) for i, v in enumerate(values)}


def a_run(rng, loss=0.0):
    """Forty effects as a run has them: twelve over 8 relations, the rest over 16, or 60 pairs."""
    shared = rng.normal(0, 0.5, 16)  # a relation that is off is so in every effect
    run = [named(shared[:8] + rng.standard_t(4, 8)) for _ in range(12)]
    run += [named(shared + rng.standard_t(4, 16)) for _ in range(18)]
    run += [named(rng.standard_t(4, 60), f"pair{i}-") for i in range(10)]
    return [{name: value - loss for name, value in run[0].items()}, *run[1:]]


def test_the_family_wise_rate_is_near_nominal():
    rng = np.random.default_rng(0)
    runs, alpha = 200, 0.05
    wrong = sum(
        sign_flip_min_p(a_run(rng), permutations=499, seed=n).min() <= alpha for n in range(runs)
    )
    assert wrong <= 19  # 10 expected; more in 0.2 % of draws at a rate of 0.05
    assert wrong >= 2  # nor is it so cautious that it finds nothing


def test_a_loss_in_eight_relations_is_found_where_holm_cannot():
    rng = np.random.default_rng(1)
    found = [sign_flip_min_p(a_run(rng, loss=4.0), permutations=999, seed=n)[0] for n in range(40)]
    assert np.mean(np.array(found) <= 0.05) >= 0.5
    assert stats.holm(np.full(40, 1 / 128)).min() > 0.3  # the least p of eight relations


def test_contrasts_of_the_same_units_count_as_one_where_they_are_one():
    one = named([0.9, 1.1, 1.0, 0.8, 1.2, 1.0, 0.7, 1.3])
    alone, *_ = sign_flip_min_p([one], seed=3)
    assert alone == pytest.approx(1 / 128, rel=0.3)
    np.testing.assert_allclose(sign_flip_min_p([one] * 30, seed=3), alone)


def test_the_order_of_contrasts_is_that_of_students_p():
    rng = np.random.default_rng(2)
    family = [rng.normal(mean, 1, n) for mean, n in ((0.2, 8), (1.5, 8), (0.6, 40), (0.0, 20))]
    p = sign_flip_min_p([named(values, f"{at}-") for at, values in enumerate(family)])
    np.testing.assert_array_equal(
        np.argsort(p), np.argsort([ttest_1samp(values, 0).pvalue for values in family])
    )


def test_nothing_moved_is_p_1_and_no_family_has_no_p():
    assert sign_flip_min_p([named([0.0] * 8), named([0.0] * 5)]).tolist() == [1.0, 1.0]
    assert sign_flip_min_p([]).shape == (0,)


@pytest.mark.parametrize("values", [[1.0], [1.0, float("nan")]])
def test_what_cannot_be_tested_is_refused(values):
    with pytest.raises(ValueError, match="two finite ones are needed"):
        sign_flip_min_p([named(values)])
