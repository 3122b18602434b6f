"""The procedure of h7: choose a layer on discovery prompts, judge its direction on evaluation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from harness import stats
from harness.findings.direction import vectors as directions
from harness.findings.direction.separation import Labelled
from harness.materials.items import DISCOVERY, EVALUATION


@dataclass(frozen=True, slots=True)
class DirectionRule:
    """The numbers of the controlled criterion.

    Attributes:
        auc: Held-out AUC that must be exceeded; on crossed prompts twins must not reach it.
        alpha: Of the permutation p on evaluation prompts.
        folds: On discovery prompts, to choose the layer.
        shuffles: Relabellings, refitted and searched like the true labels.
        random_directions: At the chosen layer.
        cosine: Split-half cosine from which a direction is called stable: shown.
    """

    auc: float
    alpha: float
    folds: int
    shuffles: int
    random_directions: int
    cosine: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the search finds under one labelling; nan in layers without a direction.

    Attributes:
        layer: With the largest AUC on discovery (the first of equals); None if none is defined.
        discovery: Cross-fitted AUC on discovery prompts.
        evaluation: AUC of evaluation prompts along the direction of discovery prompts.
        scores: What these are of: every prompt along a direction that was fitted without it.
    """

    layer: int | None
    discovery: Float[np.ndarray, " layer"]
    evaluation: Float[np.ndarray, " layer"]
    scores: Float[np.ndarray, "prompt layer"]

    @property
    def auc(self) -> float:
        """On evaluation prompts at the chosen layer; nan if there is none."""
        return float("nan") if self.layer is None else float(self.evaluation[self.layer])


def search(
    resid: Float[np.ndarray, "prompt layer d_model"],
    labelled: Labelled,
    sides: Int[np.ndarray, "labelling prompt"],
    folds: int,
    seed: int,
) -> list[Found]:
    """One entry a labelling; a labelling changes the sides of prompts, never their units."""
    scores = directions.held_out_scores(resid, sides, labelled.folds(folds, seed))
    found = []
    for side, of_side in zip(sides, scores, strict=True):
        discovery, evaluation = (
            auc_by_layer(of_side[rows], side[rows])
            for rows in (labelled.within(DISCOVERY), labelled.within(EVALUATION))
        )
        defined = ~np.isnan(discovery + evaluation)
        layer = int(np.nanargmax(np.where(defined, discovery, -1.0))) if defined.any() else None
        found.append(Found(layer, discovery, evaluation, of_side))
    return found


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
    """AUC along random directions, either way round: half to 1."""
    scores = directions.random_scores(x, count, seed)
    return np.asarray(np.abs(stats.auc(scores[side > 0], scores[side < 0]) - 0.5) + 0.5)


def random_sizes(
    x: Float[np.ndarray, "prompt d_model"], side: Int[np.ndarray, " prompt"], count: int, seed: int
) -> Float[np.ndarray, " direction"]:
    """|d'| along random directions; other than their AUC it does not end where all is separated."""
    scores = directions.random_scores(x, count, seed)
    return np.asarray(np.abs(stats.cohens_d(scores[side > 0], scores[side < 0])))


def in_sample(
    resid: Float[np.ndarray, "prompt layer d_model"], sides: Int[np.ndarray, "labelling prompt"]
) -> Float[np.ndarray, "labelling layer"]:
    """AUC of the prompts that each direction was fitted to, as published."""
    everything = np.arange(len(resid))
    scores = directions.held_out_scores(resid, sides, [(everything, everything)])
    return np.array([auc_by_layer(s, side) for s, side in zip(scores, sides, strict=True)])


def upper(draws: Float[np.ndarray, " draw"]) -> float:
    """95th percentile of a null, never between two draws; nan if none is defined."""
    known = draws[~np.isnan(draws)]
    return float(np.quantile(known, 0.95, method="higher")) if len(known) else float("nan")
