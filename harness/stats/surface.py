"""How well the surface of prompts alone tells two tasks apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from harness.stats.cells import as_cells, one_blas_thread
from harness.stats.ranks import auc


class TooFewGroups(ValueError):
    """Items that cannot be divided into folds with both classes; the message says why."""


def surface_auc(
    features: Float[np.ndarray, "item feature"],
    labels: Shaped[np.ndarray, " item"],
    groups: Sequence[str],
    *,
    folds: int = 5,
    seed: int = 0,
) -> float:
    """Cross-validated AUC of a logistic regression on surface features; a half is chance.

    Features are standardised on the training folds, groups (pairs) are kept together, classes
    kept even over folds, and the AUC is taken within each held-out fold and averaged. If
    tasks are balanced within every group it is exactly a half, because each score occurs on both
    sides.

    Args:
        features: For instance counts of each token, and the length.
        labels: True for treated; exactly two classes.
        groups: The pair of each item.
        folds: Number of folds.
        seed: Of the shuffle.

    Raises:
        TooFewGroups: If there are too few groups, or too uneven ones, to hold both classes in
            every fold.
        ValueError: If there is one class only.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  (a second to import)
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    matrix = as_cells(features, "features", 2)
    classes, label = np.unique(np.asarray(labels), return_inverse=True)
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(label) != len(matrix) or len(names) != len(matrix):
        raise ValueError(f"{len(matrix)} items, {len(label)} labels and {len(names)} groups.")
    if len(classes) != 2:
        raise ValueError(f"labels have {len(classes)} classes; a classifier needs exactly two.")
    fewest = min(len(np.unique(names[label == side])) for side in (0, 1))
    if fewest < folds:
        raise TooFewGroups(
            f"a class occurs in {fewest} groups, fewer than {folds} folds; add items or use fewer "
            "folds."
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    scores = []
    with one_blas_thread():
        for train, test in splitter.split(matrix, label, names):
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
            if min(len(np.unique(label[part])) for part in (train, test)) < 2:
                raise TooFewGroups(
                    f"{len(np.unique(names))} groups are too uneven for {folds} folds that hold "
                    "both classes; add items or use fewer folds."
                )
            score = model.fit(matrix[train], label[train]).decision_function(matrix[test])
            scores.append(float(auc(score[label[test] == 1], score[label[test] == 0])))
    return float(np.mean(scores))


@dataclass(frozen=True, slots=True)
class Transfer:
    """Mean AUC over groups that a classifier was not fitted on, with its interval over groups."""

    auc: float
    low: float
    high: float
    groups: int

    @property
    def at_chance(self) -> bool:
        """Whether a half lies in the interval."""
        return self.low <= 0.5 <= self.high


def transfer_auc(
    features: Float[np.ndarray, "item feature"],
    labels: Shaped[np.ndarray, " item"],
    groups: Sequence[str],
    fitted: Shaped[np.ndarray, " item"],
    *,
    level: float = 0.99,
) -> Transfer:
    """How well the surface of some groups tells labels apart in another one; a half is chance.

    For each group a logistic regression is fitted on the `fitted` items of the other groups, and
    judged on the rest of this one. The interval is Student's over the groups' AUCs.

    Args:
        features: For instance counts of each token, and the length.
        labels: True for treated; exactly two classes.
        groups: The relation of each item.
        fitted: True for items to fit on, false for items to judge on.
        level: Of the interval.

    Raises:
        ValueError: If there are fewer than two groups, or one has not both classes to judge.
    """
    from scipy.stats import t  # noqa: PLC0415  (with the rest, seconds to import)
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    matrix = as_cells(features, "features", 2)
    label, fit, group = np.asarray(labels, bool), np.asarray(fitted, bool), np.asarray(groups)
    found = []
    for name in np.unique(group):
        train, test = fit & (group != name), ~fit & (group == name)
        if len(np.unique(label[train])) < 2 or len(np.unique(label[test])) < 2:
            raise ValueError(f"group {name!r} or what is beside it lacks a class; add items.")
        with one_blas_thread():
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
            score = model.fit(matrix[train], label[train]).decision_function(matrix[test])
        found.append(float(auc(score[label[test]], score[~label[test]])))
    if len(found) < 2:
        raise ValueError(f"{len(found)} group; a classifier is judged on another one.")
    mean, count = float(np.mean(found)), len(found)
    half = float(t.ppf((1 + level) / 2, count - 1) * np.std(found, ddof=1) / np.sqrt(count))
    return Transfer(mean, max(0.0, mean - half), min(1.0, mean + half), count)
