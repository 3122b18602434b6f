"""Directions on activations whose truth is known."""

import math

import numpy as np
import pytest

from harness.findings.direction import vectors
from harness.findings.direction.search import auc_by_layer
from harness.findings.direction.vectors import (
    difference_in_means,
    held_out_scores,
    project,
    split_half_cosine,
)

LAYERS, WIDTH = 3, 16


def sides(prompts: int) -> np.ndarray:
    return np.resize([1, -1], prompts)


def planted(prompts: int, gap: float, seed: int = 0, width: int = WIDTH) -> np.ndarray:
    """Unit noise; in layer 1 the tasks lie `gap` apart along the first axis."""
    x = np.random.default_rng(seed).standard_normal((prompts, LAYERS, width)).astype(np.float32)
    x[:, 1, 0] += sides(prompts) * gap / 2
    return x


def halved(prompts: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Train on the first half, test on the second."""
    return [(np.arange(prompts // 2), np.arange(prompts // 2, prompts))]


def held_out_auc(x: np.ndarray, side: np.ndarray) -> np.ndarray:
    test = halved(len(x))[0][1]
    return auc_by_layer(held_out_scores(x, side[None], halved(len(x)))[0][test], side[test])


def phi(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


@pytest.mark.parametrize("gap", [0.5, 1.0, 2.0])
def test_a_planted_direction_is_found_and_separates_as_theory_says(gap):
    x, side = planted(8000, gap), sides(8000)
    found = difference_in_means(x, side)
    assert found.unit(1)[0] > 0.97
    assert found.norm[1] == pytest.approx(gap, rel=0.1)
    aucs = held_out_auc(x, side)
    assert aucs[1] == pytest.approx(phi(gap / math.sqrt(2)), abs=0.02)  # d' is the gap: unit noise
    np.testing.assert_allclose(aucs[[0, 2]], 0.5, atol=0.03)


def test_with_few_prompts_in_many_dimensions_only_what_was_fitted_is_separated():
    side = sides(60)
    inside, outside = [], []
    for seed in range(10):
        x = planted(60, 0.0, seed, width=600)
        everything = np.arange(60)
        fitted = held_out_scores(x, side[None], [(everything, everything)])[0]
        inside.append(auc_by_layer(fitted, side))
        outside.append(held_out_auc(x, side))
    assert np.min(inside) > 0.99
    assert np.mean(outside) == pytest.approx(0.5, abs=0.05)


def test_scores_are_those_of_a_plain_loop():
    x, side = planted(40, 1.0), sides(40)
    side[:4] = 0  # prompts of another task
    folds = [(np.arange(10, 40), np.arange(10)), (np.arange(20), np.arange(20, 40))]
    scores = held_out_scores(x, side[None], folds)[0]
    assert np.isnan(scores[10:20]).all()  # in no fold's test part
    for train, test in folds:
        for layer in range(LAYERS):
            h = x[:, layer].astype(float)
            means = [h[train][side[train] == s].mean(0) for s in (1, -1)]
            r = means[0] - means[1]
            expected = (h[test] - (means[0] + means[1]) / 2) @ r / np.linalg.norm(r)
            np.testing.assert_allclose(scores[test, layer], expected, rtol=1e-9)


def test_many_labellings_at_once_are_as_one_at_a_time():
    x = planted(40, 1.0)
    many = np.random.default_rng(0).permuted(np.tile(sides(40), (5, 1)), axis=1)
    folds = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    together = held_out_scores(x, many, folds)
    for row, side in zip(together, many, strict=True):
        np.testing.assert_allclose(row, held_out_scores(x, side[None], folds)[0], rtol=1e-9)


# What is not a direction


@pytest.mark.parametrize("gap", [0.0, 1e-8])
def test_a_difference_that_is_rounding_is_refused_and_never_normalised(gap):
    x = np.ones((20, 2, WIDTH))
    x[:, 0] += sides(20)[:, None] * gap
    x[:, 1] = planted(20, 2.0)[:, 1]
    found = difference_in_means(x, sides(20))
    assert found.defined.tolist() == [False, True]
    with pytest.raises(ValueError, match=r"layer 0 is .* the tasks do not differ there"):
        found.unit(0)
    assert np.isnan(project(x, found)[:, 0]).all()
    scores = held_out_scores(x, sides(20)[None], halved(20))[0]
    assert np.isnan(scores[:, 0]).all()
    assert np.isfinite(scores[10:, 1]).all()
    cosines = vectors.layer_cosines(found)
    assert np.isnan(cosines[0]).all()
    assert cosines[1, 1] == pytest.approx(1)
    none = split_half_cosine(x[:, 0], sides(20), np.resize([True, True, False, False], (1, 20)))
    assert math.isnan(none)


def test_a_small_direction_is_one_wherever_the_activations_are():
    x = 1e3 + np.zeros((20, 1, WIDTH))
    x[:, 0, 3] += sides(20) * 0.1
    found = difference_in_means(x, sides(20))
    assert found.unit(0)[3] == pytest.approx(1)


def test_one_side_alone_gives_no_direction():
    with pytest.raises(ValueError, match="no prompt of side -1"):
        difference_in_means(planted(10, 1.0), np.ones(10, int))
    with pytest.raises(ValueError, match=r"no prompt of side \+1"):
        held_out_scores(planted(10, 1.0), -np.ones((1, 10), int), halved(10))


# What must not matter


def test_exchanged_labels_turn_the_direction_and_leave_the_separation():
    x, side = planted(200, 1.0), sides(200)
    one, other = difference_in_means(x, side), difference_in_means(x, -side)
    np.testing.assert_allclose(one.vectors, -other.vectors, rtol=1e-9)
    np.testing.assert_allclose(held_out_auc(x, side), held_out_auc(x, -side))


def test_the_order_of_prompts_does_not_matter():
    x, side = planted(200, 1.0), sides(200)
    order = np.random.default_rng(0).permutation(200)
    one, other = difference_in_means(x, side), difference_in_means(x[order], side[order])
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-12)


def test_shifting_and_scaling_activations_leaves_what_is_centred():
    x, side = planted(200, 1.0).astype(float), sides(200)
    shifted = 3 * (x + np.random.default_rng(1).standard_normal((1, LAYERS, WIDTH)))
    one, other = (held_out_scores(h, side[None], halved(200))[0] for h in (x, shifted))
    np.testing.assert_allclose(3 * one, other, atol=1e-9)


# As published


def test_published_projections_are_not_centred():
    x, side = planted(50, 1.0) + 5, sides(50)
    found = difference_in_means(x, side)
    along = project(x, found, centred=False)
    np.testing.assert_allclose(along[:, 1], x[:, 1].astype(float) @ found.unit(1))
    middle = found.midpoint[1] @ found.unit(1)
    np.testing.assert_allclose(project(x, found)[:, 1], along[:, 1] - middle)
    cosines = vectors.cosines_with(x, found)
    by_hand = along[:, 1] / np.linalg.norm(x[:, 1].astype(float), axis=1)
    np.testing.assert_allclose(cosines[:, 1], by_hand)
    assert np.abs(cosines).max() <= 1


# Stability


def test_halves_agree_on_a_planted_direction_and_not_on_noise():
    draws = np.random.default_rng(0).permuted(np.tile([True, False], (20, 200)), axis=1)
    x, side = planted(400, 3.0), sides(400)
    assert split_half_cosine(x[:, 1], side, draws) > 0.9
    assert abs(split_half_cosine(x[:, 0], side, draws)) < 2 / math.sqrt(WIDTH)
    twice = np.concatenate([x, x])
    same = np.repeat([True, False], 400)[None]
    assert split_half_cosine(twice[:, 0], np.tile(side, 2), same) == pytest.approx(1)


def test_random_directions_have_unit_length_and_come_from_the_seed():
    one = vectors.random_scores(np.eye(WIDTH), 50, 0)
    np.testing.assert_allclose(np.linalg.norm(one, axis=0), 1)
    assert np.array_equal(one, vectors.random_scores(np.eye(WIDTH), 50, 0))
    assert not np.array_equal(one, vectors.random_scores(np.eye(WIDTH), 50, 1))


def test_one_layer_taken_out_is_the_same_direction():
    x = planted(50, 2.0)
    found = difference_in_means(x, sides(50))
    alone = project(x[:, 1:2], found.only(1))[:, 0]
    np.testing.assert_allclose(alone, project(x, found)[:, 1])
