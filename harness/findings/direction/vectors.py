"""One direction a layer: the difference in means of two tasks, and where prompts lie along it.

A prompt's *side* is +1 (the second task of the contrast, reasoning), -1 (the first, recall) or 0
(not used). A direction points from recall to reasoning; it is kept at its own length and made a
unit vector only in use. Layers are converted to float64 one at a time, so memory does not grow
with their number.

Source: LiReF, Hong et al. 2025, arXiv:2503.23084 (public code).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from harness.interventions.directions import SHORTEST, Directions

Folds = Sequence[tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]]


def difference_in_means(
    resid: Float[np.ndarray, "prompt layer d_model"], side: Int[np.ndarray, " prompt"]
) -> Directions:
    """Mean of the prompts of side +1 minus mean of those of side -1, in float64.

    Raises:
        ValueError: If a side has no prompt.
    """
    weights = _mean_weights(side[None])[0]
    both = np.stack([weights, np.abs(weights) / 2])
    used = np.flatnonzero(side)
    means, squares = [], []
    for layer in range(resid.shape[1]):
        x = resid[:, layer].astype(np.float64)
        means.append(both @ x)
        squares.append(np.square(x[used]).sum(1).mean())
    vectors, midpoint = np.array(means).swapaxes(0, 1)
    return Directions(vectors, midpoint, np.sqrt(squares))


def project(
    resid: Float[np.ndarray, "prompt layer d_model"],
    directions: Directions,
    *,
    centred: bool = True,
) -> Float[np.ndarray, "prompt layer"]:
    """Where prompts lie along each layer's unit direction; nan in a layer that has none.

    Centred at the midpoint of the means, so recall is negative; uncentred as published (h . r).
    """
    along = np.full(resid.shape[:2], np.nan)
    for layer in np.flatnonzero(directions.defined):
        x = resid[:, layer].astype(np.float64)
        unit = directions.unit(int(layer))
        along[:, layer] = x @ unit - centred * (directions.midpoint[layer] @ unit)
    return along


def cosines_with(
    resid: Float[np.ndarray, "prompt layer d_model"], directions: Directions
) -> Float[np.ndarray, "prompt layer"]:
    """Cosine of each activation, uncentred as published, with its layer's direction."""
    along = project(resid, directions, centred=False)
    length = [np.linalg.norm(resid[:, i].astype(np.float64), axis=1) for i in range(along.shape[1])]
    return np.asarray(along / np.maximum(np.array(length).T, np.finfo(float).tiny))


def held_out_scores(
    resid: Float[np.ndarray, "prompt layer d_model"],
    sides: Int[np.ndarray, "labelling prompt"],
    folds: Folds,
) -> Float[np.ndarray, "labelling prompt layer"]:
    """Projections of each fold's test prompts on the direction of its training prompts.

    Unit length, centred at the training midpoint. nan for prompts in no fold's test part and in
    layers whose training direction has no length. Give folds that keep pairs together; a fold
    that tests on what it trained on gives the in-sample figure.

    Args:
        resid: Activations.
        sides: One row a labelling (the true one, shuffled ones): all are fitted in one pass.
        folds: (training, test) positions of prompts. A prompt is tested in one fold at most.

    Raises:
        ValueError: If a fold trains on one side only.
    """
    labellings, prompts = sides.shape
    training = np.zeros((len(folds), prompts), bool)
    for fold, (train, _) in enumerate(folds):
        training[fold, train] = True
    weights = _mean_weights((training[:, None] * sides[None]).reshape(-1, prompts))
    scores = np.full((labellings, prompts, resid.shape[1]), np.nan)
    for layer in range(resid.shape[1]):
        along = _along_fits(resid[:, layer].astype(np.float64), weights)
        for fold, (_, test) in enumerate(folds):
            fits = slice(fold * labellings, (fold + 1) * labellings)
            scores[:, test, layer] = along[fits, test]
    return scores


def _along_fits(
    x: Float[np.ndarray, "prompt d_model"], weights: Float[np.ndarray, "fit prompt"]
) -> Float[np.ndarray, "fit prompt"]:
    """Centred projection of every prompt on every fit's unit direction; nan where it is zero."""
    vectors = weights @ x
    along = vectors @ x.T
    # The midpoint projected is the mean of the projected means: no second product is needed.
    along -= (np.abs(weights) * along).sum(1, keepdims=True) / 2
    trained = weights != 0
    scale = np.sqrt(trained @ np.square(x).sum(1) / trained.sum(1))
    norm = np.linalg.norm(vectors, axis=1)
    norm[norm <= SHORTEST * scale] = np.nan
    return np.asarray(along / norm[:, None])


def _mean_weights(side: Int[np.ndarray, "fit prompt"]) -> Float[np.ndarray, "fit prompt"]:
    """Weights of prompts in mean(+1) - mean(-1)."""
    weights = np.zeros(side.shape)
    for sign in (1, -1):
        member = side == sign
        count = member.sum(1, keepdims=True)
        if not count.all():
            raise ValueError(
                f"no prompt of side {sign:+d} to fit a direction to; both tasks are needed in "
                "every training part, so add items or use fewer folds"
            )
        weights += sign * member / count
    return weights


def random_scores(
    x: Float[np.ndarray, "prompt d_model"], count: int, seed: int
) -> Float[np.ndarray, "prompt direction"]:
    """Projections on isotropic random unit vectors.

    Matched in length to the fitted direction, which is a unit vector too when it is projected on.
    """
    vectors = np.random.default_rng(seed).standard_normal((x.shape[1], count))
    vectors /= np.linalg.norm(vectors, axis=0)
    return np.asarray(x.astype(np.float64) @ vectors)


def split_half_cosine(
    x: Float[np.ndarray, "prompt d_model"],
    side: Int[np.ndarray, " prompt"],
    halves: Bool[np.ndarray, "draw prompt"],
) -> float:
    """Mean cosine between the directions of the two halves of each draw; -1 to 1.

    nan if a half has no direction. How far two samples agree on the direction, at half their
    size: 1 is the same line, and in d_model dimensions chance is within 2 / sqrt(d_model) of 0.
    """
    used = x.astype(np.float64)
    weights = _mean_weights(np.concatenate([np.where(halves, side, 0), np.where(halves, 0, side)]))
    vectors = weights @ used
    norm = np.linalg.norm(vectors, axis=1)
    if (norm <= SHORTEST * np.sqrt(np.square(used[side != 0]).sum(1).mean())).any():
        return float("nan")
    one, two = np.split(vectors / norm[:, None], 2)
    return float((one * two).sum(1).mean())


def layer_cosines(directions: Directions) -> Float[np.ndarray, "layer layer"]:
    """Cosine between the directions of every two layers; nan for a layer that has none."""
    norm = np.where(directions.defined, directions.norm, np.nan)
    units = directions.vectors / norm[:, None]
    return np.asarray(units @ units.T)
