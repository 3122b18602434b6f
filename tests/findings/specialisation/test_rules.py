"""The published rule on data whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

from harness.activations.extracted import Activations
from harness.activations.features import HEAD_METRICS, published_names
from harness.findings.specialisation.cells import (
    Cells,
    head_cells,
    layer_cells,
    neuron_cells,
    published_cells,
)
from harness.findings.specialisation.consistency import published_consistency
from harness.findings.specialisation.rules import PublishedRule
from harness.materials.items import PromptSet
from tests.support.synthetic import (
    SHAPE,
    crossed_set,
    noise,
    permuted,
    plain_set,
    plant,
    planted,
    recall_rows,
)

BH = PublishedRule(threshold_d=0.5, alpha=0.01, votes=2, correction="benjamini-hochberg")
PLANTS = {
    "layer": ("layers", (1, 4), (1, -1), "gate_mean_abs"),
    "head": ("heads", (2, 3, 1), (2, 3), "maximum"),
    "neuron": ("neurons", (3, 5), (3, 5), "neurons"),
}
SIZE = 3.0


def found(table) -> list[tuple[int, int, str]]:
    rows = np.flatnonzero(table.passed)
    return [(int(table.layer[i]), int(table.index[i]), str(table.type[i])) for i in rows]


# Cells


def test_cells_say_where_every_value_comes_from():
    prompts = crossed_set(4)
    a = noise(prompts, 0)
    heads = head_cells(a, published_names(HEAD_METRICS))
    for cell, (layer, head) in enumerate(zip(heads.layer, heads.index, strict=True)):
        expected = a.heads[:, layer, head, cell % 5]
        assert np.array_equal(heads.values[:, cell], expected)
    layers = layer_cells(a, ("gate_sparsity", "resid_norm"))
    assert np.array_equal(layers.values[:, 2 * 3 + 1], a.layers[:, 3, 0])
    neurons = neuron_cells(a, "gates")
    assert np.array_equal(neurons.values[:, 3 * SHAPE["neurons"] + 5], a.gates[:, 3, 5])
    assert neuron_cells(a, "neurons").values.base is not neurons.values.base


# What must never pass


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_an_error_and_no_zero(bad):
    plain = plain_set(20)
    a = noise(plain, 0)
    a.gates[7, 3, 5] = bad
    with pytest.raises(ValueError, match=r"cell \(29,\)"):
        BH(published_cells("neuron", a), plain)


def test_the_order_of_items_does_not_matter():
    prompts = crossed_set(40)
    a = planted(noise(prompts, 0), prompts)
    order = np.random.default_rng(0).permutation(len(prompts))
    for kind in PLANTS:
        published = [BH(published_cells(kind, x), p) for x, p in pairs_of(a, order, prompts)]
        assert np.allclose(published[0].cells_d, published[1].cells_d, rtol=1e-5)
        assert np.allclose(published[0].q, published[1].q, rtol=1e-6)


def pairs_of(a: Activations, order, prompts: PromptSet):
    shuffled = replace(prompts, items=tuple(prompts.items[i] for i in order))
    return (a, prompts), (permuted(a, order), shuffled)


# The published rule


def table_of(columns: dict[str, tuple[list[float], list[float]]], rule: PublishedRule, metrics=1):
    """Cells whose recall and reasoning values are given; one pair a prompt of each."""
    n = len(next(iter(columns.values()))[0])
    prompts = plain_set(n)
    values = np.empty((2 * n, len(columns)))
    for i, (recall, reasoning) in enumerate(columns.values()):
        values[::2, i], values[1::2, i] = recall, reasoning
    count = len(columns) // metrics
    layer = np.repeat(np.arange(count), metrics)
    names = tuple(f"m{i}" for i in range(metrics))
    return rule(Cells("layer", values, layer, np.full_like(layer, -1), names), prompts)


def test_the_published_rule_by_hand():
    # Five against five, separated: U = 25, z = (12.5 - .5) / sqrt(25 * 11 / 12) = 2.5069.
    low, high, alike = [1.0, 2, 3, 4, 5], [11.0, 12, 13, 14, 15], [1.1, 2.1, 2.9, 4.1, 4.9]
    rule = PublishedRule(threshold_d=0.5, alpha=0.05, votes=1, correction="bonferroni")
    table = table_of({"up": (high, low), "down": (low, high), "none": (low, alike)}, rule)
    d = 10 / np.sqrt(2.5)
    assert np.allclose(table.effect, [d, -d, (3 - 3.02) / np.sqrt((2.5 + 2.312) / 2)])
    assert np.allclose(table.q[:2], 3 * 0.012185780355344813)
    assert table.passed.tolist() == [True, True, False]
    assert table.type.tolist() == ["recall", "reasoning", ""]
    assert np.isnan(table.effect_discovery).all()
    halved = replace(rule, alpha=0.0365)  # 3 x .01219 = .03656: just not
    assert table_of({"up": (high, low), "a": (low, low), "b": (low, low)}, halved).count == 0


@pytest.mark.parametrize("correction", ["benjamini-hochberg", "bonferroni"])
def test_the_published_rule_agrees_with_scipy_and_statsmodels(correction):
    prompts = plain_set(30)
    a = noise(prompts, 5)
    for layer, size in ((0, 1.0), (1, -1.5), (2, 1.5)):
        for metric in range(3):
            a = plant(a, "heads", (layer, layer, metric), recall_rows(prompts), size)
    rule = PublishedRule(threshold_d=0.6, alpha=0.05, votes=2, correction=correction)
    table = rule(published_cells("head", a), prompts)
    one, two = a.heads[recall_rows(prompts)], a.heads[~recall_rows(prompts)]
    p = mannwhitneyu(one, two, method="asymptotic").pvalue[..., :5].reshape(16, 5)
    method = "fdr_bh" if correction == "benjamini-hochberg" else "bonferroni"
    q = np.array([multipletests(p[:, m], method=method)[1] for m in range(5)]).T
    pooled = np.sqrt((one.var(0, ddof=1) + two.var(0, ddof=1)) / 2)
    d = ((one.mean(0) - two.mean(0)) / pooled)[..., :5].reshape(16, 5)
    assert np.allclose(table.cells_d, d, rtol=1e-4)
    assert np.allclose(table.q, q[np.arange(16), table.metric], rtol=1e-6)
    votes = (q <= 0.05) & (np.abs(d) > 0.6)
    assert table.passed.tolist() == (votes.sum(1) >= 2).tolist()
    assert table.passed[[0, 5, 10]].all()
    balance = np.sign((np.sign(d) * votes).sum(1)).astype(int)
    types = np.array(["mixed", "recall", "reasoning"])[balance]
    assert table.type[table.passed].tolist() == types[table.passed].tolist()


@pytest.mark.parametrize(
    ("signs", "votes", "passes", "kind"),
    [
        ((1, 1, 1, 0, 0), 3, True, "recall"),
        ((-1, -1, -1, 1, 0), 3, True, "reasoning"),
        ((1, 1, -1, -1, 0), 3, True, "mixed"),
        ((1, 1, 0, 0, 0), 3, False, ""),
        ((1, 1, -1, 0, 0), 3, True, "recall"),
        ((1, -1, 0, 0, 0), 2, True, "mixed"),
    ],
)
def test_votes_are_counted_and_the_majority_names_the_type(signs, votes, passes, kind):
    prompts = plain_set(30)
    a = noise(prompts, 2)
    for metric, sign in enumerate(signs):
        a = plant(a, "heads", (1, 2, metric), recall_rows(prompts), 4.0 * sign)
    table = PublishedRule(
        threshold_d=1.0, alpha=0.01, votes=votes, correction="benjamini-hochberg"
    )(published_cells("head", a), prompts)
    at = 1 * SHAPE["heads"] + 2
    assert bool(table.passed[at]) is passes
    assert table.type[at] == kind
    assert table.count == passes


def test_what_is_shown_of_a_component_is_a_vote_that_was_counted():
    # One metric falls far, two rise less: recall wins, and the shown effect must not be negative.
    prompts = plain_set(30)
    a = noise(prompts, 2)
    for metric, size in enumerate((-20.0, 4.0, 4.0)):
        a = plant(a, "heads", (1, 2, metric), recall_rows(prompts), size)
    table = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")(
        published_cells("head", a), prompts
    )
    at = int(np.flatnonzero(table.passed)[0])
    assert table.type[at] == "recall"
    assert table.effect[at] > 1
    assert table.q[at] <= 0.01


def test_nothing_differs_from_a_class_without_a_spread():
    prompts = plain_set(30).where(lambda item: item.task == "recall" or item.pair == "p0")
    table = BH(published_cells("head", noise(prompts, 0)), prompts)
    assert (table.count, set(table.q), set(table.effect)) == (0, {1.0}, {0.0})


def test_published_consistency_counts_mixed_as_a_type():
    prompts = plain_set(30)
    a = noise(prompts, 2)
    for metric, sign in enumerate((1, 1, -1, -1)):
        a = plant(a, "heads", (1, 2, metric), recall_rows(prompts), 6.0 * sign)
    rule = PublishedRule(threshold_d=1.0, alpha=0.01, votes=3, correction="benjamini-hochberg")
    cells = published_cells("head", a)
    assert rule(cells, prompts).type[6] == "mixed"
    assert published_consistency(cells, prompts, rule, folds=5, share=0.8, seed=0) == (1, 1)


def test_published_consistency_of_nothing_is_nothing_of_nothing():
    prompts = plain_set(30)
    cells = published_cells("head", noise(prompts, 2))
    assert published_consistency(
        cells, prompts, replace(BH, votes=3), folds=5, share=0.8, seed=0
    ) == (0, 0)
