"""Do contrasts hold over relations, in any of many components: moderated t, sign flips, maximum.

With few relations and many components a plain t finds nothing: its largest value under the null
comes from components whose spread happens to be small. Here each component's variance is shrunk
towards that of all of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit

from harness.stats.cells import as_cells, chunks, one_blas_thread
from harness.stats.intervals import check_level
from harness.stats.permutation import block_sums, sign_patterns
from harness.stats.shrinkage import VariancePrior, variance_prior

# Statistics of two flips that are equal in exact arithmetic differ by less. Counting near-ties as
# ties errs towards a larger p.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class ModeratedTest:
    """A sign-flip test over relations, with shrunk variances.

    Attributes:
        statistic: Moderated t: `mean` over `standard_error`.
        p_adjusted: Family-wise over all components, two-sided, step-down.
        p: Uncorrected, this component alone, two-sided.
        floor: The smallest p, adjusted or not, that this number of relations can give.
        mean: Over relations.
        standard_error: Root of the shrunk variance over the number of relations.
        low: Lower end of the moderated t interval of the mean, for this component alone. It covers
            at its level on average over components, less for those of the largest variance.
        high: Upper end.
        level: Of the interval.
        df: Degrees of freedom of the interval.
        prior: What the variances are shrunk to. `prior.df` is 0 where components are too few for
            a prior: then everything here is a plain t.
    """

    statistic: Float[np.ndarray, "..."]
    p_adjusted: Float[np.ndarray, "..."]
    p: Float[np.ndarray, "..."]
    floor: float
    mean: Float[np.ndarray, "..."]
    standard_error: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]
    level: float
    df: float
    prior: VariancePrior


def moderated_max(
    contrasts: Float[np.ndarray, "relation ..."],
    *,
    blocks: Sequence[object] | None = None,
    permutations: int = 2048,
    seed: int = 0,
    level: float = 0.95,
) -> ModeratedTest:
    """Two-sided test that a relation's contrasts are symmetric about zero, in any component.

    The prior is fitted to mean squares about zero, which no flip changes. So the statistic is the
    same function of every flip of the data, and the test is exact whatever the components'
    variances, dependence and tails are; the prior decides its power alone. Under flips the
    moderated t is monotone in sum / root(sum of squares + d0 s0^2), so one matrix product gives
    all of them. Where many components hold, mean squares are larger than variances and the test
    finds a little less.

    What it needs is relations that are independent, and contrasts that are symmetric where nothing
    holds. Relations that share entities are not independent: put them in one block, or draw each
    entity for one relation. Skewed contrasts of mean zero are found too often (docs/verdicts.md).

    All sign patterns are tried up to 12 relations at the default (the smallest p is then
    2 / 2^relations), else `permutations` random ones and the identity. `p_adjusted` is step-down:
    each component is compared with the largest of those whose statistic is no larger than its own
    (Westfall and Young 1993, algorithm 2.8).

    Args:
        contrasts: A relation's mean paired difference. Standardise first where components have
            scales of their own: one prior serves all.
        blocks: A name for each relation: those of one block are averaged first, so that the block
            is the unit in place of the relation.
        permutations: The most sign patterns.
        seed: Of random patterns.
        level: Of the intervals.

    Raises:
        ValueError: If there are fewer than two relations, or a value is not finite.

    Source: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3(1), 3.
    """
    check_level(level)
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; at least 1 is needed.")
    matrix = as_cells(contrasts, "contrasts", 2).astype(np.float64)
    if blocks is not None:
        matrix = _block_means(matrix, blocks)
    shape = np.shape(contrasts)[1:]
    prior = variance_prior(np.square(matrix).mean(axis=0), len(matrix))
    signs = sign_patterns(len(matrix), permutations, seed).astype(np.float64)
    p, adjusted = _flip_p(_scaled(matrix, prior), signs)
    mean, error = matrix.mean(axis=0), _standard_error(matrix, prior)
    df = _interval_df(matrix, prior)
    half = error * _t_quantile(df, level)
    return ModeratedTest(
        statistic=_ratio(mean, error).reshape(shape),
        p_adjusted=adjusted.reshape(shape),
        p=p.reshape(shape),
        floor=1 / len(signs),
        mean=mean.reshape(shape),
        standard_error=error.reshape(shape),
        low=(mean - half).reshape(shape),
        high=(mean + half).reshape(shape),
        level=level,
        df=df,
        prior=prior,
    )


def _block_means(
    matrix: Float[np.ndarray, "relation cell"], blocks: Sequence[object]
) -> Float[np.ndarray, "block cell"]:
    """Mean contrast of each block, in order of first appearance."""
    sums = block_sums(matrix, blocks)
    sizes = np.array([blocks.count(name) for name in dict.fromkeys(blocks)])
    return np.asarray(sums / sizes[:, None])


def _scaled(
    matrix: Float[np.ndarray, "relation cell"], prior: VariancePrior
) -> Float[np.ndarray, "relation cell"]:
    """Contrasts whose sum is monotone in the moderated t, under every flip."""
    if math.isinf(prior.df):
        return matrix / math.sqrt(prior.variance * len(matrix))
    squares = np.square(matrix).sum(axis=0) + prior.df * prior.variance
    return np.asarray(matrix / np.sqrt(np.where(squares > 0, squares, 1)))


def _flip_p(
    scaled: Float[np.ndarray, "relation cell"], signs: Float[np.ndarray, "pattern relation"]
) -> tuple[Float[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """Each cell's own p and its step-down adjusted p.

    Cells are gone through from the smallest statistic up, a chunk at a time, with the largest
    so far of every pattern.
    """
    observed = np.abs(scaled.sum(axis=0))
    order: Int[np.ndarray, " cell"] = np.argsort(observed, kind="stable")
    own, adjusted = np.ones((2, len(observed)))
    largest = np.zeros((len(signs), 1))
    with one_blas_thread():
        for part in chunks(len(observed), len(signs)):
            cells = order[part]
            if not cells.size:
                break
            bar = observed[cells] - _TOLERANCE
            null = np.abs(signs @ scaled[:, cells])
            own[cells] = (null >= bar).mean(axis=0)
            null[:, :1] = np.maximum(null[:, :1], largest)
            np.maximum.accumulate(null, axis=1, out=null)
            adjusted[cells] = (null >= bar).mean(axis=0)
            largest = null[:, -1:].copy()
    # A cell may not be found before one with a larger statistic.
    adjusted[order] = np.maximum.accumulate(adjusted[order][::-1])[::-1]
    return own, adjusted


def _standard_error(
    matrix: Float[np.ndarray, "relation cell"], prior: VariancePrior
) -> Float[np.ndarray, " cell"]:
    """Root of the shrunk variance over the number of relations."""
    df = len(matrix) - 1
    if math.isinf(prior.df):
        shrunk = np.full(matrix.shape[1], prior.variance)
    else:
        shrunk = (prior.df * prior.variance + df * matrix.var(axis=0, ddof=1)) / (prior.df + df)
    return np.asarray(np.sqrt(shrunk / len(matrix)))


def _interval_df(matrix: Float[np.ndarray, "relation cell"], prior: VariancePrior) -> float:
    """Degrees of freedom of the shrunk variance, no more than all components hold together.

    Components move together, so a thousand of them may hold no more than ten that do not: their
    number is divided by 1 + (number - 1) x mean squared correlation.
    """
    df = len(matrix) - 1
    if prior.df == 0:
        return float(df)
    centred = matrix - matrix.mean(axis=0)
    length = np.sqrt(np.square(centred).sum(axis=0))
    unit = centred[:, length > 0] / length[length > 0]
    cells = unit.shape[1]
    with one_blas_thread():
        squared = (np.square(unit @ unit.T).sum() - cells) / max(cells * (cells - 1), 1)
    # Of independent components it is 1 / df on average.
    alike = max((squared - 1 / df) / (1 - 1 / df), 0.0) if df > 1 else 1.0
    return float(min(prior.df + df, df * cells / (1 + (cells - 1) * alike)))


def _t_quantile(df: float, level: float) -> float:
    """Two-sided quantile of Student's t."""
    upper = (1 + level) / 2
    return float(ndtri(upper) if math.isinf(df) else stdtrit(df, upper))


def _ratio(
    mean: Float[np.ndarray, " cell"], error: Float[np.ndarray, " cell"]
) -> Float[np.ndarray, " cell"]:
    """Mean over standard error; infinite where only the error is 0, and 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean == 0, 0.0, mean / error)
