"""The prior of variances: recovered where it is known, refused where it cannot be."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import polygamma

from harness.stats import variance_prior
from harness.stats.shrinkage import LEAST_CELLS, NO_PRIOR, inverse_trigamma


def drawn(d0, scale, df, cells, seed=0):
    """Sample variances whose true ones come from the prior."""
    generator = np.random.default_rng(seed)
    true = scale * d0 / generator.chisquare(d0, cells) if math.isfinite(d0) else scale
    return true * generator.chisquare(df, cells) / df


@pytest.mark.parametrize("value", [1e-8, 1e-3, 0.3, 1.0, 25.0, 1e5, 1e9])
def test_trigamma_is_inverted(value):
    reference = brentq(lambda y: float(polygamma(1, y)) / value - 1, 1e-9, 1e12, xtol=1e-14)
    assert inverse_trigamma(value) == pytest.approx(reference, rel=1e-4)


@pytest.mark.parametrize("df", [7, 15])
@pytest.mark.parametrize(("d0", "scale"), [(4, 0.5), (12, 3.0)])
def test_a_known_prior_is_recovered(d0, scale, df):
    prior = variance_prior(drawn(d0, scale, df, 100_000), df)
    assert prior.df == pytest.approx(d0, rel=0.05)
    assert prior.variance == pytest.approx(scale, rel=0.02)


def test_it_solves_the_equations_of_smyth():
    # E log s^2 and Var log s^2 of the fitted prior are those of the sample, exactly.
    variance, df = drawn(4, 2.0, 7, 50, seed=1), 7
    prior = variance_prior(variance, df)
    logs = np.log(variance)
    spread = polygamma(1, df / 2) + polygamma(1, prior.df / 2)
    level = (
        math.log(prior.variance)
        + (polygamma(0, df / 2) - math.log(df / 2))
        - (polygamma(0, prior.df / 2) - math.log(prior.df / 2))
    )
    assert spread == pytest.approx(logs.var(ddof=1), rel=1e-6)
    assert level == pytest.approx(logs.mean(), rel=1e-6)


def test_variances_no_more_apart_than_sampling_puts_them_are_taken_as_equal():
    variance = 3.0 * np.linspace(0.9, 1.1, 50)
    assert variance_prior(variance, 7).df == math.inf
    assert variance_prior(variance, 7).variance == pytest.approx(3.0)


def test_scale_changes_the_variance_alone():
    variance = drawn(4, 1.0, 7, 200)
    one, two = variance_prior(variance, 7), variance_prior(1e-12 * variance, 7)
    assert two.df == pytest.approx(one.df, rel=1e-6)
    assert two.variance == pytest.approx(1e-12 * one.variance, rel=1e-6)


def test_few_cells_and_cells_without_variance_give_no_prior():
    assert variance_prior(np.ones(LEAST_CELLS - 1), 7) == NO_PRIOR
    assert variance_prior(np.append(np.ones(LEAST_CELLS - 1), np.zeros(99)), 7) == NO_PRIOR
    assert variance_prior(np.append(np.ones(LEAST_CELLS), np.zeros(99)), 7).variance == 1


def test_no_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="df is 0"):
        variance_prior(np.ones(20), 0)
