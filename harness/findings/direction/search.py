"""Search for the layer whose direction separates two tasks best, on discovery prompts alone.

The search is repeated under shuffled labels and on untrained twins, so it is one function of
activations and labels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from harness import stats
from harness.findings.direction import vectors
from harness.findings.direction.separation import Labelled
from harness.materials.items import DISCOVERY, EVALUATION
from harness.verdicts.evidence import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionRule:
    """The numbers of the direction's predictions, from the hypothesis file.

    Attributes:
        auc: Held-out AUC that must be exceeded; on crossed prompts twins must not reach it.
        alpha: Of the permutation p on evaluation prompts.
        folds: Folds of the discovery prompts, used to select the layer.
        shuffles: Relabellings; layer and direction are searched for again under each of them.
        random_directions: How many, at the selected layer.
        cosine: Split-half cosine from which a direction is called stable: shown.
    """

    auc: float
    alpha: float
    folds: int
    shuffles: int
    random_directions: int
    cosine: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The outcome of the search under one labelling; nan in layers without a direction.

    Attributes:
        layer: The layer with the largest AUC on discovery prompts (the first of equals); None if
            no layer has a direction.
        evaluation: AUC of evaluation prompts along the direction of discovery prompts.
        scores: Projections behind both AUCs: each prompt along a direction fitted without it.
    """

    layer: int | None
    evaluation: Float[np.ndarray, " layer"]
    scores: Float[np.ndarray, "prompt layer"]

    @property
    def auc(self) -> float:
        """On evaluation prompts at the selected layer; nan if there is none."""
        return float("nan") if self.layer is None else float(self.evaluation[self.layer])


def search(
    resid: Float[np.ndarray, "prompt layer d_model"],
    labelled: Labelled,
    sides: Int[np.ndarray, "labelling prompt"],
    folds: int,
    seed: int,
) -> list[SearchResult]:
    """One result a labelling; a labelling changes the sides of prompts, never their units."""
    scores = vectors.held_out_scores(resid, sides, labelled.folds(folds, seed))
    results = []
    for side, of_side in zip(sides, scores, strict=True):
        discovery, evaluation = (
            auc_by_layer(of_side[rows], side[rows])
            for rows in (labelled.within(DISCOVERY), labelled.within(EVALUATION))
        )
        defined = ~np.isnan(discovery + evaluation)
        layer = int(np.nanargmax(np.where(defined, discovery, -1.0))) if defined.any() else None
        results.append(SearchResult(layer, evaluation, of_side))
    return results


def direction_gate(defined: bool) -> Gate:
    """Whether any layer has a direction; one without length separates and steers nothing."""
    unmet = "the tasks' means are the same in every layer, to rounding: there is no direction"
    return Gate.of("direction", defined, unmet=unmet)


def auc_by_layer(
    scores: Float[np.ndarray, "prompt layer"], side: Int[np.ndarray, " prompt"]
) -> Float[np.ndarray, " layer"]:
    """AUC of side +1 over side -1 in each layer; nan where a score is not defined."""
    aucs = np.full(scores.shape[1], np.nan)
    defined = ~np.isnan(scores[side != 0]).any(0)
    if defined.any():
        aucs[defined] = stats.auc(scores[side > 0][:, defined], scores[side < 0][:, defined])
    return aucs


def random_aucs(
    x: Float[np.ndarray, "prompt d_model"], side: Int[np.ndarray, " prompt"], count: int, seed: int
) -> Float[np.ndarray, " direction"]:
    """AUC along random directions, the larger of both signs: 0.5 to 1."""
    scores = vectors.random_scores(x, count, seed)
    return np.asarray(np.abs(stats.auc(scores[side > 0], scores[side < 0]) - 0.5) + 0.5)


def random_sizes(
    x: Float[np.ndarray, "prompt d_model"], side: Int[np.ndarray, " prompt"], count: int, seed: int
) -> Float[np.ndarray, " direction"]:
    """|d'| along random directions; unlike an AUC, it keeps growing after complete separation."""
    scores = vectors.random_scores(x, count, seed)
    return np.asarray(np.abs(stats.cohens_d(scores[side > 0], scores[side < 0])))


def in_sample(
    resid: Float[np.ndarray, "prompt layer d_model"], sides: Int[np.ndarray, "labelling prompt"]
) -> Float[np.ndarray, "labelling layer"]:
    """AUC of the prompts that each direction was fitted to, as published."""
    everything = np.arange(len(resid))
    scores = vectors.held_out_scores(resid, sides, [(everything, everything)])
    return np.array([auc_by_layer(s, side) for s, side in zip(scores, sides, strict=True)])


def upper(draws: Float[np.ndarray, " draw"]) -> float:
    """95th percentile of a null: always one of its draws; nan if none is defined."""
    known = draws[~np.isnan(draws)]
    return float(np.quantile(known, 0.95, method="higher")) if len(known) else float("nan")
