"""Whether a score finds the components that are known to matter."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True, slots=True)
class Recovery:
    """How well a score and a selection agree with the truth.

    Attributes:
        auroc: Probability that a positive scores above a negative, ties a half; nan without both.
        precision: Share of the selected that is positive; nan if nothing was selected.
        recall: Share of the positives that was selected; nan without any.
        positives, negatives, found: Numbers of components.
    """

    auroc: float
    precision: float
    recall: float
    positives: int
    negatives: int
    found: int


def recovery(
    score: Float[np.ndarray, " component"],
    found: Bool[np.ndarray, " component"],
    positive: Bool[np.ndarray, " component"],
) -> Recovery:
    """Compare scores, and what was selected by them, with the truth.

    Raises:
        ValueError: If the arrays differ in length or a score is not finite.
    """
    if not len(score) == len(found) == len(positive):
        raise ValueError(f"{len(score)} scores, {len(found)} selections, {len(positive)} truths.")
    if not np.isfinite(score).all():
        raise ValueError(f"score {int(np.flatnonzero(~np.isfinite(score))[0])} is not finite.")
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - a second to import

    hits, known = int((found & positive).sum()), int(positive.sum())
    both = 0 < known < len(positive)
    return Recovery(
        auroc=float(roc_auc_score(positive, score)) if both else float("nan"),
        precision=hits / int(found.sum()) if found.any() else float("nan"),
        recall=hits / known if known else float("nan"),
        positives=known,
        negatives=len(positive) - known,
        found=int(found.sum()),
    )


def auroc_interval(
    score: Float[np.ndarray, " component"],
    positive: Bool[np.ndarray, " component"],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of the AUROC: positives and negatives are resampled, each among themselves.

    It treats components as independent.

    Args:
        score: Finite.
        positive: At least one is, and one is not.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    own, other = score[positive], score[~positive]
    # P(own > other) + P(equal) / 2 of every pair, so that a resample only weighs rows and columns.
    beats = (own[:, None] > other).astype(float) + (own[:, None] == other) / 2
    generator = np.random.default_rng(seed)
    rows, columns = (
        generator.multinomial(n, np.full(n, 1 / n), size=resamples) / n for n in beats.shape
    )
    values = np.einsum("rp,pn,rn->r", rows, beats, columns, optimize=True)
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
